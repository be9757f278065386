//! How weights lie here, and how PyTorch has them: linear `[out, in]`,
//! convolution `[out, in/groups, kh, kw]`, transposed convolution
//! `[in, out/groups, kh, kw]`. All else lies the same in both.

use candle_core::{Device, Result, Tensor};

use super::layer::Kind;
use super::params::Values;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Same,
    Linear,
    Conv { groups: usize },
    Transposed { groups: usize },
}

impl Layout {
    /// Of the weight of a layer.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Linear => Self::Linear,
            Kind::Conv(window) => Self::Conv {
                groups: window.groups,
            },
            Kind::Transposed(window) => Self::Transposed {
                groups: window.groups,
            },
        }
    }

    /// Values as PyTorch has them.
    ///
    /// # Errors
    /// When the values are not of this layout.
    pub(crate) fn to_pytorch(self, values: Values) -> Result<Values> {
        let axes: &[usize] = match self {
            Self::Same => return Ok(values),
            Self::Linear => &[1, 0],
            Self::Conv { groups: 1 } => &[3, 2, 0, 1],
            Self::Conv { .. } => &[0, 4, 3, 1, 2],
            Self::Transposed { groups: 1 } => &[0, 3, 1, 2],
            Self::Transposed { .. } => &[0, 1, 4, 2, 3],
        };
        let data = Tensor::from_vec(values.data, values.shape, &Device::Cpu)?;
        let data = data.permute(axes)?;
        // The groups come first; PyTorch has them within the first axis.
        let data = match axes.len() {
            5 => data.flatten(0, 1)?,
            _ => data,
        };
        Ok(Values {
            shape: data.dims().to_vec(),
            data: data.flatten_all()?.to_vec1()?,
        })
    }
}
