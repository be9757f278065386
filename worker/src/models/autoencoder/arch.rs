//! What an autoencoder is made of: science.md §3.1, Tables 4 and 5 with the
//! minimal fixes listed there.

use ablate_proto::failure::Failure;
use ablate_proto::stage::{AutoencoderNet, AutoencoderSpec, LatentAct, NoiseSpec, StageSpec};
use serde::{Deserialize, Serialize};

use crate::data::images::Images;
use crate::nn::layer::{Act, Kind, Plan, Window};

/// Halves a side (convolution) or doubles it (transposed).
const HALVE: Window = Window::square(4, 2, 1);

/// Keeps a side.
const KEEP: Window = Window::square(3, 1, 1);

/// Everything that fixes names and shapes of the parameters, and the noise
/// that the decoder was trained under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    /// Channels, height and width of an image.
    pub(crate) image: [usize; 3],
    pub(crate) channels: Vec<usize>,
    pub(crate) wide: usize,
    pub(crate) latent_channels: usize,
    pub(crate) latent_act: LatentAct,
    pub(crate) decoder_in: usize,
    pub(crate) decoder_front: usize,
    pub(crate) refine: usize,
    pub(crate) refine_kernel: usize,
    pub(crate) extra_act: bool,
    pub(crate) noise: NoiseSpec,
    /// Fully connected layers instead of convolutions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dense: Option<Dense>,
}

/// Hidden widths of an encoder from pixels to one latent, and of its decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dense {
    pub(crate) encoder: Vec<usize>,
    pub(crate) decoder: Vec<usize>,
}

impl Arch {
    /// The architecture of `spec` for images like `images`.
    ///
    /// # Errors
    /// When the images' sides cannot be halved as often as the spec asks.
    pub(crate) fn new(spec: &AutoencoderSpec, images: &Images) -> Result<Self, Failure> {
        let depth = spec.channels.len();
        let (h, w) = (images.h, images.w);
        let dense = (spec.net == AutoencoderNet::Dense).then(|| Dense {
            encoder: spec.hidden.clone(),
            decoder: spec.decoder_hidden.clone(),
        });
        if dense.is_none() && (h != w || h % (1 << depth) != 0) {
            let why = format!(
                "`channels` has {depth} entries, but images of {h}×{w} cannot be halved \
                 {depth} times: give at most as many entries as the side has factors of 2"
            );
            return Err(Failure::config(why));
        }
        Ok(Self {
            image: [images.channels, h, w],
            channels: spec.channels.clone(),
            wide: spec.wide,
            latent_channels: spec.latent_channels,
            latent_act: spec.latent_act,
            decoder_in: spec.decoder_in,
            decoder_front: spec.decoder_front,
            refine: spec.refine,
            refine_kernel: spec.refine_kernel,
            extra_act: spec.extra_act,
            noise: spec.noise_spec(),
            dense,
        })
    }

    /// # Errors
    /// When no spec gives this: the file it is from is damaged.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut spec = AutoencoderSpec {
            channels: self.channels.clone(),
            wide: self.wide,
            latent_channels: self.latent_channels,
            decoder_in: self.decoder_in,
            decoder_front: self.decoder_front,
            refine: self.refine,
            refine_kernel: self.refine_kernel,
            ..AutoencoderSpec::default()
        };
        if let Some(Dense { encoder, decoder }) = &self.dense {
            spec.net = AutoencoderNet::Dense;
            (spec.hidden, spec.decoder_hidden) = (encoder.clone(), decoder.clone());
        }
        let valid = StageSpec::from(spec).validate();
        valid.map_err(|e| format!("its architecture: {e}"))?;
        let [channels, h, w] = self.image;
        let sides = 1 << self.channels.len();
        let halves = self.dense.is_some() || (h == w && h % sides == 0);
        let possible = (1..=65_536).contains(&h) && (1..=65_536).contains(&w);
        if !(1..=4096).contains(&channels) || !possible || !halves {
            let image = self.image;
            return Err(format!("its architecture: no images of {image:?} fit it"));
        }
        Ok(())
    }

    /// # Errors
    /// When the images are not of the model's size.
    pub(crate) fn check_images(&self, shape: [usize; 4]) -> Result<(), Failure> {
        let [_, size @ ..] = shape;
        if size != self.image {
            let why = format!(
                "the images are {size:?}, but the model's are {:?}",
                self.image
            );
            return Err(Failure::config(why));
        }
        Ok(())
    }

    /// Sites along one side of the latent.
    pub(crate) fn latent_side(&self) -> usize {
        match self.dense {
            Some(_) => 1,
            None => self.image[1] >> self.channels.len(),
        }
    }

    /// Leaky ReLU where the tables have nothing, if asked for.
    fn extra(&self) -> Act {
        if self.extra_act {
            Act::LeakyRelu
        } else {
            Act::None
        }
    }

    fn pixels(&self) -> usize {
        self.image.iter().product()
    }

    pub(crate) fn encoder(&self) -> Vec<Plan> {
        let mut chain;
        if let Some(dense) = &self.dense {
            chain = Chain::new("encoder", self.pixels());
            for width in &dense.encoder {
                chain.add(Kind::Linear, *width, Act::Relu);
            }
        } else {
            chain = Chain::new("encoder", self.image[0]);
            for width in &self.channels {
                chain.add(Kind::Conv(HALVE), *width, Act::LeakyRelu);
            }
            chain.add(Kind::Linear, self.wide, self.extra());
        }
        let latent = match self.latent_act {
            LatentAct::None => Act::None,
            LatentAct::Tanh => Act::Tanh,
        };
        chain.add(Kind::Linear, self.latent_channels, latent);
        chain.plans
    }

    pub(crate) fn decoder(&self) -> Vec<Plan> {
        let mut chain = Chain::new("decoder", self.latent_channels);
        if let Some(dense) = &self.dense {
            for width in &dense.decoder {
                chain.add(Kind::Linear, *width, Act::Relu);
            }
            chain.add(Kind::Linear, self.pixels(), Act::None);
            return chain.plans;
        }
        chain.add(Kind::Linear, self.wide, self.extra());
        chain.add(Kind::Linear, self.decoder_in, Act::LeakyRelu);
        chain.add(Kind::Transposed(KEEP), self.decoder_front, Act::LeakyRelu);
        let inner = &self.channels[..self.channels.len() - 1];
        for width in inner.iter().rev() {
            chain.add(Kind::Transposed(HALVE), *width, self.extra());
        }
        chain.add(Kind::Transposed(HALVE), self.image[0], Act::Tanh);
        let refine = self.refine_kernel;
        let refine = Kind::Conv(Window::square(refine, 1, refine / 2));
        chain.add(refine, self.refine, Act::LeakyRelu);
        chain.add(refine, self.image[0], Act::None);
        chain.plans
    }

    /// Parameters of encoder and decoder together.
    pub(crate) fn parameters(&self) -> usize {
        let plans = self.encoder().into_iter().chain(self.decoder());
        plans.map(|plan| plan.parameters()).sum()
    }
}

/// Layers that follow each other, named `part.0`, `part.1`, ….
struct Chain {
    part: &'static str,
    channels: usize,
    plans: Vec<Plan>,
}

impl Chain {
    fn new(part: &'static str, channels: usize) -> Self {
        Self {
            part,
            channels,
            plans: Vec::new(),
        }
    }

    fn add(&mut self, kind: Kind, outputs: usize, act: Act) {
        self.plans.push(Plan {
            name: format!("{}.{}", self.part, self.plans.len()),
            kind,
            inputs: self.channels,
            outputs,
            act,
        });
        self.channels = outputs;
    }
}
