//! Stages in shards: `shards = 10` makes ten tasks of one, and a task that
//! puts together what they leave. Points and stages that follow know that one
//! alone, so nothing else depends on how often a stage is cut.
//!
//! A `sample` or `generate` is cut by images, and its whole is a `gather`;
//! `features` and `count` are cut by images, too, and their wholes are of the
//! same kinds. Of
//! an `evaluate` the search for neighbours is cut, and it reads what was
//! found. If the samples that a search or features are of are cut as often,
//! each takes one of those shards, and need not wait for the others.

use std::collections::BTreeMap;

use ablate_proto::seal::Seal;
use ablate_proto::stage::shard::{MAX_SHARDS, Shards};
use ablate_proto::stage::{StageKind, StageSpec};
use ablate_proto::task::Input;
use serde_json::Value;

use super::derived::IMAGES;
use super::draft::{Draft, StageDraft};
use super::error::{Fault, Hint, Origin, Problem};

/// The parameter that the planner keeps to itself: results do not depend on
/// it, so tasks do not have it.
pub(super) const SHARDS: &str = "shards";

/// How a stage is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// 1: it is one task.
    pub(super) shards: usize,
    /// Its samples are cut as often.
    aligned: bool,
    at: Origin,
}

/// A spec as the tasks of a stage carry it.
pub(super) struct Sealed {
    pub(super) whole: Seal,
    /// None of a stage in one piece.
    pub(super) shards: Vec<Seal>,
}

impl StageDraft {
    /// Takes the number of shards, if `field` is that.
    pub(super) fn set_shards(
        &mut self,
        field: &str,
        at: Origin,
        value: &Value,
    ) -> Result<bool, Fault> {
        if field != SHARDS || !self.kind.has_shards() {
            return Ok(false);
        }
        let shards = value.as_u64().and_then(|n| usize::try_from(n).ok());
        let shards = shards.filter(|n| (1..=MAX_SHARDS).contains(n));
        let Some(shards) = shards else {
            let key = SHARDS.to_owned();
            let why = format!("must be a whole number from 1 to {MAX_SHARDS}");
            return Err(Fault::new(at, Problem::BadValue { key, why }));
        };
        self.shards = Some((at, shards));
        Ok(true)
    }

    fn cut_into(&self) -> usize {
        self.shards.map_or(1, |(_, shards)| shards)
    }
}

/// Why `shards` is no parameter, or no axis, of what it was written for.
pub(super) fn hint(field: &str, is_axis: bool) -> Option<Hint> {
    let field = field.rsplit('.').next().unwrap_or(field);
    let why = if is_axis {
        "no result depends on the number of shards: write it into a stage"
    } else {
        "stages of the kinds count, sample, generate, features and evaluate can be cut into \
         shards"
    };
    (field == SHARDS).then(|| Hint::note(why))
}

impl Cut {
    /// How the stage `index` is cut, whose inputs are these.
    pub(super) fn of(
        draft: &Draft,
        index: usize,
        inputs: &BTreeMap<String, usize>,
    ) -> Result<Self, Fault> {
        let stage = &draft.stages[index];
        let drawn = inputs.get(drawn_by(stage.kind));
        let drawn = drawn.map(|drawn| &draft.stages[*drawn]);
        let cut = Self {
            shards: stage.cut_into(),
            aligned: drawn.is_some_and(|drawn| drawn.cut_into() == stage.cut_into()),
            at: stage.shards.map_or(stage.at, |(at, _)| at),
        };
        if cut.shards > 1 && stage.kind == StageKind::Evaluate && drawn.is_none() {
            let key = SHARDS.to_owned();
            let why = "cuts the search for the nearest images of samples, and this stage has no \
                       input `samples`; remove it";
            let why = why.to_owned();
            return Err(Fault::new(cut.at, Problem::BadValue { key, why }));
        }
        Ok(cut)
    }

    /// Tasks of a stage at one point.
    pub(super) fn tasks(self) -> usize {
        match self.shards {
            1 => 1,
            shards => shards + 1,
        }
    }

    pub(super) fn seal(self, stage: &StageDraft, spec: &StageSpec) -> Result<Sealed, Fault> {
        if self.shards == 1 {
            return Ok(Sealed {
                whole: Seal::new(spec),
                shards: Vec::new(),
            });
        }
        let cut = spec.in_shards(self.shards, self.aligned);
        let Shards { shards, whole } = cut.map_err(|invalid| {
            let problem = Problem::BadParameter {
                stage: stage.name.clone(),
                kind: stage.kind.info().name,
                axis: None,
                why: invalid.to_string(),
            };
            Fault::new(self.at, problem)
        })?;
        Ok(Sealed {
            whole: Seal::new(&whole),
            shards: shards.iter().map(Seal::new).collect(),
        })
    }

    /// The inputs of a shard: those of the stage, as far as it needs them.
    /// `drawn` are the inputs of what gathered the samples that it is of.
    pub(super) fn inputs_of(
        self,
        kind: StageKind,
        shard: usize,
        inputs: &[Input],
        drawn: &[Input],
    ) -> Vec<Input> {
        let searches = kind == StageKind::Evaluate;
        let needed = ["data", "samples", "held_out"];
        let mut needed: Vec<Input> = inputs
            .iter()
            .filter(|input| !searches || needed.contains(&input.role.as_str()))
            .cloned()
            .collect();
        let own = role("shard", shard);
        if self.aligned
            && let Some(own) = drawn.iter().find(|input| input.role == own)
            && let Some(whole) = needed.iter_mut().find(|i| i.role == drawn_by(kind))
        {
            whole.task = own.task;
        }
        needed
    }
}

/// The role of the samples that a stage of this kind is of, if it is of some.
pub(super) fn drawn_by(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Features => IMAGES,
        _ => "samples",
    }
}

/// The inputs of the task that puts the shards together.
pub(super) fn inputs_of_whole(
    kind: StageKind,
    inputs: Vec<Input>,
    shards: impl Iterator<Item = ablate_proto::id::TaskKey>,
) -> Vec<Input> {
    let (mut all, name) = match kind {
        StageKind::Evaluate => (inputs, "neighbours"),
        StageKind::Features => (Vec::new(), "shard"),
        StageKind::Count => (inputs, "shard"),
        // It looks up which contexts were unseen.
        _ => {
            let priors = inputs.into_iter().filter(|input| input.role == "prior");
            (priors.collect(), "shard")
        }
    };
    let numbered = |(i, task)| Input {
        role: role(name, i),
        task,
    };
    all.extend(shards.enumerate().map(numbered));
    all
}

/// The role of one of several inputs.
fn role(name: &str, number: usize) -> String {
    format!("{name}.{number}")
}
