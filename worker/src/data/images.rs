//! Images in memory: `[n, c, h, w]` f32 in [−1, 1].

use candle_core::{Result, Tensor};

use crate::nn::device::device;
use crate::nn::layer::Rows;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    pub(crate) n: usize,
    pub(crate) channels: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) data: Vec<f32>,
}

impl Images {
    /// Elements of one image.
    pub(crate) fn size(&self) -> usize {
        self.channels * self.h * self.w
    }

    pub(crate) fn shape(&self) -> [usize; 4] {
        [self.n, self.channels, self.h, self.w]
    }

    pub(crate) fn image(&self, index: usize) -> &[f32] {
        &self.data[index * self.size()..(index + 1) * self.size()]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.size().max(1))
    }

    /// Copies of at most `n` images at a time.
    pub(crate) fn chunks(&self, n: usize) -> impl Iterator<Item = Self> {
        let size = self.size().max(1);
        self.data.chunks(n * size).map(move |data| Self {
            n: data.len() / size,
            data: data.to_vec(),
            ..*self
        })
    }

    /// The first `n` images, or all of them.
    pub(crate) fn first(&self, n: usize) -> Self {
        let n = n.min(self.n);
        Self {
            n,
            data: self.data[..n * self.size()].to_vec(),
            ..*self
        }
    }

    /// As rows of sites, `[n·h·w, c]`.
    ///
    /// # Errors
    /// None is expected: sizes agree by construction.
    pub(crate) fn rows(&self) -> Result<Rows> {
        let (n, c, h, w) = (self.n, self.channels, self.h, self.w);
        let data = transpose(&self.data, n, c, h * w);
        Ok(Rows {
            data: Tensor::from_vec(data, (n * h * w, c), &device())?,
            n,
            h,
            w,
        })
    }

    /// Back from rows of sites, clamped to [−1, 1] as every metric wants it.
    ///
    /// # Errors
    /// When the rows are not those of `rows.n` images.
    pub(crate) fn from_rows(rows: &Rows) -> Result<Self> {
        let (n, h, w) = (rows.n, rows.h, rows.w);
        let (count, channels) = rows.data.dims2()?;
        if count != n * h * w {
            candle_core::bail!("{count} rows are not {n} images of {h}×{w}");
        }
        let data = rows.data.flatten_all()?.to_vec1::<f32>()?;
        let mut data = transpose(&data, n, h * w, channels);
        for value in &mut data {
            *value = value.clamp(-1.0, 1.0);
        }
        Ok(Self {
            n,
            channels,
            h,
            w,
            data,
        })
    }
}

/// `[n, a, b]` → `[n, b, a]`.
fn transpose(data: &[f32], n: usize, a: usize, b: usize) -> Vec<f32> {
    if a == 1 || b == 1 {
        return data.to_vec();
    }
    let mut out = Vec::with_capacity(data.len());
    for image in 0..n {
        let image = &data[image * a * b..(image + 1) * a * b];
        out.extend((0..b).flat_map(|j| (0..a).map(move |i| image[i * b + j])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_the_channels_of_a_site_side_by_side() {
        let images = Images {
            n: 1,
            channels: 2,
            h: 1,
            w: 3,
            data: vec![0.1, 0.2, 0.3, -0.1, -0.2, -0.3],
        };
        let rows = images.rows().unwrap();
        assert_eq!(
            rows.data.to_vec2::<f32>().unwrap(),
            [[0.1, -0.1], [0.2, -0.2], [0.3, -0.3]]
        );
        assert_eq!(Images::from_rows(&rows).unwrap(), images);
    }
}
