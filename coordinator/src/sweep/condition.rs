//! `[[exclude]]` and `[[include]]`: conditions on the axes of a point.

use std::collections::HashSet;

use serde_json::Value;

use super::axes::{Grid, shown};
use super::error::{Fault, Hint, Origin, Problem};
use super::file::dotted;
use super::read::{Entry, only};

/// What one axis must be.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    axis: String,
    at: Origin,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// The value, or any of them where it is a list.
    Is(Value),
    /// Bounds, both included.
    Between(f64, f64),
}

/// Each rule is tried on each point.
const MAX_RULES: usize = 256;

const BOUNDS: &[&str] = &["min", "max"];

/// Reads one list of tables; a point meets a table when it meets all of it.
pub(super) fn read(entry: &Entry<'_, '_>) -> Result<Vec<Vec<Condition>>, Fault> {
    let tables = entry.tables()?;
    if tables.len() > MAX_RULES {
        let problem = Problem::TooMany {
            what: "conditions",
            count: tables.len(),
            max: MAX_RULES,
        };
        return Err(Fault::new(entry.at, problem));
    }
    let mut all = Vec::new();
    for (at, node) in tables {
        let entries = node.get_ref().as_table().map(|t| entry.scope.entries(t));
        let open = |t: &toml::de::DeTable<'_>| !BOUNDS.iter().any(|bound| t.contains_key(*bound));
        let conditions = dotted(entries.unwrap_or_default(), open)?
            .iter()
            .map(condition)
            .collect::<Result<Vec<_>, _>>()?;
        if conditions.is_empty() {
            let problem = Problem::MissingKey {
                key: "axis",
                section: format!("[[{}]]", entry.key),
                example: "a condition such as gamma = 3, or remove it",
            };
            return Err(Fault::new(at, problem));
        }
        all.push(conditions);
    }
    Ok(all)
}

fn condition(entry: &Entry<'_, '_>) -> Result<Condition, Fault> {
    let test = if entry.value.get_ref().as_table().is_some() {
        let bounds = entry.entries()?;
        only(&bounds, "a condition", BOUNDS)?;
        let (mut min, mut max) = (f64::NEG_INFINITY, f64::INFINITY);
        for bound in &bounds {
            let number = bound.json()?.as_f64().ok_or_else(|| {
                let problem = Problem::BadValue {
                    key: bound.key.clone(),
                    why: "must be a number".to_owned(),
                };
                Fault::new(bound.at, problem)
            })?;
            *(if bound.key == "min" {
                &mut min
            } else {
                &mut max
            }) = number;
        }
        Test::Between(min, max)
    } else {
        Test::Is(entry.json()?)
    };
    Ok(Condition {
        axis: entry.key.clone(),
        at: entry.at,
        test,
    })
}

/// A condition against the values of its axis.
struct Bound {
    axis: usize,
    meets: Meets,
}

enum Meets {
    /// Indices of values.
    These(HashSet<u32>),
    Between(f64, f64),
}

/// Conditions, ready for points.
pub(super) struct Filter<'g> {
    grid: &'g Grid,
    exclude: Vec<Vec<Bound>>,
    include: Vec<Vec<Bound>>,
}

impl<'g> Filter<'g> {
    pub(super) fn new(
        grid: &'g Grid,
        exclude: &[Vec<Condition>],
        include: &[Vec<Condition>],
    ) -> Result<Self, Fault> {
        let bind = |section: &'static str, rules: &[Vec<Condition>]| {
            let rule =
                |rule: &Vec<Condition>| rule.iter().map(|c| bind(grid, section, c)).collect();
            rules.iter().map(rule).collect::<Result<Vec<Vec<_>>, _>>()
        };
        Ok(Self {
            grid,
            exclude: bind("[[exclude]]", exclude)?,
            include: bind("[[include]]", include)?,
        })
    }

    /// Where the first condition stands.
    pub(super) fn at(rules: &[Vec<Condition>]) -> Option<Origin> {
        rules.iter().flatten().map(|condition| condition.at).min()
    }

    /// Whether a point, given by the value indices of its axes, stays.
    pub(super) fn keeps(&self, coordinates: &[u32]) -> bool {
        let holds = |bound: &Bound| {
            let index = coordinates[bound.axis];
            match &bound.meets {
                Meets::These(these) => these.contains(&index),
                Meets::Between(min, max) => self.grid.axes[bound.axis].values[index as usize]
                    .as_f64()
                    .is_some_and(|value| (*min..=*max).contains(&value)),
            }
        };
        let met = |rule: &Vec<Bound>| rule.iter().all(holds);
        (self.include.is_empty() || self.include.iter().any(met)) && !self.exclude.iter().any(met)
    }
}

fn bind(grid: &Grid, section: &'static str, condition: &Condition) -> Result<Bound, Fault> {
    let axis = grid.find(&condition.axis, condition.at, || section.to_owned())?;
    let described = &grid.axes[axis];
    let find = |wanted: &Value| described.place(wanted);
    let find_or_refuse = |wanted: &Value| {
        find(wanted).ok_or_else(|| {
            let values: Vec<String> = described.values.iter().take(100).map(shown).collect();
            let problem = Problem::NoSuchValue {
                axis: condition.axis.clone(),
                wanted: shown(wanted),
                hint: Hint::known(values.iter().map(String::as_str)),
            };
            Fault::new(condition.at, problem)
        })
    };
    let meets = match &condition.test {
        Test::Between(min, max) => Meets::Between(*min, *max),
        Test::Is(wanted @ Value::Array(any)) if find(wanted).is_none() => {
            Meets::These(any.iter().map(find_or_refuse).collect::<Result<_, _>>()?)
        }
        Test::Is(wanted) => Meets::These(HashSet::from([find_or_refuse(wanted)?])),
    };
    Ok(Bound { axis, meets })
}
