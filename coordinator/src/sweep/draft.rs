//! A sweep file as read: names are checked, nothing is expanded yet.
//! Profiles and overrides change a draft before it is planned.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;
use serde_json::Value;

use super::condition::Condition;
use super::error::{Fault, Hint, Origin, Problem};
use super::expect::Listed;
use super::plan::{Expectation, Figure};
use super::random::Random;

#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Of everything it was read from, for tables.
    pub(super) salt: u64,
    pub(super) name: String,
    pub(super) name_at: Origin,
    pub(super) title: String,
    pub(super) question: String,
    pub(super) cost: String,
    pub(super) seed: u64,
    pub(super) seed_at: Origin,
    pub(super) replicates: u64,
    pub(super) replicates_at: Origin,
    pub(super) priority: i64,
    pub(super) priority_at: Origin,
    pub(super) stages: Vec<StageDraft>,
    /// Axes that move alone.
    pub(super) axes: Vec<Column>,
    /// Values that axes had before a profile or an override replaced them.
    pub(super) replaced: BTreeMap<String, Vec<Value>>,
    pub(super) linked: Vec<Vec<Column>>,
    pub(super) points: Vec<Row>,
    pub(super) random: Option<Random>,
    pub(super) exclude: Vec<Vec<Condition>>,
    pub(super) include: Vec<Vec<Condition>>,
    pub(super) expectations: Vec<Listed<Expectation>>,
    pub(super) figures: Vec<Listed<Figure>>,
}

#[derive(Debug, Clone)]
pub(super) struct StageDraft {
    pub(super) name: String,
    pub(super) at: Origin,
    pub(super) kind: StageKind,
    pub(super) inputs: Vec<InputDraft>,
    /// Parameters that the file sets, each with the place of its key.
    pub(super) parameters: BTreeMap<String, (Origin, Value)>,
    /// Into how many tasks its work is cut, if the file says so.
    pub(super) shards: Option<(Origin, usize)>,
}

#[derive(Debug, Clone)]
pub(super) struct InputDraft {
    pub(super) role: String,
    pub(super) at: Origin,
    pub(super) stage: String,
}

/// An axis as written: a name and its values.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) at: Origin,
    pub(super) values: Vec<(Origin, Value)>,
}

/// An explicit point as written.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: Origin,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) axis: String,
    pub(super) at: Origin,
    pub(super) value: Value,
}

impl Draft {
    /// The place of a stage in the file, by its name.
    ///
    /// # Errors
    /// `by` names a stage that does not exist.
    pub(super) fn stage(
        &self,
        name: &str,
        at: Origin,
        by: impl FnOnce() -> String,
    ) -> Result<usize, Fault> {
        self.stages
            .iter()
            .position(|stage| stage.name == name)
            .ok_or_else(|| {
                let problem = Problem::UnknownStage {
                    by: by(),
                    stage: name.to_owned(),
                    hint: Hint::new(name, self.stages.iter().map(|s| s.name.as_str())),
                };
                Fault::new(at, problem)
            })
    }

    /// The names of stages and axes without the values, for checks of names.
    pub(super) fn outline(&self) -> Self {
        let bare = |column: &Column| Column {
            name: column.name.clone(),
            at: column.at,
            values: Vec::new(),
        };
        let cells: BTreeMap<&str, &Cell> = self
            .points
            .iter()
            .flat_map(|row| &row.cells)
            .map(|cell| (cell.axis.as_str(), cell))
            .collect();
        let names = self.points.first().map(|row| Row {
            at: row.at,
            cells: cells.into_values().cloned().collect(),
        });
        let linked = self.linked.iter();
        Self {
            name: self.name.clone(),
            title: String::new(),
            question: String::new(),
            cost: String::new(),
            stages: self.stages.clone(),
            axes: self.axes.iter().map(bare).collect(),
            replaced: BTreeMap::new(),
            linked: linked
                .map(|columns| columns.iter().map(bare).collect())
                .collect(),
            points: names.into_iter().collect(),
            random: self.random.clone(),
            exclude: Vec::new(),
            include: Vec::new(),
            expectations: Vec::new(),
            figures: Vec::new(),
            ..*self
        }
    }

    /// The section that an axis stands in, for axes that move with others.
    pub(super) fn bound_in(&self, axis: &str) -> Option<&'static str> {
        let linked = self.linked.iter().flatten().any(|c| c.name == axis);
        let mut cells = self.points.iter().flat_map(|row| &row.cells);
        let mut drawn = self.random.iter().flat_map(|random| &random.axes);
        if linked {
            Some("[[linked]]")
        } else if cells.any(|cell| cell.axis == axis) {
            Some("[[points]]")
        } else if drawn.any(|drawn| drawn.name == axis) {
            Some("[random]")
        } else {
            None
        }
    }

    /// Replaces all linked axes. What moved alone until now, and is one of
    /// them, moves with them.
    pub(super) fn set_linked(&mut self, linked: Vec<Vec<Column>>) {
        let moves = |name: &str| linked.iter().flatten().any(|column| column.name == name);
        self.axes.retain(|axis| !moves(&axis.name));
        self.linked = linked;
    }

    /// Replaces the values of an axis that moves alone, or adds the axis.
    pub(super) fn set_axis(&mut self, column: Column) -> Result<(), Fault> {
        if let Some(section) = self.bound_in(&column.name) {
            let problem = Problem::NotReplaceable {
                axis: column.name,
                section,
            };
            return Err(Fault::new(column.at, problem));
        }
        match self.axes.iter_mut().find(|axis| axis.name == column.name) {
            Some(axis) => {
                let before = self.replaced.entry(axis.name.clone()).or_default();
                before.extend(axis.values.drain(..).map(|(_, value)| value));
                *axis = column;
            }
            None => self.axes.push(column),
        }
        Ok(())
    }
}

impl StageDraft {
    /// The value of a parameter before axes: from the file, or the default.
    pub(super) fn base(&self, field: &str) -> Option<Value> {
        match self.parameters.get(field) {
            Some((_, value)) => Some(value.clone()),
            None => self.kind.default_of(field),
        }
    }

    /// Adds inputs; one in a role that is taken comes in its place.
    pub(super) fn set_inputs(&mut self, inputs: Vec<InputDraft>) {
        let taken = |known: &InputDraft| inputs.iter().any(|input| input.role == known.role);
        self.inputs.retain(|known| !taken(known));
        self.inputs.extend(inputs);
    }

    /// Sets a parameter of this stage.
    ///
    /// # Errors
    /// Stages of this kind have no such parameter.
    pub(super) fn set(&mut self, field: &str, at: Origin, value: Value) -> Result<(), Fault> {
        if self.kind.is_open()
            && field == super::command::PARAMS
            && let Value::Object(params) = value
        {
            return params
                .into_iter()
                .try_for_each(|(name, value)| self.set(&name, at, value));
        }
        if self.set_shards(field, at, &value)? {
            return Ok(());
        }
        let fields = self.fields();
        if !fields.iter().any(|known| known == field) {
            let hint = if super::file::KEYS.contains(&field) {
                Hint::note("keys of the sweep itself stand above the first [section]")
            } else {
                let nearest = || Hint::new(field, fields.iter().map(String::as_str));
                super::shards::hint(field, false).unwrap_or_else(nearest)
            };
            let problem = Problem::UnknownParameter {
                stage: self.name.clone(),
                kind: self.kind.info().name,
                field: field.to_owned(),
                hint,
            };
            return Err(Fault::new(at, problem));
        }
        self.parameters.insert(field.to_owned(), (at, value));
        Ok(())
    }
}
