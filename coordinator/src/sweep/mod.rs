//! From a sweep file to a plan: pure, without I/O.

pub mod plan;
