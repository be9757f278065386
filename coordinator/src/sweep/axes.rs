//! Axes with their values, the stages they enter, and how they combine.

use serde_json::Value;

use super::error::{Fault, Hint, Origin, Problem, inert};
use super::intern::Index;

/// An axis: distinct values, and where they go.
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) at: Origin,
    pub(super) values: Vec<Value>,
    /// Where each value stands.
    pub(super) origins: Vec<Origin>,
    /// Of `values`, by what is `canonical` of each.
    pub(super) index: Index,
    /// The stages it enters, each with the name of the parameter.
    pub(super) enters: Vec<(usize, String)>,
}

/// Axes that move together, through `rows` of value indices.
pub(super) struct Factor {
    pub(super) axes: Vec<usize>,
    pub(super) rows: Vec<u32>,
}

impl Factor {
    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.axes.len().max(1)
    }
}

/// The product of the factors, in the order of the file, the last fastest.
pub(super) struct Grid {
    pub(super) axes: Vec<Axis>,
    pub(super) factors: Vec<Factor>,
}

/// A value as a key: numbers of the same value are the same key.
pub(super) fn canonical(value: &Value) -> String {
    /// Whole numbers up to here are exact as f64.
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) if whole.unsigned_abs() > EXACT => whole.to_string(),
            (_, Some(float)) => format!("{:?}", float + 0.0),
            _ => number.to_string(),
        },
        Value::Array(values) => {
            let inner: Vec<String> = values.iter().map(canonical).collect();
            format!("[{}]", inner.join(","))
        }
        other => other.to_string(),
    }
}

/// A value for people: strings without quotes, inert, cut.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => inert(text, 60),
        other => inert(&other.to_string(), 60),
    }
}

impl Axis {
    /// The place of a value among its values.
    pub(super) fn place(&self, value: &Value) -> Option<u32> {
        let known = |number: u32| canonical(&self.values[number as usize]);
        self.index.find(&canonical(value), known)
    }
}

impl Grid {
    /// The place of an axis, by its name.
    pub(super) fn find(
        &self,
        name: &str,
        at: Origin,
        by: impl FnOnce() -> String,
    ) -> Result<usize, Fault> {
        self.axes
            .iter()
            .position(|axis| axis.name == name)
            .ok_or_else(|| {
                let problem = Problem::UnknownAxis {
                    by: by(),
                    axis: name.to_owned(),
                    hint: Hint::new(name, self.axes.iter().map(|axis| axis.name.as_str())),
                };
                Fault::new(at, problem)
            })
    }
}
