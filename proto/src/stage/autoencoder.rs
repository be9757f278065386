//! `autoencoder`: trains BL-AE (`latent_act = "tanh"`) or the plain AE
//! (`"none"`) of science.md §3.1, by the generic builder.

use serde::{Deserialize, Serialize};

use super::{
    Exponent, InputInfo, InvalidField, KindInfo, Noise, NoiseSpec, Schedule, Spec, StageKind,
};

/// ψ, between the last encoder layer and the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LatentAct {
    None,
    #[default]
    Tanh,
}

/// What encoder and decoder are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AutoencoderNet {
    /// Convolutions: a latent of `latent_channels` at each site of a grid.
    #[default]
    Conv,
    /// Fully connected layers of `hidden` and `decoder_hidden`: one latent of
    /// `latent_channels` for the whole image (science.md A.1.2).
    Dense,
}

/// Defaults are Table 5 (4×4 latent at 32×32); `sweeps/` override them for
/// small runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoencoderSpec {
    pub net: AutoencoderNet,
    /// Hidden widths of a dense encoder, and of its decoder.
    pub hidden: Vec<usize>,
    pub decoder_hidden: Vec<usize>,
    /// Encoder widths, one 4×4 stride-2 convolution each; their number is the
    /// depth d, and the latent side is the image side / 2^d.
    pub channels: Vec<usize>,
    /// Width of the 1×1 layers around the latent.
    pub wide: usize,
    /// NoD: latent channels, bits per site; all of a dense latent.
    pub latent_channels: usize,
    pub latent_act: LatentAct,
    /// Decoder: width after the second 1×1 layer.
    pub decoder_in: usize,
    /// Decoder: width after the 3×3 transposed convolution.
    pub decoder_front: usize,
    /// Width of the two refining convolutions.
    pub refine: usize,
    /// Kernel of the refining convolutions: 3 (padding 1) or 1.
    pub refine_kernel: usize,
    /// Leaky ReLUs also where the paper's tables have none.
    pub extra_act: bool,

    pub noise: Noise,
    pub sigma: f64,
    pub kappa: f64,
    pub exponent: Exponent,

    pub steps: u64,
    /// Images per step; at most all of them are taken.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    /// A row of curves every so many steps.
    pub log_every: u64,
}

impl Default for AutoencoderSpec {
    fn default() -> Self {
        Self {
            net: AutoencoderNet::Conv,
            hidden: vec![400],
            decoder_hidden: vec![400],
            channels: vec![64, 256, 512],
            wide: 8196,
            latent_channels: 8,
            latent_act: LatentAct::Tanh,
            decoder_in: 1024,
            decoder_front: 512,
            refine: 32,
            refine_kernel: 3,
            extra_act: false,
            noise: Noise::Triangular,
            sigma: 1.0,
            kappa: 2.0,
            exponent: Exponent::Inverse,
            steps: 5000,
            batch: 128,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl AutoencoderSpec {
    pub fn noise_spec(&self) -> NoiseSpec {
        NoiseSpec {
            noise: self.noise,
            sigma: self.sigma,
            kappa: self.kappa,
            exponent: self.exponent,
        }
    }
}

impl Spec for AutoencoderSpec {
    const INFO: KindInfo = KindInfo {
        name: "autoencoder",
        summary: "train an autoencoder under latent noise",
        recipe: 4,
        seeded: true,
        inputs: &[InputInfo::required("data", &[StageKind::Dataset])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        let depth = self.channels.len();
        InvalidField::check((1..=8).contains(&depth), "channels", || {
            format!("has {depth} entries, but a depth of 1 to 8 is possible")
        })?;
        InvalidField::check(
            self.channels.iter().all(|c| (1..=65_536).contains(c)),
            "channels",
            || "must hold widths between 1 and 65536".to_owned(),
        )?;
        for (field, value, max) in [
            ("wide", self.wide, 65_536),
            ("decoder_in", self.decoder_in, 65_536),
            ("decoder_front", self.decoder_front, 65_536),
            ("refine", self.refine, 65_536),
        ] {
            check_width(field, value, max)?;
        }
        check_widths("hidden", &self.hidden)?;
        check_widths("decoder_hidden", &self.decoder_hidden)?;
        let most = match self.net {
            AutoencoderNet::Conv => 32,
            AutoencoderNet::Dense => 65_536,
        };
        check_width("latent_channels", self.latent_channels, most)?;
        let kernel = self.refine_kernel;
        InvalidField::check(kernel == 1 || kernel == 3, "refine_kernel", || {
            format!("is {kernel}, but 1 and 3 are possible")
        })?;
        self.noise_spec().validate()?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}

pub(super) fn check_width(
    field: &'static str,
    value: usize,
    max: usize,
) -> Result<(), InvalidField> {
    InvalidField::check((1..=max).contains(&value), field, || {
        format!("is {value}, but 1 to {max} is possible")
    })
}

/// Checks the widths of hidden layers.
pub(super) fn check_widths(field: &'static str, widths: &[usize]) -> Result<(), InvalidField> {
    let possible = widths.len() <= 8 && widths.iter().all(|w| (1..=65_536).contains(w));
    InvalidField::check(possible, field, || {
        "must hold at most 8 widths between 1 and 65536".to_owned()
    })
}

/// Checks what every training stage has.
pub(super) fn check_training(
    steps: u64,
    batch: usize,
    learning_rate: f64,
    log_every: u64,
) -> Result<(), InvalidField> {
    InvalidField::check((1..=100_000_000).contains(&steps), "steps", || {
        format!("is {steps}, but at least one step is needed (and at most 10^8)")
    })?;
    InvalidField::check((1..=1_000_000).contains(&batch), "batch", || {
        format!("is {batch}, but 1 to 1000000 images per step are possible")
    })?;
    let positive = learning_rate.is_finite() && learning_rate > 0.0;
    InvalidField::check(positive, "learning_rate", || {
        format!("is {learning_rate}, but a positive number is needed")
    })?;
    InvalidField::check(log_every >= 1, "log_every", || {
        "is 0, but a row needs at least one step".to_owned()
    })
}
