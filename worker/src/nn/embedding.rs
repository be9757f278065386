//! A vector for each of `count` ids: ids of any shape `[…]` → `[…, width]`.

use candle_core::{Result, Tensor};

use super::build::{Build, Init};
use super::composed;

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
        let ids = ids.flatten_all()?;
        if composed::wanted(&self.weight) {
            return composed::embedding::rows(&self.weight, &ids)?.reshape(shape);
        }
        // Its gradient adds up where an id occurs more than once.
        self.weight.index_select(&ids, 0)?.reshape(shape)
    }
}
