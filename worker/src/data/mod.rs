//! What stages read and write: images, datasets, tokens, pictures, and the
//! named arrays that every artefact's files are made of.

pub(crate) mod arrays;
pub(crate) mod dataset;
pub(crate) mod digits;
pub(crate) mod image_file;
pub(crate) mod images;
pub(crate) mod packed;
pub(crate) mod picture;
pub(crate) mod pictures;
pub(crate) mod reshape;
pub(crate) mod rows;
pub(crate) mod samples;
pub(crate) mod tokens;
