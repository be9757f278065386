//! Reads a sweep file into a draft.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;
use toml::de::DeTable;

use super::command;
use super::condition;
use super::draft::{Cell, Column, Draft, InputDraft, Row, StageDraft};
use super::error::{Fault, Hint, Origin, Problem};
use super::expect;
use super::figure;
use super::random;
use super::read::{Entry, Scope, json, only};
use super::{MAX_AXES, MAX_POINTS, MAX_PROFILES, MAX_STAGES};

/// The keys of a sweep file.
pub(super) const KEYS: &[&str] = &[
    "name",
    "title",
    "question",
    "cost",
    "seed",
    "replicates",
    "priority",
    "stages",
    "axes",
    "linked",
    "points",
    "random",
    "exclude",
    "include",
    "profiles",
    "expect",
    "figure",
];

/// A profile as written: its name, its place, its table.
pub(super) struct ProfileTable<'t, 'a> {
    pub(super) name: String,
    pub(super) entry: Entry<'t, 'a>,
}

/// Reads a whole file.
pub(super) fn read<'t, 'a>(
    document: &'t DeTable<'a>,
) -> Result<(Draft, Vec<ProfileTable<'t, 'a>>), Fault> {
    let start = Origin::File(0);
    let mut draft = Draft {
        salt: 0,
        name: String::new(),
        name_at: start,
        title: String::new(),
        question: String::new(),
        cost: String::new(),
        seed: 0,
        seed_at: start,
        replicates: 1,
        replicates_at: start,
        priority: 0,
        priority_at: start,
        stages: Vec::new(),
        axes: Vec::new(),
        replaced: BTreeMap::new(),
        linked: Vec::new(),
        points: Vec::new(),
        random: None,
        exclude: Vec::new(),
        include: Vec::new(),
        expectations: Vec::new(),
        figures: Vec::new(),
    };
    let mut profiles = Vec::new();
    let entries = Scope::File.entries(document);
    only(&entries, "the sweep file", KEYS)?;
    for entry in entries {
        match entry.key.as_str() {
            "name" => {
                draft.name = entry.word()?;
                draft.name_at = entry.at;
            }
            "title" => draft.title = entry.text()?,
            "question" => draft.question = entry.text()?,
            "cost" => draft.cost = entry.text()?,
            "seed" => (draft.seed, draft.seed_at) = (entry.whole()?, entry.at),
            "replicates" => (draft.replicates, draft.replicates_at) = (entry.whole()?, entry.at),
            "priority" => (draft.priority, draft.priority_at) = (entry.integer()?, entry.at),
            "stages" => draft.stages = stages(&entry)?,
            "axes" => draft.axes = columns(&entry)?,
            "linked" => draft.linked = linked_axes(&entry)?,
            "points" => draft.points = points(&entry)?,
            "random" => draft.random = Some(random::read(&entry)?),
            "exclude" => draft.exclude = condition::read(&entry)?,
            "include" => draft.include = condition::read(&entry)?,
            "profiles" => {
                let entries = entry.entries()?;
                if entries.len() > MAX_PROFILES {
                    let problem = Problem::TooMany {
                        what: "profiles",
                        count: entries.len(),
                        max: MAX_PROFILES,
                    };
                    return Err(Fault::new(entry.at, problem));
                }
                for entry in entries {
                    check_name("profile name", &entry)?;
                    let entry = Entry {
                        at: Scope::Profile.at(&(offset(entry.at)..0)),
                        scope: Scope::Profile,
                        ..entry
                    };
                    let name = entry.key.clone();
                    profiles.push(ProfileTable { name, entry });
                }
            }
            "expect" => draft.expectations = expect::read(&entry, expect::EXPECT_KEYS)?,
            "figure" => draft.figures = figure::read(&entry)?,
            other => unreachable!("{other} is not among KEYS"),
        }
    }
    if draft.name.is_empty() && draft.name_at == start {
        let problem = Problem::MissingKey {
            key: "name",
            section: "the sweep file".to_owned(),
            example: "name = \"…\" as its first line",
        };
        return Err(Fault::new(start, problem));
    }
    Ok((draft, profiles))
}

fn offset(origin: Origin) -> usize {
    match origin {
        Origin::File(offset) | Origin::Profile(offset) => offset,
        Origin::Set(_) | Origin::ProfileChoice => 0,
    }
}

fn stages(entry: &Entry<'_, '_>) -> Result<Vec<StageDraft>, Fault> {
    let entries = entry.entries()?;
    check_stages(entries.len(), entry.at)?;
    entries.iter().map(stage).collect()
}

pub(super) fn check_stages(count: usize, at: Origin) -> Result<(), Fault> {
    if count <= MAX_STAGES {
        return Ok(());
    }
    let (what, max) = ("stages", MAX_STAGES);
    Err(Fault::new(at, Problem::TooMany { what, count, max }))
}

pub(super) fn stage(entry: &Entry<'_, '_>) -> Result<StageDraft, Fault> {
    check_name("stage name", entry)?;
    let fields = entry.entries()?;
    let Some(kind) = fields.iter().find(|field| field.key == "kind") else {
        let problem = Problem::MissingKey {
            key: "kind",
            section: format!("stage `{}`", entry.key),
            example: "for example kind = \"dataset\"",
        };
        return Err(Fault::new(entry.at, problem));
    };
    let word = kind.word()?;
    let mut stage = StageDraft {
        name: entry.key.clone(),
        at: entry.at,
        kind: word.parse().map_err(|_| {
            let infos = StageKind::ALL.iter().map(|kind| kind.info());
            let shown = infos.filter(|info| !info.hidden).map(|info| info.name);
            let problem = Problem::UnknownKind {
                stage: entry.key.clone(),
                hint: Hint::new(&word, shown),
                kind: word.clone(),
            };
            Fault::new(kind.at, problem)
        })?,
        inputs: Vec::new(),
        parameters: BTreeMap::new(),
        shards: None,
    };
    for field in &fields {
        match field.key.as_str() {
            "kind" => {}
            "inputs" => stage.inputs = inputs(field)?,
            command::PARAMS if stage.kind.is_open() => stage.declare(field)?,
            _ => stage.set(&field.key, field.at, field.json()?)?,
        }
    }
    stage.check_run()?;
    Ok(stage)
}

pub(super) fn inputs(entry: &Entry<'_, '_>) -> Result<Vec<InputDraft>, Fault> {
    entry
        .entries()?
        .into_iter()
        .map(|role| {
            Ok(InputDraft {
                stage: role.word()?,
                at: role.at,
                role: role.key,
            })
        })
        .collect()
}

/// The axes of a table: `"stage.parameter" = […]`, `parameter = […]`, or, the
/// quotes left out, `stage.parameter = […]`.
pub(super) fn columns(entry: &Entry<'_, '_>) -> Result<Vec<Column>, Fault> {
    let entries = dotted(entry.entries()?, |_| true)?;
    if entries.len() > MAX_AXES {
        let problem = Problem::TooMany {
            what: "axes",
            count: entries.len(),
            max: MAX_AXES,
        };
        return Err(Fault::new(entry.at, problem));
    }
    entries.iter().map(column).collect()
}

fn column(entry: &Entry<'_, '_>) -> Result<Column, Fault> {
    let list = entry.list()?;
    if list.len() > MAX_POINTS {
        let problem = Problem::TooManyPoints {
            count: list.len() as u128,
            factors: format!("{} {}", entry.key, list.len()),
        };
        return Err(Fault::new(entry.at, problem));
    }
    let value = |node| {
        Ok((
            entry.scope.at(&toml::Spanned::span(node)),
            json(&entry.key, entry.scope, node)?,
        ))
    };
    Ok(Column {
        name: entry.key.clone(),
        at: entry.at,
        values: list.iter().map(value).collect::<Result<_, Fault>>()?,
    })
}

/// Joins `stage = { parameter = … }` to `stage.parameter = …`, one level deep,
/// where `opens` holds of the inner table.
pub(super) fn dotted<'t, 'a>(
    entries: Vec<Entry<'t, 'a>>,
    opens: impl Fn(&DeTable<'a>) -> bool,
) -> Result<Vec<Entry<'t, 'a>>, Fault> {
    let mut flat = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.value.get_ref().as_table() {
            Some(table) if opens(table) => {
                for inner in entry.entries()? {
                    let key = format!("{}.{}", entry.key, inner.key);
                    flat.push(Entry { key, ..inner });
                }
            }
            _ => flat.push(entry),
        }
    }
    Ok(flat)
}

/// Reads all `[[linked]]`.
pub(super) fn linked_axes(entry: &Entry<'_, '_>) -> Result<Vec<Vec<Column>>, Fault> {
    let tables = entry.tables()?.into_iter();
    let group = |(at, table): (Origin, &toml::Spanned<toml::de::DeValue<'_>>)| {
        linked(at, entry, table.get_ref().as_table())
    };
    tables.map(group).collect()
}

fn linked(
    at: Origin,
    entry: &Entry<'_, '_>,
    table: Option<&DeTable<'_>>,
) -> Result<Vec<Column>, Fault> {
    let entries = table.map(|table| entry.scope.entries(table));
    let columns = dotted(entries.unwrap_or_default(), |_| true)?
        .iter()
        .map(column)
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = columns.first() else {
        let problem = Problem::MissingKey {
            key: "axis",
            section: "[[linked]]".to_owned(),
            example: "axes of equal length, or remove it",
        };
        return Err(Fault::new(at, problem));
    };
    match columns
        .iter()
        .find(|c| c.values.len() != first.values.len())
    {
        None => Ok(columns),
        Some(odd) => Err(Fault::new(
            odd.at,
            Problem::Unequal {
                axis: odd.name.clone(),
                length: odd.values.len(),
                first: first.name.clone(),
                expected: first.values.len(),
            },
        )),
    }
}

fn points(entry: &Entry<'_, '_>) -> Result<Vec<Row>, Fault> {
    let row = |(at, table): (Origin, &toml::Spanned<toml::de::DeValue<'_>>)| {
        let entries = table.get_ref().as_table().map(|t| entry.scope.entries(t));
        let cells = dotted(entries.unwrap_or_default(), |_| true)?
            .into_iter()
            .map(|cell| {
                Ok(Cell {
                    value: cell.json()?,
                    at: cell.at,
                    axis: cell.key,
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Row { at, cells })
    };
    entry.tables()?.into_iter().map(row).collect()
}

/// Stage and profile names become parts of axis names, table columns, object
/// keys and HTML ids.
fn check_name(what: &'static str, entry: &Entry<'_, '_>) -> Result<(), Fault> {
    const RESERVED: &[&str] = &[
        "all",
        "kind",
        "last",
        "point",
        "points",
        "replicate",
        "replicates",
        "seed",
        "total",
    ];
    let name = entry.key.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let why = if name.is_empty() || name.len() > 40 {
        "1 to 40 characters are possible"
    } else if !name.chars().all(plain) {
        "use letters, digits, '-' and '_'"
    } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        "start with a letter"
    } else if RESERVED.contains(&name) {
        "it is reserved; choose another"
    } else {
        return Ok(());
    };
    let name = name.to_owned();
    Err(Fault::new(entry.at, Problem::BadName { what, name, why }))
}
