//! Named parameters, in the order of the layers, and PyTorch's default
//! initialisation from a seed.

use std::collections::BTreeMap;

use candle_core::{Result, Var};

use super::device::device;
use super::layer::{Layer, Plan};
use super::rng::stream;

/// Values of a parameter with their shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// Parameters by name. What is trained is a list of them.
pub(crate) type Named = Vec<(String, Var)>;

/// Initial values of a layer: U(−1/√fan_in, 1/√fan_in) for weight and bias.
/// Each has a stream of its own, so that adding a layer moves no other.
pub(crate) fn initial(plan: &Plan, seed: u64) -> [(String, Values); 2] {
    let bound = 1.0 / (plan.fan_in() as f32).sqrt();
    let part = |name: &str, shape: Vec<usize>| {
        let name = format!("{}.{name}", plan.name);
        let mut rng = stream(seed, &format!("init {name}"), 0);
        let count = shape.iter().product();
        let data = (0..count).map(|_| bound * rng.signed()).collect();
        (name, Values { shape, data })
    };
    [
        part("weight", plan.weight_shape()),
        part("bias", vec![plan.outputs]),
    ]
}

/// Names and shapes of the parameters of some layers.
pub(crate) fn shapes(plans: &[Plan]) -> BTreeMap<String, Vec<usize>> {
    let both = |plan: &Plan| {
        [
            (format!("{}.weight", plan.name), plan.weight_shape()),
            (format!("{}.bias", plan.name), vec![plan.outputs]),
        ]
    };
    plans.iter().flat_map(both).collect()
}

/// Builds layers from values that were checked to have all names and shapes,
/// and registers their parameters in `named`.
pub(crate) fn layers(
    plans: &[Plan],
    values: &mut BTreeMap<String, Values>,
    named: &mut Named,
) -> Result<Vec<Layer>> {
    let mut build = |plan: &Plan| {
        let mut part = |name: &str| {
            let name = format!("{}.{name}", plan.name);
            let Some(v) = values.remove(&name) else {
                candle_core::bail!("no values for the parameter {name}");
            };
            let var = Var::from_vec(v.data, v.shape, &device())?;
            named.push((name, var.clone()));
            Ok(var.as_tensor().clone())
        };
        Ok(Layer {
            plan: plan.clone(),
            weight: part("weight")?,
            bias: part("bias")?,
        })
    };
    plans.iter().map(&mut build).collect()
}

/// A copy of the values of parameters.
pub(crate) fn export(named: &[(String, Var)]) -> Result<BTreeMap<String, Values>> {
    let one = |(name, var): &(String, Var)| {
        let values = Values {
            shape: var.dims().to_vec(),
            data: var.flatten_all()?.to_vec1()?,
        };
        Ok((name.clone(), values))
    };
    named.iter().map(one).collect()
}
