//! Builds the grid: gives every axis its values and the stages it enters.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::MAX_AXES;
use super::axes::{Axis, Factor, Grid, canonical, shown};
use super::draft::{Column, Draft, StageDraft};
use super::error::{Fault, Hint, Origin, Problem};
use super::intern::Index;

type Located = (Origin, Value);

/// The grid of a draft whose size was checked.
pub(super) fn build(draft: &Draft) -> Result<Grid, Fault> {
    let mut builder = Builder {
        salt: draft.salt,
        places: Places::new(draft),
        grid: Grid {
            axes: Vec::new(),
            factors: Vec::new(),
        },
        names: HashSet::new(),
    };
    for column in &draft.axes {
        builder.alone(column)?;
    }
    for columns in &draft.linked {
        let names: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.at)).collect();
        let length = columns.first().map_or(0, |column| column.values.len());
        let row = |i: usize| columns.iter().map(|c| c.values[i].clone()).collect();
        builder.factor("[[linked]]", &names, (0..length).map(row).collect())?;
    }
    if !draft.points.is_empty() {
        builder.points(draft)?;
    }
    if let Some(random) = &draft.random {
        let names: Vec<_> = random
            .axes
            .iter()
            .map(|a| (a.name.as_str(), a.at))
            .collect();
        let located = |row: Vec<Value>| names.iter().map(|(_, at)| *at).zip(row).collect();
        let rows = random.draw()?.into_iter().map(located).collect();
        builder.factor("[random]", &names, rows)?;
    }
    builder.shadow()?;
    Ok(builder.grid)
}

struct Builder {
    salt: u64,
    places: Places,
    grid: Grid,
    names: HashSet<String>,
}

impl Builder {
    /// Adds an axis without values.
    fn axis(&mut self, name: &str, at: Origin) -> Result<usize, Fault> {
        let enters = self.places.of(name, at)?;
        if !self.names.insert(name.to_owned()) {
            let axis = name.to_owned();
            return Err(Fault::new(at, Problem::AxisTwice { axis }));
        }
        if self.names.len() > MAX_AXES {
            let problem = Problem::TooMany {
                what: "axes",
                count: self.names.len(),
                max: MAX_AXES,
            };
            return Err(Fault::new(at, problem));
        }
        self.grid.axes.push(Axis {
            name: name.to_owned(),
            at,
            values: Vec::new(),
            origins: Vec::new(),
            index: Index::new(self.salt),
            enters,
        });
        Ok(self.grid.axes.len() - 1)
    }

    fn alone(&mut self, column: &Column) -> Result<(), Fault> {
        let axis = self.axis(&column.name, column.at)?;
        let described = &mut self.grid.axes[axis];
        let mut rows = Vec::with_capacity(column.values.len());
        for (at, value) in &column.values {
            let known = described.values.len();
            let index = described.intern(*at, value);
            if described.values.len() == known {
                let problem = Problem::DuplicateValue {
                    axis: column.name.clone(),
                    value: shown(value),
                };
                return Err(Fault::new(*at, problem));
            }
            rows.push(index);
        }
        if rows.is_empty() {
            let axis = column.name.clone();
            return Err(Fault::new(column.at, Problem::EmptyAxis { axis }));
        }
        let axes = vec![axis];
        self.grid.factors.push(Factor { axes, rows });
        Ok(())
    }

    fn factor(
        &mut self,
        section: &'static str,
        names: &[(&str, Origin)],
        rows: Vec<Vec<Located>>,
    ) -> Result<(), Fault> {
        let axes = names
            .iter()
            .map(|(name, at)| self.axis(name, *at))
            .collect::<Result<Vec<_>, _>>()?;
        if let (true, Some((name, at))) = (rows.is_empty(), names.first()) {
            let axis = (*name).to_owned();
            return Err(Fault::new(*at, Problem::EmptyAxis { axis }));
        }
        let mut seen = HashSet::with_capacity(rows.len());
        let mut indices = Vec::with_capacity(rows.len() * axes.len());
        for row in rows {
            let start = indices.len();
            for (&axis, (at, value)) in axes.iter().zip(&row) {
                indices.push(self.grid.axes[axis].intern(*at, value));
            }
            if !seen.insert(indices[start..].to_vec()) {
                let cell = |((name, _), (_, value)): (&(&str, _), &Located)| {
                    format!("{name} = {}", shown(value))
                };
                let point: Vec<String> = names.iter().zip(&row).take(12).map(cell).collect();
                let point = super::error::inert(&point.join(", "), 400);
                let at = row.first().map_or(Origin::File(0), |(at, _)| *at);
                return Err(Fault::new(at, Problem::DuplicatePoint { section, point }));
            }
        }
        let rows = indices;
        self.grid.factors.push(Factor { axes, rows });
        Ok(())
    }

    /// Explicit points. A point that says nothing of an axis has the value
    /// that its stages have by themselves.
    fn points(&mut self, draft: &Draft) -> Result<(), Fault> {
        let mut names: Vec<(&str, Origin)> = Vec::new();
        let mut place = HashMap::new();
        for cell in draft.points.iter().flat_map(|row| &row.cells) {
            place.entry(cell.axis.as_str()).or_insert_with(|| {
                names.push((&cell.axis, cell.at));
                names.len() - 1
            });
            if names.len() > MAX_AXES {
                break;
            }
        }
        if names.is_empty() {
            let problem = Problem::MissingKey {
                key: "axis",
                section: "[[points]]".to_owned(),
                example: "a value such as gamma = 3 to at least one point",
            };
            return Err(Fault::new(draft.points[0].at, problem));
        }
        let mut rows = Vec::with_capacity(draft.points.len());
        for row in &draft.points {
            let mut cells: Vec<Option<Located>> = vec![None; names.len()];
            for cell in &row.cells {
                let Some(&index) = place.get(cell.axis.as_str()) else {
                    continue;
                };
                if cells[index].is_some() {
                    let axis = cell.axis.clone();
                    return Err(Fault::new(cell.at, Problem::AxisTwice { axis }));
                }
                cells[index] = Some((cell.at, cell.value.clone()));
            }
            let filled = cells
                .into_iter()
                .zip(&names)
                .map(|(cell, (name, at))| match cell {
                    Some(cell) => Ok(cell),
                    None => self.places.base(draft, name, *at, row.at),
                })
                .collect::<Result<Vec<_>, _>>()?;
            rows.push(filled);
        }
        self.factor("[[points]]", &names, rows)
    }

    /// An axis of one stage's parameter takes it from a bare axis.
    fn shadow(&mut self) -> Result<(), Fault> {
        let stages = &self.places.stages;
        for axis in self.grid.axes.iter_mut().filter(|a| !a.name.contains('.')) {
            axis.enters.retain(|(stage, field)| {
                !self.names.contains(&format!("{}.{field}", stages[*stage]))
            });
            if axis.enters.is_empty() {
                let problem = Problem::ShadowedAxis {
                    axis: axis.name.clone(),
                };
                return Err(Fault::new(axis.at, problem));
            }
        }
        Ok(())
    }
}

impl Axis {
    /// The index of a value, which is added if it is new.
    fn intern(&mut self, at: Origin, value: &Value) -> u32 {
        if let Some(known) = self.place(value) {
            return known;
        }
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.origins.push(at);
        self.index.add(&canonical(value), next);
        next
    }
}

/// Which parameters the stages have.
struct Places {
    stages: Vec<String>,
    fields: Vec<Vec<String>>,
}

impl Places {
    fn new(draft: &Draft) -> Self {
        Self {
            stages: draft.stages.iter().map(|s| s.name.clone()).collect(),
            fields: draft.stages.iter().map(StageDraft::fields).collect(),
        }
    }

    /// The stages that an axis enters, with the parameter it sets there.
    fn of(&self, name: &str, at: Origin) -> Result<Vec<(usize, String)>, Fault> {
        let (wanted, field) = match name.split_once('.') {
            Some((stage, field)) => (Some(stage), field),
            None => (None, name),
        };
        let enters: Vec<(usize, String)> = self
            .stages
            .iter()
            .zip(&self.fields)
            .enumerate()
            .filter(|(_, (stage, _))| wanted.is_none_or(|wanted| wanted == *stage))
            .filter(|(_, (_, fields))| fields.iter().any(|known| known == field))
            .map(|(i, _)| (i, field.to_owned()))
            .collect();
        if !enters.is_empty() {
            return Ok(enters);
        }
        let known: Vec<String> = self
            .stages
            .iter()
            .zip(&self.fields)
            .flat_map(|(stage, fields)| fields.iter().map(move |field| (stage, field)))
            .map(|(stage, field)| match wanted {
                Some(_) => format!("{stage}.{field}"),
                None => field.clone(),
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let hint = if self.stages.iter().any(|stage| stage == name) {
            Hint::note("it is a stage: write its parameter too, as in \"decoder.sigma\"")
        } else {
            let nearest = || Hint::new(name, known.iter().map(String::as_str));
            super::shards::hint(name, true).unwrap_or_else(nearest)
        };
        let axis = name.to_owned();
        Err(Fault::new(at, Problem::UnusedAxis { axis, hint }))
    }

    /// The value that the stages of an axis have by themselves.
    fn base(&self, draft: &Draft, name: &str, at: Origin, row: Origin) -> Result<Located, Fault> {
        let mut values = self
            .of(name, at)?
            .into_iter()
            .filter_map(|(stage, field)| draft.stages[stage].base(&field));
        let first = values.next().unwrap_or_default();
        let same = canonical(&first);
        if values.all(|value| canonical(&value) == same) {
            Ok((row, first))
        } else {
            let axis = name.to_owned();
            Err(Fault::new(row, Problem::NoCommonValue { axis }))
        }
    }
}
