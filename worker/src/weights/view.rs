//! A tensor in its storage, as PyTorch stores it: an offset, a shape, and a
//! stride for each axis, all counted in elements.

use safetensors::Dtype;

const MAX_RANK: usize = 64;

#[derive(Debug)]
pub(super) struct View {
    pub(super) storage: String,
    /// Elements of the storage.
    pub(super) held: u64,
    pub(super) dtype: Dtype,
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<u64>,
}

impl View {
    pub(super) fn width(&self) -> u64 {
        (self.dtype.bitsize() / 8) as u64
    }

    /// Bytes of the tensor, all of whose elements are in its storage.
    pub(super) fn check(&self) -> Result<u64, String> {
        let shape = &self.shape;
        if shape.len() > MAX_RANK {
            return Err(format!("it has {} dimensions", shape.len()));
        }
        let count = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64));
        let count = count.ok_or_else(|| format!("the shape {shape:?} is too large"))?;
        let held = self.held;
        if count > held {
            return Err(format!(
                "the shape {shape:?} has more values than its storage, {held}; \
                 if it was expanded, save a .clone() of it"
            ));
        }
        let steps = shape.iter().zip(&self.strides);
        let last = steps.into_iter().try_fold(self.offset, |at, (d, stride)| {
            at.checked_add((*d as u64).saturating_sub(1).checked_mul(*stride)?)
        });
        if count > 0 && last.is_none_or(|last| last >= held) {
            let (offset, strides) = (self.offset, &self.strides);
            return Err(format!(
                "offset {offset}, shape {shape:?} and strides {strides:?} reach beyond its \
                 storage of {held} values"
            ));
        }
        count
            .checked_mul(self.width())
            .ok_or_else(|| format!("the shape {shape:?} is too large"))
    }

    /// Row-major bytes, from those of the storage.
    pub(super) fn gather(&self, storage: &[u8]) -> Option<Vec<u8>> {
        let width = self.dtype.bitsize() / 8;
        let count: usize = self.shape.iter().product();
        if count == 0 {
            return Some(Vec::new());
        }
        if self.is_contiguous() {
            let start = usize::try_from(self.offset).ok()? * width;
            return storage
                .get(start..start + count * width)
                .map(<[u8]>::to_vec);
        }
        let mut bytes = Vec::with_capacity(count * width);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..count {
            let steps = index.iter().zip(&self.strides);
            let at = self.offset + steps.map(|(i, stride)| *i as u64 * stride).sum::<u64>();
            let at = usize::try_from(at).ok()? * width;
            bytes.extend_from_slice(storage.get(at..at + width)?);
            // The last axis runs fastest.
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Some(bytes)
    }

    fn is_contiguous(&self) -> bool {
        let mut dense = 1;
        let axes = self.shape.iter().zip(&self.strides).rev();
        axes.into_iter().all(|(size, stride)| {
            let fits = *size == 1 || *stride == dense;
            dense *= *size as u64;
            fits
        })
    }
}
