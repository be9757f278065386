//! A network with what it takes to store it: `model.safetensors` holds the
//! family, the architecture, and exactly its parameters and buffers.

use std::path::Path;

use ablate_proto::failure::Failure;
use candle_core::Result as Tensors;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::FILE;
use crate::data::arrays::{self, Array};
use crate::nn::build::Build;
use crate::nn::params::{self, Named};
use crate::runner::failure::OrFail as _;

/// A kind of network, built from its architecture alone.
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

#[derive(Serialize, Deserialize)]
struct Header<A> {
    family: String,
    arch: A,
}

/// The family of the model in `folder`.
///
/// # Errors
/// When there is no model.
pub(crate) fn family(folder: &Path) -> Result<String, Failure> {
    let (header, _) = arrays::read::<Header<IgnoredAny>>(&folder.join(FILE))?;
    Ok(header.family)
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
        let (name, family) = (F::NAME, family(folder)?);
        let path = folder.join(FILE);
        if family != name {
            let why = format!("it is of the family {family}, not {name}");
            return Err(arrays::Error::Format { path, why }.into());
        }
        let (header, mut file) = arrays::read::<Header<F::Arch>>(&path)?;
        let mut outline = Build::outline();
        if let Err(error) = F::build(&mut outline, &header.arch) {
            return Err(file
                .wrong(format!("there is no such {name}: {error}"))
                .into());
        }
        let values = file.parameters(&outline.shapes)?;
        file.finish()?;
        Self::of(header.arch, Build::stored(values)).or_bug("building a model from its file")
    }

    /// Writes the model into `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let mut values = params::export(&self.parameters).or_bug("copying parameters")?;
        values.extend(params::export(&self.buffers).or_bug("copying buffers")?);
        let array = |(name, v): (_, params::Values)| (name, Array::f32(&v.shape, v.data));
        let header = Header {
            family: F::NAME.to_owned(),
            arch: &self.arch,
        };
        let arrays = values.into_iter().map(array).collect();
        Ok(arrays::write(&folder.join(FILE), &header, &arrays)?)
    }
}
