//! A network that is built from its architecture alone, with what it takes to
//! store it: `model.safetensors` holds exactly its parameters and buffers.

use std::path::Path;

use ablate_proto::failure::Failure;
use candle_core::Result as Tensors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::family;
use crate::nn::build::Build;
use crate::nn::params::{self, Named};
use crate::runner::failure::OrFail as _;

/// A kind of network; its line is in `family::FAMILIES`.
pub(crate) trait Family: Sized {
    const NAME: &'static str;
    type Arch: Serialize + DeserializeOwned;

    /// # Errors
    /// When there is no such network, or stored values are not its own.
    fn build(build: &mut Build, arch: &Self::Arch) -> Tensors<Self>;
}

#[derive(Debug)]
pub(crate) struct Model<F: Family> {
    pub(crate) arch: F::Arch,
    pub(crate) net: F,
    pub(crate) parameters: Named,
    pub(crate) buffers: Named,
}

impl<F: Family> Model<F> {
    /// With initial values from a seed.
    ///
    /// # Errors
    /// A configuration when there is no such network.
    pub(crate) fn fresh(arch: F::Arch, seed: u64) -> Result<Self, Failure> {
        let config =
            |e: candle_core::Error| Failure::config(format!("building a {}: {e}", F::NAME));
        F::build(&mut Build::outline(), &arch).map_err(config)?;
        Self::of(arch, Build::seeded(seed)).or_bug("building a model")
    }

    fn of(arch: F::Arch, mut build: Build) -> Tensors<Self> {
        let net = F::build(&mut build, &arch)?;
        let [parameters, buffers] = build.finish()?;
        Ok(Self {
            arch,
            net,
            parameters,
            buffers,
        })
    }

    /// How many values are trained.
    pub(crate) fn count(&self) -> usize {
        let sizes = self.parameters.iter().map(|(_, var)| var.elem_count());
        sizes.sum()
    }

    /// Reads the model in `folder`.
    ///
    /// # Errors
    /// Names what in the file is not as it must be.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let (arch, mut file) = family::read::<F::Arch>(folder, F::NAME)?;
        let mut outline = Build::outline();
        if let Err(error) = F::build(&mut outline, &arch) {
            return Err(file.wrong(format!("its architecture: {error}")).into());
        }
        let values = file.parameters(&outline.shapes)?;
        file.finish()?;
        Self::of(arch, Build::stored(values)).or_bug("building a model from its file")
    }

    /// Writes the model into `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut values = params::export(&self.parameters).or_bug("copying parameters")?;
        values.extend(params::export(&self.buffers).or_bug("copying buffers")?);
        family::write(folder, F::NAME, &self.arch, values)
    }
}
