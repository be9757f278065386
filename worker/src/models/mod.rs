//! Model families. A family is a file here, one line below, and one in
//! `family`; a model file,
//! `model.safetensors`, says in its header which family it is of and how it is
//! built, and holds exactly the parameters of that architecture.

pub(crate) mod arvm;
pub(crate) mod autoencoder;
pub(crate) mod family;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "for a stage that trains a GAN (E12); none does yet"
    )
)]
pub(crate) mod gan;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "for a stage that trains a PixelCNN prior (E7); none does yet"
    )
)]
pub(crate) mod pixelcnn;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "for a stage that trains a diffusion model (E13); none does yet"
    )
)]
pub(crate) mod unet;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "for a stage that trains a VAE (E10); none does yet"
    )
)]
pub(crate) mod vae;

/// The file of a model in its artefact.
pub(crate) const FILE: &str = "model.safetensors";

#[cfg(test)]
mod tests;
