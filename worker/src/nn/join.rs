//! Channels side by side: `[rows, a]` and `[rows, b]` → `[rows, a + b]`.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::layer::{values, with_values};
use super::pieces::piece;
use super::{backward, composed, graph};

/// # Errors
/// When the rows are not as many.
pub(crate) fn join(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if composed::wanted(x) {
        return Tensor::cat(&[x, y], 1);
    }
    let ((rows, left), (others, right)) = (x.dims2()?, y.dims2()?);
    if rows != others || left * right == 0 {
        bail!("{rows} rows of {left} channels beside {others} of {right}");
    }
    graph::apply2(&x.contiguous()?, &y.contiguous()?, Join { left, right })
}

struct Join {
    left: usize,
    right: usize,
}

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self { left, right } = *self;
        let (x, y) = (values(x, x_layout)?, values(y, y_layout)?);
        let rows = x.len() / left;
        let piece = piece(rows, left + right);
        let mut out = vec![0.0; x.len() + y.len()];
        let parts = out.par_chunks_mut(piece * (left + right));
        let parts = parts.zip(x.par_chunks(piece * left));
        let parts = parts.zip(y.par_chunks(piece * right));
        parts.for_each(|((out, x), y)| {
            let rows = out.chunks_exact_mut(left + right);
            let rows = rows.zip(x.chunks_exact(left)).zip(y.chunks_exact(right));
            for ((out, x), y) in rows {
                out[..left].copy_from_slice(x);
                out[left..].copy_from_slice(y);
            }
        });
        Ok((CpuStorage::F32(out), (rows, left + right).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward::done(output);
        let part = |like: &Tensor, from: usize| {
            let width = like.dim(1)?;
            let mut part = vec![0.0; like.elem_count()];
            with_values(grad, |grad| {
                let all = self.left + self.right;
                let piece = piece(grad.len() / all, all);
                let parts = part.par_chunks_mut(piece * width);
                parts
                    .zip(grad.par_chunks(piece * all))
                    .for_each(|(part, grad)| {
                        let rows = part.chunks_exact_mut(width);
                        for (part, grad) in rows.zip(grad.chunks_exact(all)) {
                            part.copy_from_slice(&grad[from..from + width]);
                        }
                    });
                Ok(())
            })?;
            Tensor::from_vec(part, like.shape(), like.device())
        };
        Ok((Some(part(x, 0)?), Some(part(y, self.left)?)))
    }
}
