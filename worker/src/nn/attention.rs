//! Self-attention between the sites of an image: `[n·h·w, c]` → the same.
//! One linear map makes queries, keys and values, `[n·h·w, 3c]`; each of
//! `heads` heads attends with c/heads of their channels; another map mixes
//! the heads. The attention itself is one op that keeps no matrix of weights.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::backward;
use super::build::Build;
use super::composed;
use super::gemm::{Matrix, product};
use super::graph;
use super::layer::{Act, Kind, Layer, Rows, values, with_values};
use super::softmax::exponentials;

#[derive(Debug, Clone)]
pub(crate) struct Attention {
    heads: usize,
    /// c → 3c and c → c.
    inputs: Layer,
    output: Layer,
}

/// # Errors
/// When the heads do not divide the channels, or a name is taken.
pub(crate) fn attention(
    build: &mut Build,
    name: &str,
    heads: usize,
    channels: usize,
) -> Result<Attention> {
    if heads == 0 || !channels.is_multiple_of(heads) {
        bail!("{channels} channels cannot be in {heads} equal heads");
    }
    let mut linear = |part: &str, outputs| {
        let name = format!("{name}.{part}");
        build.layer(&name, Kind::Linear, [channels, outputs], Act::None)
    };
    Ok(Attention {
        heads,
        inputs: linear("qkv", 3 * channels)?,
        output: linear("out", channels)?,
    })
}

impl Attention {
    /// # Errors
    /// When the input has another number of channels.
    pub(crate) fn forward(&self, x: &Rows) -> Result<Rows> {
        let qkv = self.inputs.forward(x)?.data;
        let data = attend(&qkv, x.h * x.w, self.heads)?;
        self.output.forward(&Rows { data, ..*x })
    }
}

/// softmax(QKᵀ/√d)·V in each image and head: `[n·sites, 3c]` → `[n·sites, c]`.
///
/// # Errors
/// When the shape is not that of queries, keys and values of so many heads.
pub(super) fn attend(qkv: &Tensor, sites: usize, heads: usize) -> Result<Tensor> {
    let (rows, columns) = qkv.dims2()?;
    let whole = sites > 0 && heads > 0 && rows.is_multiple_of(sites);
    if !whole || columns == 0 || !columns.is_multiple_of(3 * heads) {
        bail!(
            "{rows}×{columns} values are no queries, keys and values of {heads} heads at {sites} \
             sites"
        );
    }
    if composed::wanted(qkv) {
        return composed::attention::attend(qkv, sites, heads);
    }
    let width = columns / 3;
    let op = Attend {
        sites,
        heads,
        width,
    };
    graph::apply1(&qkv.contiguous()?, op)
}

struct Attend {
    sites: usize,
    heads: usize,
    /// c.
    width: usize,
}

/// Queries, keys and values of one head in one image, `[sites, d]` each.
struct Head {
    parts: [Vec<f32>; 3],
    /// The attention's weights, `[sites, sites]`.
    weights: Vec<f32>,
}

impl Attend {
    /// Channels of a head.
    fn size(&self) -> usize {
        self.width / self.heads
    }

    /// Where the rows of one head of one part (0 to 2) lie in an image.
    fn slices(&self, part: usize, head: usize) -> impl Iterator<Item = usize> + use<> {
        let (width, size) = (self.width, self.size());
        (0..self.sites).map(move |site| (3 * site + part) * width + head * size)
    }

    fn head(&self, image: &[f32], head: usize) -> Head {
        let size = self.size();
        let parts = [0, 1, 2].map(|part| {
            let rows = self.slices(part, head);
            rows.flat_map(|at| &image[at..at + size]).copied().collect()
        });
        let [queries, keys, _]: &[Vec<f32>; 3] = &parts;
        let mut weights = vec![0.0; self.sites * self.sites];
        let of = |part| Matrix::new(part, self.sites, size);
        product(&mut weights, of(queries), of(keys).t(), false);
        let scale = scale(size);
        for row in weights.chunks_exact_mut(self.sites) {
            let [_, sum] = exponentials(row, scale);
            row.iter_mut().for_each(|x| *x /= sum);
        }
        Head { parts, weights }
    }

    fn forward(&self, qkv: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; qkv.len() / 3];
        let image = 3 * self.sites * self.width;
        let parts = out.par_chunks_mut(image / 3).zip(qkv.par_chunks(image));
        parts.for_each(|(out, image)| {
            let size = self.size();
            let mut mixed = vec![0.0; self.sites * size];
            for index in 0..self.heads {
                let head = self.head(image, index);
                let weights = Matrix::new(&head.weights, self.sites, self.sites);
                let values = Matrix::new(&head.parts[2], self.sites, size);
                product(&mut mixed, weights, values, false);
                let rows = out.chunks_exact_mut(self.width);
                for (row, mixed) in rows.zip(mixed.chunks_exact(size)) {
                    row[index * size..(index + 1) * size].copy_from_slice(mixed);
                }
            }
        });
        out
    }

    fn backward(&self, qkv: &[f32], grad: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; qkv.len()];
        let image = 3 * self.sites * self.width;
        let parts = out.par_chunks_mut(image).zip(qkv.par_chunks(image));
        let parts = parts.zip(grad.par_chunks(image / 3));
        parts.for_each(|((out, image), grad)| {
            for head in 0..self.heads {
                self.head_backward(out, image, grad, head);
            }
        });
        out
    }

    /// Writes one head's gradients of queries, keys and values.
    fn head_backward(&self, out: &mut [f32], image: &[f32], grad: &[f32], index: usize) {
        let sites = self.sites;
        let size = self.size();
        let head = self.head(image, index);
        let rows = grad.chunks_exact(self.width);
        let grad: Vec<f32> = rows
            .flat_map(|row| &row[index * size..(index + 1) * size])
            .copied()
            .collect();
        let narrow = |values| Matrix::new(values, sites, size);
        let square = |values| Matrix::new(values, sites, sites);
        let [queries, keys, values] = head.parts.each_ref().map(|part| narrow(part));
        let mut by_part = [(); 3].map(|()| vec![0.0; sites * size]);
        let [by_queries, by_keys, by_values] = &mut by_part;
        product(by_values, square(&head.weights).t(), narrow(&grad), false);
        let mut by_weights = vec![0.0; sites * sites];
        product(&mut by_weights, narrow(&grad), values.t(), false);
        let scale = scale(size);
        let rows = by_weights.chunks_exact_mut(sites);
        for (grads, weights) in rows.zip(head.weights.chunks_exact(sites)) {
            let pairs = grads.iter().zip(weights);
            let mean: f32 = pairs.map(|(g, w)| g * w).sum();
            for (g, w) in grads.iter_mut().zip(weights) {
                *g = scale * w * (*g - mean);
            }
        }
        product(by_queries, square(&by_weights), keys, false);
        product(by_keys, square(&by_weights).t(), queries, false);
        for (part, values) in by_part.iter().enumerate() {
            let rows = values.chunks_exact(size);
            for (at, row) in self.slices(part, index).zip(rows) {
                out[at..at + size].copy_from_slice(row);
            }
        }
    }
}

/// 1/√d.
fn scale(size: usize) -> f32 {
    1.0 / (size as f32).sqrt()
}

impl CustomOp1 for Attend {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        let out = self.forward(values(qkv, layout)?);
        Ok((CpuStorage::F32(out), (rows, self.width).into()))
    }

    fn bwd(&self, qkv: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::done(y);
        let out = with_values(qkv, |x| with_values(grad, |g| Ok(self.backward(x, g))))?;
        Ok(Some(Tensor::from_vec(out, qkv.shape(), qkv.device())?))
    }
}
