//! Observation windows: which earlier sites a site sees (science.md §1, γ).
//!
//! Square: the causal half of a γ×γ square, (γ²−1)/2 slots. Raster: the last γ
//! tokens. Slots are ordered nearest first, so that backing off drops the
//! tail. Slots that are off the grid at every site are left out: a window is
//! global from γ = 2·side − 1 on, and grows no further.

use std::cmp::Reverse;

use ablate_proto::stage::Window;

/// The id that stands for a neighbour off the grid.
pub(crate) const PAD: i32 = -1;

#[derive(Debug, Clone)]
pub(crate) struct Windows {
    sites: usize,
    slots: usize,
    /// The site in each slot of each site, `[sites, slots]`.
    seen: Vec<Option<usize>>,
}

impl Windows {
    pub(crate) fn new(window: Window, gamma: usize, side: usize) -> Self {
        match window {
            Window::Square => Self::square(gamma, side),
            Window::Raster1d => Self::raster(gamma, side * side),
        }
    }

    fn square(gamma: usize, side: usize) -> Self {
        // Offsets (up, column): how far above, and where to the side.
        let reach = (gamma.saturating_sub(1) / 2).min(side.saturating_sub(1)) as isize;
        let mut offsets = Vec::new();
        for up in 0..=reach {
            let last = if up == 0 { -1 } else { reach };
            offsets.extend((-reach..=last).map(|column| (up, column)));
        }
        // Of equally near ones the later in raster order is the nearer.
        offsets.sort_by_key(|(up, column)| (up * up + column * column, *up, Reverse(*column)));
        let grid = side as isize;
        let mut seen = Vec::with_capacity(side * side * offsets.len());
        for row in 0..grid {
            for column in 0..grid {
                seen.extend(offsets.iter().map(|(up, right)| {
                    let (r, c) = (row - up, column + right);
                    let inside = r >= 0 && (0..grid).contains(&c);
                    inside.then(|| (r * grid + c).unsigned_abs())
                }));
            }
        }
        Self {
            sites: side * side,
            slots: offsets.len(),
            seen,
        }
    }

    fn raster(gamma: usize, sites: usize) -> Self {
        let slots = gamma.min(sites.saturating_sub(1));
        let seen = (0..sites).flat_map(|site| (1..=slots).map(move |lag| site.checked_sub(lag)));
        Self {
            sites,
            slots,
            seen: seen.collect(),
        }
    }

    pub(crate) fn sites(&self) -> usize {
        self.sites
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// What `site` sees of a grid of ids; earlier sites are enough.
    pub(crate) fn context(&self, ids: &[i32], site: usize) -> Vec<i32> {
        let slots = &self.seen[site * self.slots..(site + 1) * self.slots];
        slots
            .iter()
            .map(|seen| seen.map_or(PAD, |s| ids[s]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots of γ = 3, 5, 7: 4, 12, 24.
    #[test]
    fn a_square_window_has_its_slots() {
        for (gamma, slots) in [(1, 0), (3, 4), (5, 12), (7, 24), (9, 24)] {
            assert_eq!(Windows::new(Window::Square, gamma, 4).slots(), slots);
        }
    }

    #[test]
    fn windows_are_causal_and_global_from_twice_the_side() {
        for side in 1..6 {
            let (sites, global) = (side * side, 2 * side - 1);
            for gamma in (1..=2 * side + 3).step_by(2) {
                let windows = Windows::new(Window::Square, gamma, side);
                let ids: Vec<i32> = (0..sites).map(|s| i32::try_from(s).unwrap()).collect();
                let all_seen = (0..sites).all(|site| {
                    let mut context = windows.context(&ids, site);
                    context.retain(|id| *id != PAD);
                    context.sort_unstable();
                    assert!(context.iter().all(|id| (*id as usize) < site), "causal");
                    context == ids[..site]
                });
                assert_eq!(all_seen, gamma >= global || side == 1, "{gamma} on {side}");
            }
        }
    }

    #[test]
    fn slots_come_nearest_first_and_pad_stands_for_the_outside() {
        let ids: Vec<i32> = (10..19).collect();
        let square = Windows::new(Window::Square, 3, 3);
        // Site 4 is in the middle: left, above, above right, above left.
        assert_eq!(square.context(&ids, 4), [13, 11, 12, 10]);
        assert_eq!(square.context(&ids, 0), [PAD; 4]);
        assert_eq!(square.context(&ids, 2), [11, PAD, PAD, PAD]);
        let raster = Windows::new(Window::Raster1d, 2, 3);
        assert_eq!(raster.context(&ids, 4), [13, 12]);
        assert_eq!(raster.context(&ids, 1), [10, PAD]);
    }
}
