//! Model families. A family is a file here, one line below, and one in
//! `family`; a model file,
//! `model.safetensors`, says in its header which family it is of and how it is
//! built, and holds exactly the parameters of that architecture.

pub(crate) mod arvm;
pub(crate) mod autoencoder;
pub(crate) mod denoiser;
pub(crate) mod diffusion;
pub(crate) mod draw;
pub(crate) mod family;
pub(crate) mod file;
pub(crate) mod gan;
pub(crate) mod inception;
pub(crate) mod pixelcnn;
pub(crate) mod unet;
pub(crate) mod vae;

/// The file of a model in its artefact.
pub(crate) const FILE: &str = "model.safetensors";

#[cfg(test)]
mod tests;
