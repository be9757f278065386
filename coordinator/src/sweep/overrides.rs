//! Profiles and `--set`: what changes a draft before it is planned.

use serde_json::Value;
use toml::de::DeTable;

use super::draft::{Column, Draft, StageDraft};
use super::error::{Fault, Hint, Origin, Problem};
use super::expect;
use super::figure;
use super::file::{self, ProfileTable, columns, linked_axes};
use super::read::{Entry, Scope, json, only};

const PROFILE_KEYS: &[&str] = &[
    "title",
    "cost",
    "seed",
    "replicates",
    "stages",
    "axes",
    "linked",
    "expect",
    "figure",
];

/// Applies a profile.
pub(super) fn profile(draft: &mut Draft, profile: &ProfileTable<'_, '_>) -> Result<(), Fault> {
    let entries = profile.entry.entries()?;
    only(&entries, "a profile", PROFILE_KEYS)?;
    for entry in entries {
        match entry.key.as_str() {
            "title" => draft.title = entry.text()?,
            "cost" => draft.cost = entry.text()?,
            "seed" => (draft.seed, draft.seed_at) = (entry.whole()?, entry.at),
            "replicates" => (draft.replicates, draft.replicates_at) = (entry.whole()?, entry.at),
            "stages" => {
                for stage in entry.entries()? {
                    stage_of_profile(draft, &stage)?;
                }
            }
            "axes" => {
                for column in columns(&entry)? {
                    draft.set_axis(column)?;
                }
            }
            "linked" => draft.set_linked(linked_axes(&entry)?),
            "expect" => {
                let more = expect::read(&entry, expect::EXPECT_KEYS)?;
                draft.expectations.extend(more);
            }
            "figure" => {
                draft.figures.extend(figure::read(&entry)?);
            }
            other => unreachable!("{other} is not among PROFILE_KEYS"),
        }
    }
    Ok(())
}

/// Changes a stage, or adds one that the file does not have.
fn stage_of_profile(draft: &mut Draft, stage: &Entry<'_, '_>) -> Result<(), Fault> {
    let fields = stage.entries()?;
    let known = draft.stages.iter().any(|known| known.name == stage.key);
    if !known && fields.iter().any(|field| field.key == "kind") {
        draft.stages.push(file::stage(stage)?);
        return file::check_stages(draft.stages.len(), stage.at);
    }
    let index = draft.stage(&stage.key, stage.at, || "it".to_owned())?;
    for field in fields {
        match field.key.as_str() {
            "inputs" => draft.stages[index].set_inputs(file::inputs(&field)?),
            _ => draft.stages[index].set(&field.key, field.at, field.json()?)?,
        }
    }
    Ok(())
}

/// Applies one `--set name=value[,value…]`. `index` is its place among them.
pub(super) fn set(draft: &mut Draft, index: usize, text: &str) -> Result<(), Fault> {
    let at = Origin::Set(index);
    let refuse = |why: String| Fault::new(at, Problem::BadSet(why));
    let Some((name, text)) = text.split_once('=') else {
        return Err(refuse("there is no `=`".to_owned()));
    };
    let name = name.trim();
    let mut values = parse(name, text.trim(), at)?;
    match name {
        "" => return Err(refuse("there is no name before the `=`".to_owned())),
        "seed" | "replicates" => {
            let number = match &values[..] {
                [value] => value.as_u64(),
                _ => None,
            };
            let number = number.ok_or_else(|| {
                let (key, why) = (name.to_owned(), "is one whole number, 0 or more".to_owned());
                Fault::new(at, Problem::BadValue { key, why })
            })?;
            if name == "seed" {
                (draft.seed, draft.seed_at) = (number, at);
            } else {
                (draft.replicates, draft.replicates_at) = (number, at);
            }
            return Ok(());
        }
        _ => {}
    }
    let known = draft.axes.iter().find(|axis| axis.name == name);
    if let Some(axis) = known
        && let [Value::Array(inner)] = &values[..]
        && !axis.values.iter().any(|(_, value)| value.is_array())
    {
        // `gamma=[3,5]` means `gamma=3,5` where the values are no lists.
        values = inner.clone();
    }
    if known.is_some() || draft.bound_in(name).is_some() || values.len() != 1 {
        let name = name.to_owned();
        let values = values.into_iter().map(|value| (at, value)).collect();
        return draft.set_axis(Column { name, at, values });
    }
    let value = values.remove(0);
    match name.split_once('.') {
        Some((stage, field)) => set_one(draft, at, stage, field, value),
        None => set_all(draft, at, name, &value),
    }
}

/// Sets a parameter of one stage.
fn set_one(
    draft: &mut Draft,
    at: Origin,
    stage: &str,
    field: &str,
    value: Value,
) -> Result<(), Fault> {
    let index = draft.stage(stage, at, || "it".to_owned())?;
    let is_axis = draft.axes.iter().any(|axis| axis.name == field);
    if is_axis || draft.bound_in(field).is_some() {
        let axis = field.to_owned();
        return Err(Fault::new(at, Problem::SetByAxis { axis }));
    }
    draft.stages[index].set(field, at, value)
}

/// Sets a parameter of every stage that has it and no axis of its own for it.
fn set_all(draft: &mut Draft, at: Origin, field: &str, value: &Value) -> Result<(), Fault> {
    let mut found = None;
    for i in 0..draft.stages.len() {
        let stage = &draft.stages[i];
        if !stage.fields().iter().any(|known| known == field) {
            continue;
        }
        let own = format!("{}.{field}", stage.name);
        if draft.axes.iter().any(|axis| axis.name == own) || draft.bound_in(&own).is_some() {
            found.get_or_insert(Some(own));
        } else {
            draft.stages[i].set(field, at, value.clone())?;
            found = Some(None);
        }
    }
    match found {
        Some(None) => Ok(()),
        Some(Some(axis)) => Err(Fault::new(at, Problem::SetByAxis { axis })),
        None => {
            let axes = draft.axes.iter().map(|axis| axis.name.clone());
            let fields = draft.stages.iter().flat_map(StageDraft::fields);
            let own = ["seed", "replicates"].map(str::to_owned);
            let mut known: Vec<String> = axes.chain(fields).chain(own).collect();
            known.sort();
            known.dedup();
            let problem = Problem::UnusedAxis {
                axis: field.to_owned(),
                hint: Hint::new(field, known.iter().map(String::as_str)),
            };
            Err(Fault::new(at, problem))
        }
    }
}

/// Values as TOML, separated by commas; words may stand without quotes.
fn parse(name: &str, text: &str, at: Origin) -> Result<Vec<Value>, Fault> {
    if let Some(values) = toml_list(name, text, at)? {
        return Ok(values);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    let mut values = Vec::new();
    for piece in text.split(',').map(str::trim) {
        match toml_list(name, piece, at)?.as_deref() {
            Some([value]) => values.push(value.clone()),
            _ if !piece.is_empty() && piece.chars().all(word) => values.push(piece.into()),
            _ => {
                let why = "the values after the `=` cannot be read".to_owned();
                return Err(Fault::new(at, Problem::BadSet(why)));
            }
        }
    }
    Ok(values)
}

/// `text` as the inside of a TOML list, if it is one and not empty.
fn toml_list(name: &str, text: &str, at: Origin) -> Result<Option<Vec<Value>>, Fault> {
    let document = format!("v = [{text}]");
    let Ok(table) = DeTable::parse(&document) else {
        return Ok(None);
    };
    let (1, Some(node)) = (table.get_ref().len(), table.get_ref().get("v")) else {
        return Ok(None);
    };
    match json(name, Scope::File, node) {
        Ok(Value::Array(values)) if !values.is_empty() => Ok(Some(values)),
        Ok(_) => Ok(None),
        Err(fault) => Err(Fault { at, ..fault }),
    }
}
