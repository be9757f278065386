//! What a convolution and a transposed one have in common: a window that
//! slides over the image of one side (`wide`) and stops at the sites of the
//! other (`narrow`). A convolution goes from wide to narrow; a transposed one
//! goes from narrow to wide; each is the way back of the other.
//!
//! An implementation is one way to compute it. All of them take rows of
//! channels, images one after another, and give the same bits for any number
//! of threads: work is cut by shapes alone.

use super::act::Act;
use super::workspace::Buffer;

/// Bias and activation, applied by whoever writes the output.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub(super) act: Act,
    pub(super) bias: &'a [f32],
}

impl Finish<'_> {
    /// In place on rows of all channels.
    pub(super) fn rows(&self, rows: &mut [f32]) {
        self.act.finish(rows, self.bias);
    }

    /// In place on the channels of one row from `first` on.
    pub(super) fn stretch(&self, first: usize, values: &mut [f32]) {
        self.act
            .finish(values, &self.bias[first..first + values.len()]);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Wide,
    Narrow,
}

/// Which gradients are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) weight: bool,
    /// The side of the input, whose gradient comes from the other one.
    pub(super) side: Option<Side>,
}

pub(super) struct Gradients {
    pub(super) weight: Option<Buffer>,
    pub(super) side: Option<Vec<f32>>,
}

pub(super) trait Sides: Send + Sync {
    /// A convolution with its bias and activation.
    fn to_narrow(&self, wide: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32>;

    /// A transposed convolution with its bias and activation.
    fn to_wide(&self, narrow: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32>;

    /// The gradients when one of the sides is an input and the
    /// other a gradient.
    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Want) -> Gradients;
}
