//! The same linear map `[in, out]` at every row: linear layers, and 1×1
//! convolutions of either kind without stride, padding and groups.

use super::gemm::{Matrix, parallel};
use super::sides::{Finish, Gradients, Sides, Want};
use super::workspace::Buffer;

/// Up to so many rows, packing a weight the other way round costs more than
/// turning what comes out.
const FEW: usize = 128;

#[derive(Debug, Clone, Copy)]
pub(super) struct Pointwise {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Pointwise {
    fn rows(&self, narrow: &[f32]) -> usize {
        narrow.len() / self.outputs.max(1)
    }
}

impl Sides for Pointwise {
    fn to_narrow(&self, wide: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let rows = wide.len() / self.inputs.max(1);
        let mut y = vec![0.0; rows * self.outputs];
        let x = Matrix::new(wide, rows, self.inputs);
        let w = Matrix::new(weight, self.inputs, self.outputs);
        parallel(&mut y, x, w, |first, values| finish.stretch(first, values));
        y
    }

    /// The map is its own kind of convolution: what enters is wide.
    fn to_wide(&self, narrow: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        self.to_narrow(narrow, weight, finish)
    }

    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Want) -> Gradients {
        let rows = self.rows(narrow);
        let x = Matrix::new(wide, rows, self.inputs);
        let g = Matrix::new(narrow, rows, self.outputs);
        let gw = want.weight.then(|| {
            let mut gw = Buffer::take(weight.len());
            parallel(&mut gw, x.t(), g, |_, _| ());
            gw
        });
        let side = want.side.map(|_| {
            let w = Matrix::new(weight, self.inputs, self.outputs);
            let mut gx = vec![0.0; wide.len()];
            if rows > FEW {
                parallel(&mut gx, g, w.t(), |_, _| ());
                return gx;
            }
            let mut turned = Buffer::take(wide.len());
            parallel(&mut turned, w, g.t(), |_, _| ());
            turn(&turned, rows, &mut gx);
            gx
        });
        Gradients { weight: gw, side }
    }
}

/// `[n, rows]` → `[rows, n]`, tile by tile.
fn turn(from: &[f32], rows: usize, to: &mut [f32]) {
    const TILE: usize = 16;
    let n = from.len() / rows.max(1);
    for left in (0..n).step_by(TILE) {
        let right = (left + TILE).min(n);
        for (row, to) in to.chunks_exact_mut(n).enumerate() {
            for (at, to) in (left..right).zip(&mut to[left..right]) {
                *to = from[at * rows + row];
            }
        }
    }
}
