//! The autoencoder of science.md §3.1: a generic builder that gives Tables 4
//! and 5 and the small nets of §6.
//!
//! Encoder `[n, c, s, s]` → latent means `[n·h·w, NoD]`, h = s/2^d; decoder
//! back. The latent activation ψ belongs to the encoder; noise is added by
//! whoever trains or measures.

mod arch;

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use candle_core::{Result, Tensor};

pub(crate) use arch::Arch;

use super::family;
use crate::data::images::Images;
use crate::data::pictures::{Pictures, pieces};
use crate::metrics::{Features, site_means};
use crate::nn::device::device;
use crate::nn::layer::{Layer, Rows, through};
use crate::nn::params::{self, Named, Values};
use crate::runner::failure::OrFail as _;
use crate::runner::pulse;

/// Images that go through a network at a time, outside of training.
pub(crate) const CHUNK: usize = ablate_proto::stage::shard::CHUNK;

pub(crate) const FAMILY: &str = "autoencoder";

#[derive(Debug)]
pub(crate) struct Autoencoder {
    pub(crate) arch: Arch,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    /// Parameters by name, encoder first.
    pub(crate) encoder_named: Named,
    pub(crate) decoder_named: Named,
}

/// Latent means, `[n, h·w·NoD]`: site by site, channels side by side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latents {
    pub(crate) n: usize,
    /// Sites along one side.
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<f32>,
}

impl Latents {
    /// Elements of one image's latent.
    pub(crate) fn size(&self) -> usize {
        self.side * self.side * self.channels
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.size().max(1))
    }

    pub(crate) fn first(&self, n: usize) -> Self {
        let n = n.min(self.n);
        Self {
            n,
            data: self.data[..n * self.size()].to_vec(),
            ..*self
        }
    }

    /// +1 for z ≥ 0, else −1.
    pub(crate) fn binarised(&self) -> Self {
        let sign = |z: &f32| if *z >= 0.0 { 1.0 } else { -1.0 };
        self.with(self.data.iter().map(sign).collect())
    }

    /// The same latents with other values.
    pub(crate) fn with(&self, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), self.data.len(), "as many values as before");
        Self { data, ..*self }
    }
}

impl Autoencoder {
    /// A fresh model, PyTorch's default initialisation from `seed`.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn fresh(arch: Arch, seed: u64) -> Result<Self> {
        let plans = arch.encoder().into_iter().chain(arch.decoder());
        let values = plans.flat_map(|plan| params::initial(&plan, seed));
        Self::build(arch, values.collect())
    }

    /// The same encoder with a fresh decoder.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn with_fresh_decoder(self, seed: u64) -> Result<Self> {
        let mut values = params::export(&self.encoder_named)?;
        for plan in self.arch.decoder() {
            values.extend(params::initial(&plan, seed));
        }
        Self::build(self.arch, values)
    }

    fn build(arch: Arch, mut values: BTreeMap<String, Values>) -> Result<Self> {
        let (mut encoder_named, mut decoder_named) = (Vec::new(), Vec::new());
        Ok(Self {
            encoder: params::layers(&arch.encoder(), &mut values, &mut encoder_named)?,
            decoder: params::layers(&arch.decoder(), &mut values, &mut decoder_named)?,
            encoder_named,
            decoder_named,
            arch,
        })
    }

    /// Reads the model in `folder`.
    ///
    /// # Errors
    /// When the file is absent or does not hold exactly such a model.
    pub(crate) fn read(folder: &Path) -> std::result::Result<Self, Failure> {
        let (arch, mut file) = family::read::<Arch>(folder, FAMILY)?;
        arch.check().map_err(|why| file.wrong(why))?;
        let mut shapes = params::shapes(&arch.encoder());
        shapes.extend(params::shapes(&arch.decoder()));
        let values = file.parameters(&shapes)?;
        file.finish()?;
        Self::build(arch, values).or_bug("building a model from its file")
    }

    /// Writes the whole model into `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> std::result::Result<(), Failure> {
        let mut values = params::export(&self.encoder_named).or_bug("copying parameters")?;
        values.extend(params::export(&self.decoder_named).or_bug("copying parameters")?);
        family::write(folder, FAMILY, &self.arch, values)
    }

    /// Latent means of images.
    ///
    /// # Errors
    /// When the images are not of the model's size.
    pub(crate) fn encode(&self, images: &Rows) -> Result<Rows> {
        through(&self.encoder, &self.entering(images)?)
    }

    /// Images as the first layer takes them: a dense one has all of an image
    /// in a row.
    fn entering(&self, images: &Rows) -> Result<Rows> {
        if self.arch.dense.is_none() {
            return Ok(images.clone());
        }
        Ok(Rows {
            data: images.data.reshape((images.n, ()))?,
            n: images.n,
            h: 1,
            w: 1,
        })
    }

    /// Images of latents, not yet clamped.
    ///
    /// # Errors
    /// When the latents are not of the model's size.
    pub(crate) fn decode(&self, latents: &Rows) -> Result<Rows> {
        let decoded = through(&self.decoder, latents)?;
        if self.arch.dense.is_none() {
            return Ok(decoded);
        }
        let [channels, h, w] = self.arch.image;
        Ok(Rows {
            data: decoded.data.reshape((latents.n * h * w, channels))?,
            n: latents.n,
            h,
            w,
        })
    }

    /// Latent means of all images, a chunk at a time, without a graph.
    ///
    /// # Errors
    /// As `encode`.
    pub(crate) fn latents(&self, images: &Images) -> Result<Latents> {
        let side = self.arch.latent_side();
        let mut data = Vec::with_capacity(images.n * side * side * self.arch.latent_channels);
        for chunk in images.chunks(CHUNK) {
            let rows = self.encode(&chunk.rows()?)?;
            data.extend(rows.data.flatten_all()?.to_vec1::<f32>()?);
            pulse::beat();
        }
        Ok(Latents {
            n: images.n,
            side,
            channels: self.arch.latent_channels,
            data,
        })
    }

    /// What the layer before the latent sees, averaged over sites.
    ///
    /// # Errors
    /// As `encode`, or when the images cannot be read.
    pub(crate) fn features(&self, images: &dyn Pictures) -> std::result::Result<Features, Failure> {
        let doing = "computing an encoder's features";
        let before = &self.encoder[..self.encoder.len() - 1];
        let width = before.last().map_or(0, |layer| layer.plan.outputs);
        let n = images.n();
        let mut data = Vec::with_capacity(n * width);
        for chunk in pieces(n, CHUNK) {
            let chunk = images.read(chunk)?;
            let seen = || site_means(&through(before, &self.entering(&chunk.rows()?)?)?);
            data.extend(seen().or_bug(doing)?);
            pulse::beat();
        }
        Ok(Features { n, width, data })
    }

    /// Images of all latents, a chunk at a time, clamped to [−1, 1].
    ///
    /// # Errors
    /// As `decode`.
    pub(crate) fn images(&self, latents: &Latents) -> Result<Images> {
        let [channels, h, w] = self.arch.image;
        let mut data = Vec::with_capacity(latents.n * channels * h * w);
        for start in (0..latents.n).step_by(CHUNK) {
            let n = CHUNK.min(latents.n - start);
            let size = latents.size();
            let chunk = &latents.data[start * size..(start + n) * size];
            let rows = self.decode(&latent_rows(chunk, n, &self.arch)?)?;
            data.extend(Images::from_rows(&rows)?.data);
            pulse::beat();
        }
        Ok(Images {
            n: latents.n,
            channels,
            h,
            w,
            data,
        })
    }
}

/// Latent values of `n` images as rows of sites.
///
/// # Errors
/// When the values are not those of `n` latents.
pub(crate) fn latent_rows(values: &[f32], n: usize, arch: &Arch) -> Result<Rows> {
    let (side, channels) = (arch.latent_side(), arch.latent_channels);
    let data = Tensor::from_slice(values, (n * side * side, channels), &device())?;
    Ok(Rows {
        data,
        n,
        h: side,
        w: side,
    })
}

#[cfg(test)]
mod tests;
