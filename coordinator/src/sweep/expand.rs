//! From a grid to its points.

use super::axes::Grid;
use super::condition::Filter;

/// The points of a sweep, each by the value indices of its axes. Replicates
/// of a point are neighbours.
pub(super) struct Points {
    axes: usize,
    coordinates: Vec<u32>,
    /// Combinations, before replicates.
    combinations: usize,
    pub(super) replicates: u32,
}

impl Points {
    /// Walks the product of the factors, the last fastest.
    pub(super) fn expand(grid: &Grid, filter: &Filter<'_>, replicates: u32) -> Self {
        let mut points = Self {
            axes: grid.axes.len(),
            coordinates: Vec::new(),
            combinations: 0,
            replicates,
        };
        let mut rows = vec![0; grid.factors.len()];
        let mut current = vec![0; grid.axes.len()];
        loop {
            for (factor, &row) in grid.factors.iter().zip(&rows) {
                let width = factor.axes.len();
                let values = &factor.rows[row * width..(row + 1) * width];
                for (&axis, &value) in factor.axes.iter().zip(values) {
                    current[axis] = value;
                }
            }
            if filter.keeps(&current) {
                points.coordinates.extend_from_slice(&current);
                points.combinations += 1;
            }
            if !advance(&mut rows, grid) {
                return points;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.combinations * self.replicates as usize
    }

    /// The value indices of a point.
    pub(super) fn coordinates(&self, point: usize) -> &[u32] {
        let combination = point / self.replicates as usize;
        &self.coordinates[combination * self.axes..(combination + 1) * self.axes]
    }

    /// Which replicate a point is, from 0.
    pub(super) fn replicate(&self, point: usize) -> u32 {
        u32::try_from(point % self.replicates as usize).unwrap_or(0)
    }
}

/// Counts up; false once every combination was there.
fn advance(rows: &mut [usize], grid: &Grid) -> bool {
    for (row, factor) in rows.iter_mut().zip(&grid.factors).rev() {
        *row += 1;
        if *row < factor.len() {
            return true;
        }
        *row = 0;
    }
    false
}
