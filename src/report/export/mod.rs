//! The report's numbers for other programs.

pub(super) mod csv;
pub(super) mod differences;
pub(super) mod figures;
pub(super) mod json;
pub(super) mod latex;
pub(super) mod means;
