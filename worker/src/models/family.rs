//! Model files by their family: what the header says, and which parameters a
//! file of that architecture holds. A family is one line in `FAMILIES`.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use candle_core::Result as Tensors;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
];

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
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "for the families that stages are to come for")
)]
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
    use super::*;
    use crate::models::{gan, pixelcnn, unet, vae};

    /// What `Build` records suffices for any network: its own `.weight`s of
    /// rank 2 and 4, and nothing else, lie otherwise than PyTorch's.
    #[test]
    fn networks_of_build_know_their_layouts() {
        let gan = gan::Arch {
            latent: 3,
            pixels: 5,
            components: 4,
        };
        let networks = [
            of_build(|build| {
                let arch = vae::Arch {
                    pixels: 6,
                    hidden: 4,
                    latent: 2,
                };
                vae::Vae::new(build, arch)
            }),
            of_build(|build| pixelcnn::PixelCnn::new(build, pixelcnn::Arch { bits: 2, width: 3 })),
            of_build(|build| gan::Generator::new(build, gan)),
            of_build(|build| unet::UNet::new(build, &unet::Arch::cifar10())),
        ];
        for parameters in networks.map(Result::unwrap) {
            for (name, parameter) in parameters {
                let embedding = name.starts_with("means") || name.starts_with("deviations");
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
            unet::UNet::new(
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
