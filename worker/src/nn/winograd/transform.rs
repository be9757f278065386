//! The maps of `tile` along both axes, on images with channels side by side.
//!
//! Values of a point: of the window's side `[tiles, phases² · channels]`, of
//! the sites' side `[tiles, channels]`.

use super::tile::{LANES, Lanes, Tile};
use crate::nn::simd::wide;

pub(super) const ZERO: Lanes = [0.0; LANES];

/// Room for a tile of any kind, along both axes.
pub(super) const ROOM: usize = 36;

/// Images of one side, cut into tiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) channels: usize,
    /// Rows and columns of tiles of an image.
    pub(super) tiles: [usize; 2],
    /// From one tile to the next.
    pub(super) step: usize,
    /// How far the first tile begins before the image.
    pub(super) before: [usize; 2],
}

impl Grid {
    pub(super) fn image(&self) -> usize {
        self.h * self.w * self.channels
    }

    /// Calls `f(tile, channel, start)` for all tiles and lanes of channels,
    /// `start` the offsets of the tile's rows and columns. What lies outside
    /// has none.
    #[inline(always)]
    fn each(&self, images: usize, size: usize, mut f: impl FnMut(usize, usize, &Places)) {
        let [rows, cols] = self.tiles;
        for index in 0..images * rows * cols {
            let (image, tile) = (index / (rows * cols), index % (rows * cols));
            let at = [tile / cols * self.step, tile % cols * self.step];
            let mut places = Places {
                rows: [None; 6],
                cols: [None; 6],
            };
            for i in 0..size {
                let y = (at[0] + i).checked_sub(self.before[0]);
                let y = y.filter(|y| *y < self.h);
                places.rows[i] = y.map(|y| (image * self.h + y) * self.w * self.channels);
                let x = (at[1] + i).checked_sub(self.before[1]);
                places.cols[i] = x.filter(|x| *x < self.w).map(|x| x * self.channels);
            }
            for channel in (0..self.channels).step_by(LANES) {
                f(index, channel, &places);
            }
        }
    }
}

struct Places {
    rows: [Option<usize>; 6],
    cols: [Option<usize>; 6],
}

impl Places {
    #[inline(always)]
    fn at(&self, row: usize, col: usize) -> Option<usize> {
        Some(self.rows[row]? + self.cols[col]?)
    }
}

#[inline(always)]
pub(super) fn load(from: &[f32], at: usize) -> Lanes {
    let mut lanes = ZERO;
    lanes.copy_from_slice(&from[at..at + LANES]);
    lanes
}

#[inline(always)]
pub(super) fn store(to: &mut [f32], at: usize, lanes: Lanes) {
    to[at..at + LANES].copy_from_slice(&lanes);
}

/// Point and offset of the value (q, r) of a tile.
#[inline(always)]
pub(super) fn place<T: Tile>(q: usize, r: usize) -> (usize, usize) {
    let (point, phase) = (q / T::PHASES, q % T::PHASES);
    (
        point * T::POINTS + r / T::PHASES,
        phase * T::PHASES + r % T::PHASES,
    )
}

/// Images of the window's side → points.
pub(super) fn input<T: Tile>(grid: &Grid, images: &[f32], points: &mut [&mut [f32]]) {
    let (n, all) = (T::IN, T::POINTS * T::PHASES);
    let width = T::PHASES * T::PHASES * grid.channels;
    wide(
        #[inline(always)]
        || {
            let count = images.len() / grid.image();
            let (mut d, mut t) = ([ZERO; ROOM], [ZERO; ROOM]);
            grid.each(
                count,
                n,
                #[inline(always)]
                |tile, channel, places| {
                    for i in 0..n {
                        for j in 0..n {
                            let at = places.at(i, j);
                            d[i * n + j] = at.map_or(ZERO, |at| load(images, at + channel));
                        }
                    }
                    for j in 0..n {
                        T::input(|i| d[i * n + j], |q, v| t[q * n + j] = v);
                    }
                    for q in 0..all {
                        T::input(
                            |j| t[q * n + j],
                            #[inline(always)]
                            |r, v| {
                                let (point, phase) = place::<T>(q, r);
                                let at = tile * width + phase * grid.channels + channel;
                                store(points[point], at, v);
                            },
                        );
                    }
                },
            );
        },
    );
}

/// The adjoint of `input`: adds to the images.
pub(super) fn input_back<T: Tile>(grid: &Grid, points: &[&[f32]], images: &mut [f32]) {
    let (n, all) = (T::IN, T::POINTS * T::PHASES);
    let width = T::PHASES * T::PHASES * grid.channels;
    wide(
        #[inline(always)]
        || {
            let count = images.len() / grid.image();
            let mut t = [ZERO; ROOM];
            grid.each(
                count,
                n,
                #[inline(always)]
                |tile, channel, places| {
                    for q in 0..all {
                        T::input_back(
                            #[inline(always)]
                            |r| {
                                let (point, phase) = place::<T>(q, r);
                                let at = tile * width + phase * grid.channels + channel;
                                load(points[point], at)
                            },
                            |j, v| t[q * n + j] = v,
                        );
                    }
                    for j in 0..n {
                        T::input_back(
                            |q| t[q * n + j],
                            #[inline(always)]
                            |i, v| {
                                if let Some(at) = places.at(i, j) {
                                    let to = &mut images[at + channel..at + channel + LANES];
                                    to.iter_mut().zip(v).for_each(|(to, v)| *to += v);
                                }
                            },
                        );
                    }
                },
            );
        },
    );
}

/// Points → images of the sites' side.
pub(super) fn output<T: Tile>(grid: &Grid, points: &[&[f32]], images: &mut [f32]) {
    let n = T::POINTS;
    wide(
        #[inline(always)]
        || {
            let count = images.len() / grid.image();
            let mut t = [ZERO; ROOM];
            grid.each(
                count,
                2,
                #[inline(always)]
                |tile, channel, places| {
                    let at = tile * grid.channels + channel;
                    for q in 0..n {
                        T::output(|r| load(points[q * n + r], at), |j, v| t[q * 2 + j] = v);
                    }
                    for j in 0..2 {
                        T::output(
                            |q| t[q * 2 + j],
                            #[inline(always)]
                            |i, v| {
                                if let Some(at) = places.at(i, j) {
                                    store(images, at + channel, v);
                                }
                            },
                        );
                    }
                },
            );
        },
    );
}

/// The adjoint of `output`.
pub(super) fn output_back<T: Tile>(grid: &Grid, images: &[f32], points: &mut [&mut [f32]]) {
    let n = T::POINTS;
    wide(
        #[inline(always)]
        || {
            let count = images.len() / grid.image();
            let mut t = [ZERO; ROOM];
            grid.each(
                count,
                2,
                #[inline(always)]
                |tile, channel, places| {
                    let at = tile * grid.channels + channel;
                    for j in 0..2 {
                        T::output_back(
                            #[inline(always)]
                            |i| {
                                places
                                    .at(i, j)
                                    .map_or(ZERO, |at| load(images, at + channel))
                            },
                            |q, v| t[q * 2 + j] = v,
                        );
                    }
                    for q in 0..n {
                        T::output_back(|j| t[q * 2 + j], |r, v| store(points[q * n + r], at, v));
                    }
                },
            );
        },
    );
}
