//! What tasks are called, for people: the stage, and the values of the axes
//! that enter it.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::axes::{Axis, Grid, shown};

pub(super) struct Label<'a, V: Iterator<Item = (&'a str, &'a Value)>> {
    pub(super) stage: &'a str,
    /// Names of axes, with their values.
    pub(super) values: V,
    /// Where there are several.
    pub(super) seed: Option<u64>,
}

impl<'a, V: Iterator<Item = (&'a str, &'a Value)>> Label<'a, V> {
    pub(super) fn text(self) -> String {
        let mut label = self.stage.to_owned();
        // Writing to a text cannot fail.
        for (name, value) in self.values {
            let _ = write!(label, " {name}={}", shown(value));
        }
        if let Some(seed) = self.seed {
            let _ = write!(label, " seed={seed}");
        }
        label
    }
}

/// `sigma` for `decoder.sigma`, where no other axis is called so.
pub(super) fn short_names(grid: &Grid) -> Vec<&str> {
    fn last(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for axis in &grid.axes {
        *uses.entry(last(&axis.name)).or_default() += 1;
    }
    let short = |axis: &'_ Axis| uses[last(&axis.name)] == 1;
    let name = |axis| {
        if short(axis) {
            last(&axis.name)
        } else {
            &axis.name
        }
    };
    grid.axes.iter().map(name).collect()
}
