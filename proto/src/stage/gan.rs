//! `gan`: trains GMM-GAN, whose latents are a mixture of Gaussians that learn,
//! one for each training image; or its control on plain noise (science.md
//! §3.2, E12).

use serde::{Deserialize, Serialize};

use super::autoencoder::{check_training, check_width};
use super::{InputInfo, InvalidField, KindInfo, Schedule, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GanSpec {
    /// Width of the latent.
    pub latent: usize,
    /// Whether latents are a mixture, with a component for each training
    /// image; if not, they are standard normal noise.
    pub mixture: bool,
    /// How many components a mixture has; 0: as many as training images.
    pub components: usize,
    /// Hidden widths of the generator and of the discriminator.
    pub generator: Vec<usize>,
    pub discriminator: Vec<usize>,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Each trains the generator once, then the discriminator.
    pub steps: u64,
    /// Images per step; at most all of them are taken.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for GanSpec {
    fn default() -> Self {
        Self {
            latent: 100,
            mixture: true,
            components: 0,
            generator: vec![128, 256, 512, 1024],
            discriminator: vec![512, 256],
            beta1: 0.5,
            steps: 20_000,
            batch: 64,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl Spec for GanSpec {
    const INFO: KindInfo = KindInfo {
        name: "gan",
        summary: "train a GAN on a learned mixture of Gaussians, or on plain noise",
        recipe: 2,
        seeded: true,
        inputs: &[InputInfo::required("data", &[StageKind::Dataset])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_width("latent", self.latent, 65_536)?;
        let components = self.components;
        InvalidField::check(components <= 10_000_000, "components", || {
            format!("is {components}, but at most 10000000 are possible")
        })?;
        for (field, widths) in [
            ("generator", &self.generator),
            ("discriminator", &self.discriminator),
        ] {
            let possible = widths.iter().all(|w| (1..=65_536).contains(w));
            let holds = possible && (1..=8).contains(&widths.len());
            InvalidField::check(holds, field, || {
                "must hold 1 to 8 widths between 1 and 65536".to_owned()
            })?;
        }
        let beta1 = self.beta1;
        InvalidField::check((0.0..1.0).contains(&beta1), "beta1", || {
            format!("is {beta1}, but 0 to below 1 is possible")
        })?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}
