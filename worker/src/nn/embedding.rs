//! A vector for each of `count` ids: ids of any shape `[…]` → `[…, width]`.

use candle_core::{Result, Tensor};

use super::build::{Build, Init};

#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    /// `[count, width]`.
    pub(super) weight: Tensor,
}

/// # Errors
/// When the name is taken.
pub(crate) fn embedding(
    build: &mut Build,
    name: &str,
    [count, width]: [usize; 2],
    init: Init,
) -> Result<Embedding> {
    let weight = build.parameter(&format!("{name}.weight"), &[count, width], init)?;
    Ok(Embedding { weight })
}

impl Embedding {
    /// # Errors
    /// When an id is not below the count.
    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut shape = ids.dims().to_vec();
        shape.push(self.weight.dim(1)?);
        // Its gradient adds up where an id occurs more than once.
        let rows = self.weight.index_select(&ids.flatten_all()?, 0)?;
        rows.reshape(shape)
    }
}
