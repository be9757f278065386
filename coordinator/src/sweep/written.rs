//! A compact plan as the bytes of `plan.json`, which is read as a
//! [`Plan`](super::plan::Plan): one row at a time, so that a million need no
//! memory.

use std::io::{self, Write};

use serde::Serialize;

use super::compact::CompactPlan;
use super::plan::Plan;

impl CompactPlan {
    /// Writes the JSON that serde makes of the plan.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let Plan {
            version,
            sweep,
            title,
            question,
            cost,
            profile,
            priority,
            axes,
            replicates,
            stages,
            points: _,
            stages_naive,
            tasks: _,
            expectations,
            untested,
            figures,
        } = &self.head;
        out.write_all(b"{\"version\":")?;
        json(out, version)?;
        field(out, "sweep", sweep)?;
        field(out, "title", title)?;
        field(out, "question", question)?;
        field(out, "cost", cost)?;
        field(out, "profile", profile)?;
        field(out, "priority", priority)?;
        field(out, "axes", axes)?;
        field(out, "replicates", replicates)?;
        field(out, "stages", stages)?;
        out.write_all(b",\"points\":[")?;
        self.write_points(out)?;
        out.write_all(b"]")?;
        field(out, "stages_naive", stages_naive)?;
        out.write_all(b",\"tasks\":[")?;
        self.write_tasks(out)?;
        out.write_all(b"]")?;
        field(out, "expectations", expectations)?;
        if !untested.is_empty() {
            field(out, "untested", untested)?;
        }
        field(out, "figures", figures)?;
        out.write_all(b"}")
    }

    fn write_points(&self, out: &mut impl Write) -> io::Result<()> {
        let all: Vec<usize> = (0..self.head.axes.len()).collect();
        let axes = self.by_name(&all);
        let mut stages: Vec<_> = self.stages.iter().collect();
        stages.sort_by(|a, b| a.name.cmp(&b.name));
        for point in 0..self.points.len() {
            let comma: &[u8] = if point == 0 { b"" } else { b"," };
            out.write_all(comma)?;
            out.write_all(b"{\"coordinates\":")?;
            self.write_coordinates(out, &axes, point)?;
            field(out, "seed", &self.seed_of(point))?;
            out.write_all(b",\"tasks\":{")?;
            for (at, stage) in stages.iter().enumerate() {
                entry(out, at, &stage.name, &stage.of_points[point])?;
            }
            out.write_all(b"}}")?;
        }
        Ok(())
    }

    fn write_tasks(&self, out: &mut impl Write) -> io::Result<()> {
        let axes = self.stages.iter().map(|stage| self.by_name(&stage.axes));
        let axes: Vec<Vec<usize>> = axes.collect();
        for (at, (task, source)) in self.tasks.iter().zip(&self.sources).enumerate() {
            let comma: &[u8] = if at == 0 { b"" } else { b"," };
            out.write_all(comma)?;
            out.write_all(b"{\"task\":{\"key\":")?;
            json(out, &task.key)?;
            field(out, "label", &task.label)?;
            out.write_all(b",\"spec\":{\"kind\":")?;
            json(out, task.kind.info().name)?;
            // JSON already.
            out.write_all(b",\"parameters\":")?;
            out.write_all(task.parameters.as_bytes())?;
            out.write_all(b"}")?;
            field(out, "seed", &task.seed)?;
            field(out, "inputs", &task.inputs)?;
            out.write_all(b"}")?;
            let stage = source.stage as usize;
            field(out, "stage", &self.stages[stage].name)?;
            out.write_all(b",\"coordinates\":")?;
            self.write_coordinates(out, &axes[stage], source.point as usize)?;
            field(out, "points", &source.points)?;
            out.write_all(b"}")?;
        }
        Ok(())
    }

    fn write_coordinates(
        &self,
        out: &mut impl Write,
        axes: &[usize],
        point: usize,
    ) -> io::Result<()> {
        let values = self.points.coordinates(point);
        out.write_all(b"{")?;
        for (at, &axis) in axes.iter().enumerate() {
            let described = &self.head.axes[axis];
            let value = &described.values[values[axis] as usize];
            entry(out, at, &described.name, value)?;
        }
        out.write_all(b"}")
    }

    /// Maps have their keys in this order.
    fn by_name(&self, axes: &[usize]) -> Vec<usize> {
        let mut sorted = axes.to_vec();
        sorted.sort_by(|a, b| self.head.axes[*a].name.cmp(&self.head.axes[*b].name));
        sorted
    }
}

fn json<T: Serialize + ?Sized>(out: &mut impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// One of several, after another.
fn field<T: Serialize + ?Sized>(out: &mut impl Write, name: &str, value: &T) -> io::Result<()> {
    write!(out, ",\"{name}\":")?;
    json(out, value)
}

/// One of a map, by its place.
fn entry<T: Serialize>(out: &mut impl Write, at: usize, key: &str, value: &T) -> io::Result<()> {
    if at > 0 {
        out.write_all(b",")?;
    }
    json(out, key)?;
    out.write_all(b":")?;
    json(out, value)
}
