//! Inception's weights in a file that a user brings: whether they are those
//! of the network that FID is computed with, and the file that is kept of
//! them.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;

use super::{Error, TensorInfo, Weights, write};
use crate::models::inception;
use crate::nn::params::Values;

/// Begins the names of what torchvision's training needs besides.
const AUXILIARY: &str = "AuxLogits.";
/// Ends the names of counters that inference does not need.
const COUNTER: &str = ".num_batches_tracked";

/// All tensors of the network, f32, as PyTorch lays them out.
#[derive(Debug)]
pub struct InceptionWeights {
    pub(crate) values: BTreeMap<String, Values>,
    /// Tensors of the file that are of no use here and not known.
    pub unknown: Vec<String>,
    /// Those of the auxiliary classifier, which are not needed.
    pub auxiliary: usize,
}

impl InceptionWeights {
    /// Names and shapes of the network's tensors.
    pub fn expected() -> Vec<(String, Vec<usize>)> {
        inception::expected()
    }

    /// Takes the network's tensors out of a file. Names and shapes are looked
    /// at before anything is read.
    ///
    /// # Errors
    /// Names the first tensor that is missing, of another shape or type, or
    /// not finite, and what was expected.
    pub fn read(weights: &mut Weights) -> Result<Self, Error> {
        let path = weights.path.clone();
        let wrong = |why: String| Error::format(&path, format!("{why}; {WANTED}"));
        let expected = Self::expected();
        let tensors = weights.tensors().iter().enumerate();
        let mut found: HashMap<String, (usize, TensorInfo)> = tensors
            .map(|(index, tensor)| (tensor.name.clone(), (index, tensor.clone())))
            .collect();
        let mut places = Vec::with_capacity(expected.len());
        for (name, shape) in &expected {
            let Some((index, tensor)) = found.remove(name) else {
                return Err(wrong(format!("it has no tensor {name}, {shape:?}")));
            };
            if tensor.shape != *shape {
                let is = &tensor.shape;
                return Err(wrong(format!("{name} is {is:?}, expected {shape:?}")));
            }
            places.push((index, real(&tensor).map_err(wrong)?));
        }
        let mut values = BTreeMap::new();
        for ((name, shape), (index, dtype)) in expected.into_iter().zip(places) {
            let bytes = weights.bytes(index)?;
            let data = floats(&bytes, dtype, &shape).map_err(|e| wrong(format!("{name}: {e}")))?;
            let variance = name.ends_with(".running_var");
            if let Some(odd) = data
                .iter()
                .find(|v| !v.is_finite() || variance && **v < 0.0)
            {
                return Err(wrong(format!(
                    "{name} holds {odd}, which no training leaves"
                )));
            }
            values.insert(name, Values { shape, data });
        }
        let mut unknown: Vec<String> = found.into_keys().collect();
        let rest = unknown.len();
        unknown.retain(|name| !name.starts_with(AUXILIARY));
        let auxiliary = rest - unknown.len();
        unknown.retain(|name| !name.ends_with(COUNTER));
        unknown.sort();
        Ok(Self {
            values,
            unknown,
            auxiliary,
        })
    }

    /// A safetensors file of these tensors and no others: equal weights have
    /// equal bytes, whatever file they came in.
    ///
    /// # Errors
    /// None is expected.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let info = |(name, values): (&String, &Values)| TensorInfo {
            name: name.clone(),
            dtype: Dtype::F32,
            shape: values.shape.clone(),
        };
        let tensors: Vec<TensorInfo> = self.values.iter().map(info).collect();
        let values: Vec<&Values> = self.values.values().collect();
        let metadata = BTreeMap::from([("network".to_owned(), "inception".to_owned())]);
        let total: usize = tensors.iter().map(TensorInfo::bytes).sum();
        let mut out = Vec::with_capacity(total + (1 << 16));
        write::write_to(&mut out, metadata, &tensors, |index| {
            let data = values[index].data.iter();
            Ok(data.flat_map(|v| v.to_le_bytes()).collect())
        })?;
        Ok(out)
    }
}

/// Ends the messages.
const WANTED: &str = "the weights of FID's Inception-v3 are wanted (1008 classes; pytorch-fid and \
     torch-fidelity call the file …inception-2015-12-05-6726825d.pth)";

/// The type of a tensor of real numbers.
fn real(tensor: &TensorInfo) -> Result<DType, String> {
    match tensor.dtype {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F64 => Ok(DType::F64),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        other => Err(format!(
            "{} is of type {other:?}, expected F32",
            tensor.name
        )),
    }
}

fn floats(bytes: &[u8], dtype: DType, shape: &[usize]) -> candle_core::Result<Vec<f32>> {
    let tensor = Tensor::from_raw_buffer(bytes, dtype, shape, &Device::Cpu)?;
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
