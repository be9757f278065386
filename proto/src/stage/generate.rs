//! `generate`: draws images from a model of images (VAE, GAN, diffusion).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sample::{check_count, check_first};
use super::shard::is_zero;
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateSpec {
    /// Images to draw. Each has a random stream of its own, by its index.
    pub count: usize,
    /// Index of the first one.
    #[serde(skip_serializing_if = "is_zero")]
    pub first: usize,
    /// Deviation of the latents of a VAE (times that of its prior), or of a GAN's
    /// plain noise.
    pub latent_scale: f64,
}

impl Default for GenerateSpec {
    fn default() -> Self {
        Self {
            count: 512,
            first: 0,
            latent_scale: 1.0,
        }
    }
}

impl Spec for GenerateSpec {
    const INFO: KindInfo = KindInfo {
        name: "generate",
        summary: "draw images from a VAE, a GAN or a diffusion model",
        recipe: 2,
        seeded: true,
        inputs: &[InputInfo::required(
            "model",
            &[StageKind::Vae, StageKind::Gan, StageKind::Diffusion],
        )],
        hidden: false,
    };

    fn added() -> Vec<(&'static str, Value)> {
        vec![("first", 0.into())]
    }

    fn validate(&self) -> Result<(), InvalidField> {
        check_count(self.count)?;
        check_first(self.first)?;
        let scale = self.latent_scale;
        InvalidField::check((0.0..=100.0).contains(&scale), "latent_scale", || {
            format!("is {scale}, but 0 to 100 is possible")
        })
    }
}
