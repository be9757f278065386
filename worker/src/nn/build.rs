//! Where a network's parameters come from while it is built: fresh from a
//! seed, from stored values, or an outline of names and shapes alone, which
//! allocates nothing. One constructor per layer serves all three.
//!
//! Parameters are trained; buffers (running statistics) are only stored.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use super::layer::{Act, Kind, Layer, Plan};
use super::layout::Layout;
use super::params::{Named, Values};
use super::rng::stream;

/// Initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    Constant(f32),
    /// U(−bound, bound).
    Uniform(f32),
    /// N(0, 1).
    Normal,
}

#[derive(Debug)]
enum Source {
    Seed(u64),
    Values(BTreeMap<String, Values>),
    Outline,
}

#[derive(Debug)]
pub(crate) struct Build {
    source: Source,
    pub(crate) parameters: Named,
    pub(crate) buffers: Named,
    /// Of all parameters and buffers.
    pub(crate) shapes: BTreeMap<String, Vec<usize>>,
    /// Of the weights that do not lie as PyTorch's do.
    pub(crate) layouts: BTreeMap<String, Layout>,
    /// How many values are trained.
    pub(crate) count: usize,
}

impl Build {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::new(Source::Seed(seed))
    }

    /// From the values of parameters and buffers.
    pub(crate) fn stored(values: BTreeMap<String, Values>) -> Self {
        Self::new(Source::Values(values))
    }

    /// Names, shapes and counts. What is built so must not run.
    pub(crate) fn outline() -> Self {
        Self::new(Source::Outline)
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            parameters: Named::new(),
            buffers: Named::new(),
            shapes: BTreeMap::new(),
            layouts: BTreeMap::new(),
            count: 0,
        }
    }

    /// A trained parameter. Each has a random stream of its own, by its name,
    /// so that adding a layer moves no other.
    ///
    /// # Errors
    /// When the name is taken, or there are no stored values of this shape.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let tensor = self.tensor(name, shape, init)?;
        self.count += tensor.elem_count();
        if matches!(self.source, Source::Outline) {
            return Ok(tensor);
        }
        let var = Var::from_tensor(&tensor)?;
        let tensor = var.as_tensor().clone();
        self.parameters.push((name.to_owned(), var));
        Ok(tensor)
    }

    /// A stored value that is not trained.
    ///
    /// # Errors
    /// As for a parameter.
    pub(crate) fn buffer(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let var = Var::from_tensor(&self.tensor(name, shape, init)?)?;
        self.buffers.push((name.to_owned(), var.clone()));
        Ok(var)
    }

    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        if self
            .shapes
            .insert(name.to_owned(), shape.to_vec())
            .is_some()
        {
            bail!("two parameters are called {name}");
        }
        let data = match &mut self.source {
            Source::Outline => {
                return Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape);
            }
            Source::Seed(seed) => draw(*seed, name, shape.iter().product(), init),
            Source::Values(values) => match values.remove(name) {
                Some(values) if values.shape == shape => values.data,
                Some(values) => bail!("{name} is {:?}, not {shape:?}", values.shape),
                None => bail!("no values for the parameter {name}"),
            },
        };
        Tensor::from_vec(data, shape, &Device::Cpu)
    }

    /// A convolution or linear layer with PyTorch's default initialisation:
    /// U(−1/√fan_in, 1/√fan_in) for weight and bias.
    ///
    /// # Errors
    /// As for a parameter.
    pub(crate) fn layer(
        &mut self,
        name: &str,
        kind: Kind,
        [inputs, outputs]: [usize; 2],
        act: Act,
    ) -> Result<Layer> {
        let plan = Plan {
            name: name.to_owned(),
            kind,
            inputs,
            outputs,
            act,
        };
        let init = Init::Uniform(1.0 / (plan.fan_in() as f32).sqrt());
        let name = &plan.name;
        let weight = format!("{name}.weight");
        self.layouts.insert(weight.clone(), Layout::of(kind));
        let weight = self.parameter(&weight, &plan.weight_shape(), init)?;
        let bias = self.parameter(&format!("{name}.bias"), &[outputs], init)?;
        Ok(Layer { plan, weight, bias })
    }

    /// Ends with what was registered.
    ///
    /// # Errors
    /// When stored values were left over.
    pub(crate) fn finish(self) -> Result<[Named; 2]> {
        if let Source::Values(values) = &self.source
            && let Some(name) = values.keys().next()
        {
            bail!("{name} is no parameter of this network");
        }
        Ok([self.parameters, self.buffers])
    }
}

fn draw(seed: u64, name: &str, count: usize, init: Init) -> Vec<f32> {
    let mut rng = stream(seed, &format!("init {name}"), 0);
    match init {
        Init::Constant(value) => vec![value; count],
        Init::Uniform(bound) => (0..count).map(|_| bound * rng.signed()).collect(),
        Init::Normal => rng.normals(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layer::linear;
    use crate::nn::params;

    fn build(mut build: Build) -> (Layer, Build) {
        let layer = build.layer("a", Kind::Linear, [3, 2], Act::None).unwrap();
        build.buffer("a.mean", &[2], Init::Constant(0.5)).unwrap();
        (layer, build)
    }

    #[test]
    fn all_sources_agree() {
        let (outlined, outline) = build(Build::outline());
        assert_eq!(outlined.weight.dims(), [3, 2]);
        assert_eq!((outline.count, outline.shapes.len()), (8, 3));
        assert!(outline.finish().unwrap()[0].is_empty());

        let (fresh, seeded) = build(Build::seeded(5));
        let [initial, _] = params::initial(&fresh.plan, 5);
        let weight: Vec<f32> = fresh.weight.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(weight, initial.1.data, "the same as a planned layer");
        let [mut all, buffers] = seeded.finish().unwrap();
        all.extend(buffers);

        let mut values = params::export(&all).unwrap();
        let (stored, done) = build(Build::stored(values.clone()));
        done.finish().unwrap();
        let x = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
        let y = |layer| linear(layer, &x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y(&fresh), y(&stored));

        values.insert("b".to_owned(), values["a.bias"].clone());
        assert!(build(Build::stored(values.clone())).1.finish().is_err());
        values.remove("a.weight");
        let mut part = Build::stored(values);
        assert!(part.layer("a", Kind::Linear, [3, 2], Act::None).is_err());
        let mut twice = Build::outline();
        twice.buffer("x", &[1], Init::Normal).unwrap();
        assert!(twice.buffer("x", &[1], Init::Normal).is_err());
    }

    #[test]
    fn a_parameter_keeps_its_values_whatever_stands_beside_it() {
        let alone = Build::seeded(1).parameter("p", &[4], Init::Normal).unwrap();
        let mut both = Build::seeded(1);
        both.parameter("other", &[2], Init::Normal).unwrap();
        let beside = both.parameter("p", &[4], Init::Normal).unwrap();
        let values = |t: &Tensor| t.to_vec1::<f32>().unwrap();
        assert_eq!(values(&alone), values(&beside));
    }
}
