//! The same linear map `[in, out]` at every row: linear layers, and 1×1
//! convolutions of either kind without stride, padding and groups.

use super::gemm::{Matrix, parallel};
use super::sides::{Finish, Gradients, Side, Sides};

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

    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Option<Side>) -> Gradients {
        let rows = self.rows(narrow);
        let x = Matrix::new(wide, rows, self.inputs);
        let g = Matrix::new(narrow, rows, self.outputs);
        let mut gw = vec![0.0; weight.len()];
        parallel(&mut gw, x.t(), g, |_, _| ());
        let side = want.map(|_| {
            let mut gx = vec![0.0; wide.len()];
            let w = Matrix::new(weight, self.inputs, self.outputs);
            parallel(&mut gx, g, w.t(), |_, _| ());
            gx
        });
        Gradients { weight: gw, side }
    }
}
