//! `[[expect]]`: what the report checks. Also what expectations share with
//! figures: each names a stage and metrics, and perhaps an axis.

use std::collections::{BTreeMap, HashMap};

use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;

use super::error::{Fault, Hint, Name, Origin, Problem, inert};
use super::plan::{At, Expectation, Plan, STEP};
use super::read::{Entry, bad_text, only};

/// A table of a list, with the places of its keys.
#[derive(Debug, Clone)]
pub(super) struct Listed<T> {
    at: Origin,
    keys: HashMap<String, Origin>,
    pub(super) item: T,
}

impl<T> Listed<T> {
    /// Where a key stands, or else the table.
    pub(super) fn key(&self, key: &str) -> Origin {
        self.keys.get(key).copied().unwrap_or(self.at)
    }
}

pub(super) const EXPECT_KEYS: &[&str] = &[
    "name", "stage", "metric", "along", "trend", "above", "below", "at", "factor", "where", "paper",
];

/// Reads a list of tables.
pub(super) fn read<T: DeserializeOwned>(
    entry: &Entry<'_, '_>,
    known: &[&str],
) -> Result<Vec<Listed<T>>, Fault> {
    let section = format!("[[{}]]", entry.key);
    let tables = entry.tables()?;
    if tables.len() > MAX_LISTED {
        let problem = Problem::TooMany {
            what: "expectations or figures",
            count: tables.len(),
            max: MAX_LISTED,
        };
        return Err(Fault::new(entry.at, problem));
    }
    let mut all = Vec::with_capacity(tables.len());
    for (at, node) in tables {
        let entries = node.get_ref().as_table().map(|t| entry.scope.entries(t));
        let entries = entries.unwrap_or_default();
        only(&entries, &section, known)?;
        let item = T::deserialize(node.clone().into_deserializer()).map_err(|e| {
            let at = e.span().map_or(at, |span| entry.scope.at(&span));
            let key = section.clone();
            let why = format!("cannot be read: {}", inert(e.message(), 400));
            Fault::new(at, Problem::BadValue { key, why })
        })?;
        let keys = entries.into_iter().map(|e| (e.key, e.at)).collect();
        all.push(Listed { at, keys, item });
    }
    Ok(all)
}

const MAX_LISTED: usize = 1000;

/// Something that names stages and axes of a plan.
pub(super) struct Subject<'p> {
    pub(super) plan: &'p Plan,
    /// What names them, for messages.
    pub(super) by: String,
}

impl Subject<'_> {
    pub(super) fn stage(&self, name: &str, at: Origin) -> Result<(), Fault> {
        let mut stages = self.plan.stages.iter();
        if stages.any(|stage| stage.name == name) {
            return Ok(());
        }
        let problem = Problem::UnknownStage {
            by: self.by.clone(),
            stage: name.to_owned(),
            hint: Hint::new(name, self.plan.stages.iter().map(|s| s.name.as_str())),
        };
        Err(Fault::new(at, problem))
    }

    /// An axis that enters the stage.
    pub(super) fn axis(&self, stage: &str, name: &str, at: Origin) -> Result<(), Fault> {
        let stage = self.plan.stages.iter().find(|s| s.name == stage);
        let entering = stage.map(|stage| stage.axes.as_slice()).unwrap_or_default();
        if entering.iter().any(|axis| axis == name) {
            return Ok(());
        }
        let by = self.by.clone();
        let axis = name.to_owned();
        let exists = self.plan.axes.iter().any(|axis| axis.name == name);
        let problem = match stage {
            Some(stage) if exists => Problem::AxisElsewhere {
                by,
                axis,
                stage: stage.name.clone(),
                hint: Hint::known(entering.iter().map(String::as_str)),
            },
            _ => Problem::UnknownAxis {
                by,
                axis,
                hint: Hint::new(name, self.plan.axes.iter().map(|a| a.name.as_str())),
            },
        };
        Err(Fault::new(at, problem))
    }
}

/// Whether a text can be the name of a metric.
pub(super) fn is_metric(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 80 && name.chars().all(plain)
}

pub(super) fn bad_metric(name: &str) -> String {
    format!(
        "{} is not the name of a metric: use letters, digits, '_', '-' and '.'",
        Name(name)
    )
}

/// Values that axes had before others replaced them.
type Replaced = BTreeMap<String, Vec<Value>>;

fn values<'p>(plan: &'p Plan, axis: &str) -> &'p [Value] {
    let axis = plan.axes.iter().find(|a| a.name == axis);
    axis.map(|a| a.values.as_slice()).unwrap_or_default()
}

/// Whether `wanted` of an axis is one of these values.
fn covers(e: &Expectation, axis: &str, wanted: &Value, values: &[Value]) -> bool {
    let only = BTreeMap::from([(axis.to_owned(), wanted.clone())]);
    let alone = Expectation { only, ..e.clone() };
    let of = |value: &Value| BTreeMap::from([(axis.to_owned(), value.clone())]);
    values.iter().any(|value| alone.covers(&of(value)))
}

/// What a profile or an override has taken away, if an expectation speaks of
/// nothing else: then there is nothing to test it at.
pub(super) fn taken_away(plan: &Plan, replaced: &Replaced, e: &Expectation) -> Option<String> {
    let gone = |(axis, wanted): (&String, &Value)| {
        let before = replaced.get(axis).map(Vec::as_slice).unwrap_or_default();
        covers(e, axis, wanted, before) && !covers(e, axis, wanted, values(plan, axis))
    };
    let (axis, wanted) = e.only.iter().find(|(axis, wanted)| gone((axis, wanted)))?;
    let shown = |value: &Value| match value {
        Value::String(word) => inert(word, 80),
        other => inert(&other.to_string(), 80),
    };
    let wanted = match wanted {
        Value::Array(any) => any.iter().map(shown).collect::<Vec<_>>().join(" or "),
        one => shown(one),
    };
    Some(format!("no point has {} = {wanted}", inert(axis, 80)))
}

/// Checks an expectation against the plan it belongs to.
pub(super) fn check(
    plan: &Plan,
    replaced: &Replaced,
    listed: &Listed<Expectation>,
) -> Result<(), Fault> {
    let e = &listed.item;
    let refuse = |key: &str, why: String| {
        let name = e.name.clone();
        Err(Fault::new(
            listed.key(key),
            Problem::BadExpectation { name, why },
        ))
    };
    for (key, text) in [("name", Some(&e.name)), ("paper", e.paper.as_ref())] {
        if let Some(why) = text.and_then(|text| bad_text(text)) {
            return refuse(key, format!("its {key} {why}"));
        }
    }
    if e.name.is_empty() {
        return refuse("name", "its name is empty; say what is expected".to_owned());
    }
    let subject = Subject {
        plan,
        by: format!("expectation `{}`", inert(&e.name, 80)),
    };
    subject.stage(&e.stage, listed.key("stage"))?;
    if !is_metric(&e.metric) {
        return refuse("metric", bad_metric(&e.metric));
    }
    for (axis, value) in &e.only {
        subject.axis(&e.stage, axis, listed.key("where"))?;
        // Values may be lists themselves: then one of them is meant.
        let before = replaced.get(axis).map(Vec::as_slice).unwrap_or_default();
        let known = |value| {
            let values = values(plan, axis);
            covers(e, axis, &value, values) || covers(e, axis, &value, before)
        };
        let wanted = match value {
            Value::Array(any) => any.clone(),
            one => vec![one.clone()],
        };
        if let Some(value) = wanted.into_iter().find(|value| !known(value.clone())) {
            let value = inert(&value.to_string(), 80);
            return refuse("where", format!("the axis {axis} has no value {value}"));
        }
    }
    match &e.along {
        Some(axis) if axis == STEP => {}
        Some(axis) => subject.axis(&e.stage, axis, listed.key("along"))?,
        None if e.trend.is_some() => {
            return refuse(
                "trend",
                "a trend needs `along`, the axis it follows".to_owned(),
            );
        }
        None if e.at != At::All => {
            let why = "`at` needs `along`, the axis whose first or last value is meant";
            return refuse("at", why.to_owned());
        }
        None => {}
    }
    if e.factor.is_some() && e.along.is_none() {
        let why = "`factor` needs `along`, the axis whose first and last value are meant";
        return refuse("factor", why.to_owned());
    }
    if e.trend.is_none() && e.above.is_none() && e.below.is_none() && e.factor.is_none() {
        let why = "it expects nothing; give `trend`, `above`, `below` or `factor`";
        return refuse("name", why.to_owned());
    }
    for (key, bound) in [("above", e.above), ("below", e.below), ("factor", e.factor)] {
        if bound.is_some_and(|bound| !bound.is_finite()) {
            return refuse(key, format!("`{key}` is not a finite number"));
        }
    }
    match (e.above, e.below) {
        (Some(above), Some(below)) if above >= below => refuse(
            "above",
            format!("nothing is both above {above} and below {below}"),
        ),
        _ => Ok(()),
    }
}
