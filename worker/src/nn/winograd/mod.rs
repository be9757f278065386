//! Convolutions with 3×3 windows of stride 1 and 4×4 windows of stride 2 by
//! minimal filtering: 2.25 and 1.8 times fewer products than their patches
//! have. Both kinds have mild constants (0, ±1, ½), so that results are as
//! exact as a plain sum in f32.
//!
//! A block of images becomes matrices, one for each point; weights likewise;
//! their products are the outputs' points. Weights as in `im2col`.

mod filter;
mod tile;
mod transform;

use std::marker::PhantomData;

use rayon::prelude::*;

use super::gemm::{Matrix, product, product_into};
use super::sides::{Finish, Gradients, Side, Sides, Want};
use super::unfold::Unfold;
use super::workspace::Buffer;
use filter::Filter;
use tile::{Four, LANES, Three, Tile};
use transform::Grid;

/// Tiles per block, about: the rows of its products.
const BLOCK: usize = 64;

/// Elements of the points of both sides kept for the weight's gradient.
const SLAB: usize = 1 << 22;

struct Winograd<T> {
    wide: Grid,
    narrow: Grid,
    transposed: bool,
    tile: PhantomData<T>,
}

/// The fast way for a window, if there is one. Whether there is depends on
/// one image's shape alone.
pub(super) fn fast(u: &Unfold, narrow: usize, transposed: bool) -> Option<Box<dyn Sides>> {
    let plain = u.groups == 1 && u.dilation == [1, 1];
    let lanes = u.channels.is_multiple_of(LANES) && narrow.is_multiple_of(LANES);
    if !plain || !lanes {
        return None;
    }
    match (u.kernel, u.stride) {
        ([3, 3], [1, 1]) => Winograd::<Three>::boxed(u, narrow, transposed),
        ([4, 4], [2, 2]) => Winograd::<Four>::boxed(u, narrow, transposed),
        _ => None,
    }
}

impl<T: Tile> Winograd<T> {
    const POINTS: usize = T::POINTS * T::POINTS;
    const PHASES: usize = T::PHASES * T::PHASES;

    fn boxed(u: &Unfold, narrow: usize, transposed: bool) -> Option<Box<dyn Sides>> {
        let tiles = [u.out_h.div_ceil(2), u.out_w.div_ceil(2)];
        let this = Self {
            wide: Grid {
                h: u.h,
                w: u.w,
                channels: u.channels,
                tiles,
                step: 2 * T::STRIDE,
                before: u.padding,
            },
            narrow: Grid {
                h: u.out_h,
                w: u.out_w,
                channels: narrow,
                tiles,
                step: 2,
                before: [0, 0],
            },
            transposed,
            tile: PhantomData::<T>,
        };
        let image = Self::POINTS * this.tiles() * (this.depth() + narrow);
        (image <= SLAB).then(|| Box::new(this) as Box<dyn Sides>)
    }

    /// Tiles of an image.
    fn tiles(&self) -> usize {
        self.wide.tiles[0] * self.wide.tiles[1]
    }

    /// Values of a tile at a point, on the window's side.
    fn depth(&self) -> usize {
        Self::PHASES * self.wide.channels
    }

    fn block(&self) -> usize {
        BLOCK.div_ceil(self.tiles().max(1)).max(1)
    }

    fn shape(&self) -> Filter {
        let (wide, narrow) = (self.wide.channels, self.narrow.channels);
        if self.transposed {
            Filter {
                outer: narrow,
                inner: wide,
            }
        } else {
            Filter {
                outer: 1,
                inner: wide * narrow,
            }
        }
    }

    /// The weight's points.
    fn weights(&self, weight: &[f32]) -> Buffer {
        let mut points = Buffer::take(Self::POINTS * self.depth() * self.narrow.channels);
        filter::filter::<T>(self.shape(), weight, &mut points);
        points
    }

    /// A point of the weight, `[depth, narrow]`.
    fn weight<'a>(&self, points: &'a [f32], point: usize) -> Matrix<'a> {
        let (depth, narrow) = (self.depth(), self.narrow.channels);
        let points = &points[point * depth * narrow..(point + 1) * depth * narrow];
        if self.transposed {
            Matrix::new(points, narrow, depth).t()
        } else {
            Matrix::new(points, depth, narrow)
        }
    }

    /// Points of the window's side → narrow images.
    fn narrowed(&self, wide: &[&mut [f32]], weights: &[f32], out: &mut [f32]) {
        let (depth, channels) = (self.depth(), self.narrow.channels);
        let tiles = out.len() / self.narrow.image() * self.tiles();
        let mut buffer = Buffer::take(Self::POINTS * tiles * channels);
        for (point, out) in buffer.chunks_exact_mut(tiles * channels).enumerate() {
            let x = Matrix::new(&wide[point][..], tiles, depth);
            product(out, x, self.weight(weights, point), false);
        }
        let points: Vec<&[f32]> = buffer.chunks_exact(tiles * channels).collect();
        transform::output::<T>(&self.narrow, &points, out);
    }

    /// Points of the sites' side → added to wide images.
    fn widened(&self, narrow: &[&mut [f32]], weights: &[f32], out: &mut [f32]) {
        let (depth, channels) = (self.depth(), self.narrow.channels);
        let tiles = out.len() / self.wide.image() * self.tiles();
        let mut buffer = Buffer::take(Self::POINTS * tiles * depth);
        for (point, out) in buffer.chunks_exact_mut(tiles * depth).enumerate() {
            let x = Matrix::new(&narrow[point][..], tiles, channels);
            product(out, x, self.weight(weights, point).t(), false);
        }
        let points: Vec<&[f32]> = buffer.chunks_exact(tiles * depth).collect();
        transform::input_back::<T>(&self.wide, &points, out);
    }

    /// Adds a slab's part to the points of the weight's gradient.
    fn add_weights(&self, wide: &[f32], narrow: &[f32], tiles: usize, out: &mut [f32]) {
        let (depth, channels) = (self.depth(), self.narrow.channels);
        let points = out.par_chunks_exact_mut(depth * channels);
        points.enumerate().for_each(|(point, out)| {
            let wide = &wide[point * tiles * depth..(point + 1) * tiles * depth];
            let narrow = &narrow[point * tiles * channels..(point + 1) * tiles * channels];
            let (a, b, rows, cols) = if self.transposed {
                (narrow, wide, channels, depth)
            } else {
                (wide, narrow, depth, channels)
            };
            // Halves, so that few points keep all threads busy.
            let half = rows.div_ceil(2);
            out.par_chunks_mut(half * cols)
                .enumerate()
                .for_each(|(i, out)| {
                    let count = out.len() / cols;
                    let a = Matrix::strided(&a[i * half..], tiles, count, rows);
                    let b = Matrix::new(b, tiles, cols);
                    product_into(out, cols, a.t(), b, true);
                });
        });
    }
}

/// A block's share of each point.
fn blocks(points: &mut [f32], count: usize, block: usize) -> Vec<Vec<&mut [f32]>> {
    let size = points.len() / count;
    let mut blocks: Vec<Vec<&mut [f32]>> = Vec::new();
    for point in points.chunks_exact_mut(size) {
        for (i, part) in point.chunks_mut(block).enumerate() {
            if blocks.len() == i {
                blocks.push(Vec::with_capacity(count));
            }
            blocks[i].push(part);
        }
    }
    blocks
}

impl<T: Tile> Sides for Winograd<T> {
    fn to_narrow(&self, wide: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let weights = self.weights(weight);
        let (images, block) = (wide.len() / self.wide.image(), self.block());
        let mut y = vec![0.0; images * self.narrow.image()];
        let parts = y.par_chunks_mut(block * self.narrow.image());
        let parts = parts.zip(wide.par_chunks(block * self.wide.image()));
        parts.for_each(|(y, wide)| {
            let size = wide.len() / self.wide.image() * self.tiles() * self.depth();
            let mut buffer = Buffer::take(Self::POINTS * size);
            let mut points: Vec<&mut [f32]> = buffer.chunks_exact_mut(size).collect();
            transform::input::<T>(&self.wide, wide, &mut points);
            self.narrowed(&points, &weights, y);
            finish.rows(y);
        });
        y
    }

    fn to_wide(&self, narrow: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        let weights = self.weights(weight);
        let (images, block) = (narrow.len() / self.narrow.image(), self.block());
        let mut y = vec![0.0; images * self.wide.image()];
        let parts = y.par_chunks_mut(block * self.wide.image());
        let parts = parts.zip(narrow.par_chunks(block * self.narrow.image()));
        parts.for_each(|(y, narrow)| {
            let channels = self.narrow.channels;
            let size = narrow.len() / self.narrow.image() * self.tiles() * channels;
            let mut buffer = Buffer::take(Self::POINTS * size);
            let mut points: Vec<&mut [f32]> = buffer.chunks_exact_mut(size).collect();
            transform::output_back::<T>(&self.narrow, narrow, &mut points);
            self.widened(&points, &weights, y);
            finish.rows(y);
        });
        y
    }

    fn back(&self, wide: &[f32], narrow: &[f32], weight: &[f32], want: Want) -> Gradients {
        let (wide_image, narrow_image) = (self.wide.image(), self.narrow.image());
        let (depth, channels) = (self.depth(), self.narrow.channels);
        let images = wide.len() / wide_image;
        let (width, each) = match want.side {
            None => (0, 1),
            Some(Side::Wide) => (images * wide_image, wide_image),
            Some(Side::Narrow) => (images * narrow_image, narrow_image),
        };
        let mut side = vec![0.0; width];
        let block = self.block();
        let image = Self::POINTS * self.tiles() * (depth + channels);
        // Beside points of the weight that are many, more images cost little,
        // and with one slab the sums need no memory of their own.
        let room = SLAB.max(Self::POINTS * depth * channels);
        let slab = (room / image.max(1)).max(1).next_multiple_of(block);
        let mut weights = want.side.map(|_| self.weights(weight));
        let mut sums = None;
        let mut sides = side.chunks_mut(slab * each);
        let count = images.div_ceil(slab);
        let slabs = wide.chunks(slab * wide_image);
        let slabs = slabs.zip(narrow.chunks(slab * narrow_image)).enumerate();
        for (index, (wide, narrow)) in slabs {
            let tiles = wide.len() / wide_image * self.tiles();
            let mut wides = Buffer::take(Self::POINTS * tiles * depth);
            let mut narrows = Buffer::take(Self::POINTS * tiles * channels);
            let per_block = block * self.tiles();
            let wide_blocks = blocks(&mut wides, Self::POINTS, per_block * depth);
            let narrow_blocks = blocks(&mut narrows, Self::POINTS, per_block * channels);
            let mut parts: Vec<&mut [f32]> = match sides.next() {
                Some(side) => side.chunks_mut(block * each).collect(),
                None => Vec::new(),
            };
            parts.resize_with(wide_blocks.len(), || &mut []);
            let inputs = wide.par_chunks(block * wide_image);
            let inputs = inputs.zip(narrow.par_chunks(block * narrow_image));
            let points = wide_blocks.into_par_iter().zip(narrow_blocks).zip(parts);
            inputs.zip(points).for_each(|(inputs, points)| {
                let ((mut wides, mut narrows), side) = points;
                if want.weight || want.side == Some(Side::Narrow) {
                    transform::input::<T>(&self.wide, inputs.0, &mut wides);
                }
                if want.weight || want.side == Some(Side::Wide) {
                    transform::output_back::<T>(&self.narrow, inputs.1, &mut narrows);
                }
                match (want.side, &weights) {
                    (Some(Side::Wide), Some(w)) => self.widened(&narrows, w, side),
                    (Some(Side::Narrow), Some(w)) => self.narrowed(&wides, w, side),
                    _ => {}
                }
            });
            if index + 1 == count {
                // Its memory serves the sums.
                weights = None;
            }
            if want.weight {
                let sums = sums.get_or_insert_with(|| {
                    let mut sums = Buffer::take(Self::POINTS * depth * channels);
                    sums.fill(0.0);
                    sums
                });
                self.add_weights(&wides, &narrows, tiles, sums);
            }
        }
        let gw = sums.map(|sums| {
            let mut gw = Buffer::take(weight.len());
            filter::filter_back::<T>(self.shape(), &sums, &mut gw);
            gw
        });
        Gradients {
            weight: gw,
            side: want.side.map(|_| side),
        }
    }
}

#[cfg(test)]
mod tests;
