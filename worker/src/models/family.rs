//! Model files by their family: what the header says, and which parameters a
//! file of that architecture holds. A family is one line in `FAMILIES`.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use candle_core::Result as Tensors;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diffusion::Diffusion;
use super::file::Family;
use super::gan::Gan;
use super::pixelcnn::PixelCnn;
use super::vae::Vae;
use super::{FILE, arvm, autoencoder};
use crate::data::arrays::{self, Array, Arrays};
use crate::nn::build::Build;
use crate::nn::layer::Plan;
use crate::nn::layout::Layout;
use crate::nn::params::Values;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header<A> {
    pub(crate) family: String,
    pub(crate) arch: A,
}

/// A parameter of an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) shape: Vec<usize>,
    pub(crate) layout: Layout,
}

/// Parameters by name.
pub(crate) type Parameters = BTreeMap<String, Parameter>;

/// The parameters of an architecture, or why there is none like it.
type Outline = fn(Value) -> Result<Parameters, String>;

const FAMILIES: &[(&str, Outline)] = &[
    (autoencoder::FAMILY, |arch| {
        let arch: autoencoder::Arch = parse(arch)?;
        arch.check()?;
        Ok(of_plans(&[arch.encoder(), arch.decoder()].concat()))
    }),
    (arvm::FAMILY, |arch| {
        let arch: arvm::Arch = parse(arch)?;
        arch.check()?;
        Ok(of_plans(&arch.plans()))
    }),
    (PixelCnn::NAME, outline::<PixelCnn>),
    (Vae::NAME, outline::<Vae>),
    (Gan::NAME, outline::<Gan>),
    (Diffusion::NAME, outline::<Diffusion>),
];

fn outline<F: Family>(arch: Value) -> Result<Parameters, String> {
    let arch: F::Arch = parse(arch)?;
    of_build(|build| F::build(build, &arch))
}

/// The parameters of the architecture in a header.
///
/// # Errors
/// When the family is unknown or there is no such architecture in it.
pub(crate) fn parameters(header: &Header<Value>) -> Result<Parameters, String> {
    let family = header.family.as_str();
    match FAMILIES.iter().find(|(name, _)| *name == family) {
        Some((_, outline)) => outline(header.arch.clone()),
        None => Err(format!(
            "it is of the family {family:?}, which this release does not know"
        )),
    }
}

fn parse<A: DeserializeOwned>(arch: Value) -> Result<A, String> {
    serde_json::from_value(arch).map_err(|e| format!("its architecture: {e}"))
}

/// Of layers that were planned before they are built.
fn of_plans(plans: &[Plan]) -> Parameters {
    let both = |plan: &Plan| {
        let part = |name: &str, shape, layout| {
            (format!("{}.{name}", plan.name), Parameter { shape, layout })
        };
        [
            part("weight", plan.weight_shape(), Layout::of(plan.kind)),
            part("bias", vec![plan.outputs], Layout::Same),
        ]
    };
    plans.iter().flat_map(both).collect()
}

/// Of a network that is made with `Build`.
pub(crate) fn of_build<T>(
    build: impl FnOnce(&mut Build) -> Tensors<T>,
) -> Result<Parameters, String> {
    let mut outline = Build::outline();
    build(&mut outline).map_err(|e| format!("its architecture: {e}"))?;
    let layouts = &outline.layouts;
    let parameter = |(name, shape): (&String, &Vec<usize>)| {
        let layout = layouts.get(name).copied().unwrap_or(Layout::Same);
        let shape = shape.clone();
        (name.clone(), Parameter { shape, layout })
    };
    Ok(outline.shapes.iter().map(parameter).collect())
}

/// The family of the model in `folder`.
///
/// # Errors
/// When there is no model.
pub(crate) fn name(folder: &Path) -> Result<String, Failure> {
    let (header, _) = arrays::read::<Header<IgnoredAny>>(&folder.join(FILE))?;
    Ok(header.family)
}

/// Reads the model of a family in `folder`: its architecture, and the arrays
/// that are to be taken.
///
/// # Errors
/// When the file is absent, damaged, or of another family.
pub(crate) fn read<A: DeserializeOwned>(
    folder: &Path,
    family: &str,
) -> Result<(A, Arrays), Failure> {
    let path = folder.join(FILE);
    let (header, file) = arrays::read::<Header<Value>>(&path)?;
    if header.family != family {
        let why = format!("it is of the family {}, not {family}", header.family);
        return Err(file.wrong(why).into());
    }
    let arch = parse(header.arch).map_err(|why| file.wrong(why))?;
    Ok((arch, file))
}

/// Writes a model into `folder`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write<A: Serialize>(
    folder: &Path,
    family: &str,
    arch: &A,
    values: BTreeMap<String, Values>,
) -> Result<(), Failure> {
    let header = Header {
        family: family.to_owned(),
        arch,
    };
    let arrays = values
        .into_iter()
        .map(|(k, v)| (k, Array::f32(&v.shape, v.data)));
    Ok(arrays::write(
        &folder.join(FILE),
        &header,
        &arrays.collect(),
    )?)
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::Likelihood;

    use super::*;
    use crate::models::{gan, pixelcnn, unet, vae};

    /// What `Build` records suffices for any network: its own `.weight`s of
    /// rank 2 and 4, and nothing else, lie otherwise than PyTorch's.
    #[test]
    fn networks_of_build_know_their_layouts() {
        let gan = gan::Arch {
            latent: 3,
            image: [5, 1, 1],
            components: 4,
            generator: vec![6, 7],
            discriminator: vec![8],
        };
        let vae = vae::Arch {
            image: [6, 1, 1],
            hidden: 4,
            latent: 2,
            likelihood: Likelihood::Gaussian,
            prior: 0.5,
        };
        let pixelcnn = pixelcnn::Arch {
            side: 2,
            bits: 2,
            width: 3,
        };
        let networks = [
            of_build(|build| vae::Vae::build(build, &vae).map(drop)),
            of_build(|build| pixelcnn::PixelCnn::build(build, &pixelcnn).map(drop)),
            of_build(|build| gan::Gan::build(build, &gan).map(drop)),
            of_build(|build| unet::UNet::build(build, &unet::Arch::cifar10()).map(drop)),
        ];
        for parameters in networks.map(Result::unwrap) {
            for (name, parameter) in parameters {
                let embedding = name.contains("means") || name.contains("deviations");
                let same = parameter.shape.len() == 1 || embedding;
                let layout = match parameter.shape.len() {
                    _ if same => Layout::Same,
                    2 => Layout::Linear,
                    _ => Layout::Conv { groups: 1 },
                };
                assert_eq!(parameter.layout, layout, "{name}");
            }
        }
        let none = of_build(|build| {
            unet::UNet::build(
                build,
                &unet::Arch {
                    side: 30,
                    ..unet::Arch::cifar10()
                },
            )
        });
        assert!(none.unwrap_err().contains("30"));
    }
}
