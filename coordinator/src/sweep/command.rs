//! Stages that run a user's own program: parameters with names of the
//! author's, and files that travel with the sweep.
//!
//! A draft keeps the parameters of such a stage beside its fields, so that
//! each can be an axis; here they go back into the table `params`. Files are
//! named by path in a sweep file, and by their content in a task.

use std::collections::{BTreeMap, BTreeSet};

use ablate_proto::stage::{StageKind, is_inside, is_name};
use serde_json::{Map, Value};

use super::draft::{Draft, StageDraft};
use super::error::{Fault, Origin, Problem};
use super::read::Entry;

/// The table of the author's own parameters.
pub(super) const PARAMS: &str = "params";
/// What travels, by path.
const FILES: &str = "files";
const RUN: &str = "run";

/// Path beside the sweep file → blake3 of its content, in hex.
pub type Files = BTreeMap<String, String>;

/// What a sweep asks of those who run it, known before it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Some stage runs a program of the author's.
    pub commands: bool,
    pub files: BTreeSet<Attachment>,
}

/// A file that a sweep takes along.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment {
    /// Relative to the sweep file.
    pub path: String,
    /// Named in `files`. Else it is a word of a command line that may be one.
    pub required: bool,
}

impl StageDraft {
    /// Everything that a profile, an override or an axis can set.
    pub(super) fn fields(&self) -> Vec<String> {
        let mut fields = self.kind.fields();
        if self.kind.is_open() {
            fields.retain(|field| field != PARAMS);
            let own = self.parameters.keys();
            fields.extend(own.filter(|name| !is_field(self.kind, name)).cloned());
        }
        fields
    }

    /// Takes the author's own parameters from their table.
    pub(super) fn declare(&mut self, params: &Entry<'_, '_>) -> Result<(), Fault> {
        for entry in params.entries()? {
            let why = if !is_name(&entry.key) {
                "use letters, digits and '_', not starting with a digit, at most 60"
            } else if entry.key == "seed" {
                "it is reserved: a program finds its seed in ABLATE_SEED"
            } else if is_field(self.kind, &entry.key) || entry.key == "inputs" {
                "stages of this kind have something of that name; choose another"
            } else {
                let value = (entry.at, entry.json()?);
                self.parameters.insert(entry.key, value);
                continue;
            };
            let (what, name) = ("parameter", entry.key);
            return Err(Fault::new(entry.at, Problem::BadName { what, name, why }));
        }
        Ok(())
    }

    /// A stage without a program would run nothing, and pass.
    pub(super) fn check_run(&self) -> Result<(), Fault> {
        if !self.kind.is_open() || self.parameters.contains_key(RUN) {
            return Ok(());
        }
        let problem = Problem::MissingKey {
            key: RUN,
            section: format!("stage `{}`", self.name),
            example: "for example run = [\"python3\", \"train.py\"]",
        };
        Err(Fault::new(self.at, problem))
    }
}

fn is_field(kind: StageKind, name: &str) -> bool {
    kind.fields().iter().any(|field| field == name)
}

/// Gives the parameters of an open kind the form of its spec.
///
/// # Errors
/// The field at fault, and why.
pub(super) fn close(
    kind: StageKind,
    parameters: &mut Map<String, Value>,
    files: &Files,
) -> Result<(), (String, String)> {
    if !kind.is_open() {
        return Ok(());
    }
    let (fields, params): (Map<_, _>, Map<_, _>) = std::mem::take(parameters)
        .into_iter()
        .partition(|(name, _)| is_field(kind, name));
    *parameters = fields;
    let found = travelling(parameters, files).map_err(|why| (FILES.to_owned(), why))?;
    parameters.insert(FILES.to_owned(), found.into());
    parameters.insert(PARAMS.to_owned(), params.into());
    Ok(())
}

fn travelling(
    parameters: &Map<String, Value>,
    files: &Files,
) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    let listed = parameters.get(FILES).unwrap_or(&Value::Null);
    let listed = paths(listed).ok_or("`files` must be a list of paths")?;
    for path in listed {
        let digest = match files.get(&path) {
            Some(digest) => digest.clone(),
            // Refused for its name by the spec.
            None if !is_inside(&path) => String::new(),
            None => {
                return Err(format!(
                    "`files` names {path:?}, which was not sent along; it must lie beside the \
                     sweep file"
                ));
            }
        };
        found.insert(path, digest.into());
    }
    let run = parameters.get(RUN).and_then(paths).unwrap_or_default();
    for path in run {
        if let Some(digest) = files.get(&path) {
            found.insert(path, digest.clone().into());
        }
    }
    Ok(found)
}

/// A list of words, as paths; `None` if it is something else.
fn paths(value: &Value) -> Option<Vec<String>> {
    let path = |word: &Value| {
        let word = word.as_str()?;
        Some(word.strip_prefix("./").unwrap_or(word).to_owned())
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(words) => words.iter().map(path).collect(),
        _ => None,
    }
}

/// The files that a draft's stages may need.
pub(super) fn needs(draft: &Draft) -> Needs {
    let mut found = BTreeMap::new();
    let mut take = |field: &str, value: &Value| {
        let required = match field.rsplit('.').next() {
            Some(FILES) => true,
            Some(RUN) => false,
            _ => return,
        };
        for path in paths(value).unwrap_or_default() {
            if is_inside(&path) {
                *found.entry(path).or_insert(false) |= required;
            }
        }
    };
    let open = draft.stages.iter().filter(|stage| stage.kind.is_open());
    if open.clone().count() == 0 {
        return Needs::default();
    }
    for stage in open {
        for (field, (_, value)) in &stage.parameters {
            take(field, value);
        }
    }
    let columns = draft.axes.iter().chain(draft.linked.iter().flatten());
    for column in columns {
        for (_, value) in &column.values {
            take(&column.name, value);
        }
    }
    for cell in draft.points.iter().flat_map(|row| &row.cells) {
        take(&cell.axis, &cell.value);
    }
    for drawn in draft.random.iter().flat_map(|random| &random.axes) {
        for value in drawn.choices() {
            take(&drawn.name, value);
        }
    }
    let attachment = |(path, required)| Attachment { path, required };
    Needs {
        commands: true,
        files: found.into_iter().map(attachment).collect(),
    }
}

/// Where the files of a stage stand in the sweep file.
pub(super) fn origin(stage: &StageDraft) -> Origin {
    let field = stage.parameters.get(FILES);
    let field = field.or_else(|| stage.parameters.get(RUN));
    field.map_or(stage.at, |(at, _)| *at)
}
