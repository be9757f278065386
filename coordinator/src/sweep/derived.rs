//! What other tasks have computed for a stage: it must be of the stage's own
//! input, computed as the stage itself would.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;
use ablate_proto::task::SealedTask;
use serde_json::{Map, Value};

use super::draft::{Draft, StageDraft};
use super::error::{Fault, Origin, Problem};

/// An input that spares its stage some work.
struct Derived {
    kind: StageKind,
    role: &'static str,
    /// The kind of what is in that role, and the role of what it is of.
    by: (StageKind, &'static str),
    /// The same in the stage itself.
    of: &'static str,
    /// Parameters that must be the same in both.
    fields: &'static [&'static str],
}

/// The role of the images that features are of.
pub(super) const IMAGES: &str = "images";

const WEIGHTS: &[&str] = &["inception", "inception_digest", "fid_mode"];

const DERIVED: [Derived; 3] = [
    Derived {
        kind: StageKind::Evaluate,
        role: "features",
        by: (StageKind::Features, IMAGES),
        of: "data",
        fields: WEIGHTS,
    },
    Derived {
        kind: StageKind::Evaluate,
        role: "sample_features",
        by: (StageKind::Features, IMAGES),
        of: "samples",
        fields: WEIGHTS,
    },
    Derived {
        kind: StageKind::Arvm,
        role: "counts",
        by: (StageKind::Count, "codes"),
        of: "codes",
        fields: &["gamma", "window", "tie"],
    },
];

fn derived(kind: StageKind) -> impl Iterator<Item = &'static Derived> {
    DERIVED.iter().filter(move |derived| derived.kind == kind)
}

/// Refuses a stage for which something was computed of another input than its
/// own.
pub(super) fn check_inputs(
    draft: &Draft,
    index: usize,
    inputs: &[BTreeMap<String, usize>],
) -> Result<(), Fault> {
    let stage = &draft.stages[index];
    for Derived { role, by, of, .. } in derived(stage.kind) {
        let Some(given) = inputs[index].get(*role) else {
            continue;
        };
        let (theirs, own) = (inputs[*given].get(by.1), inputs[index].get(*of));
        if theirs == own {
            continue;
        }
        let at = stage.inputs.iter().find(|input| input.role == *role);
        let name = |stage: &usize| draft.stages[*stage].name.clone();
        let problem = Problem::OtherInput {
            stage: stage.name.clone(),
            role,
            given: name(given),
            of: theirs.map(name).unwrap_or_default(),
            beside: of,
            own: own.map(name),
        };
        return Err(Fault::new(at.map_or(stage.at, |input| input.at), problem));
    }
    Ok(())
}

/// Refuses a task for which something was computed otherwise than it would.
/// `parent` is the task in a role.
pub(super) fn check_parameters<'a>(
    stage: &StageDraft,
    own: &SealedTask,
    parent: impl Fn(&str) -> Option<&'a SealedTask>,
) -> Result<(), Fault> {
    for derived in derived(stage.kind) {
        let Some(parent) = parent(derived.role) else {
            continue;
        };
        let [own, theirs] = [own, parent].map(parameters);
        if theirs.get("parts").is_some_and(|parts| *parts != 1) {
            let why = format!(
                "its input `{}` is a part of what it needs: leave `parts` out there",
                derived.role
            );
            return Err(refused(stage, stage.at, why));
        }
        for field in derived.fields {
            let value = |kind: StageKind, parameters: &Map<String, Value>| {
                let given = parameters.get(*field).cloned();
                given.or_else(|| kind.default_of(field)).unwrap_or_default()
            };
            let own = value(derived.kind, &own);
            let theirs = value(derived.by.0, &theirs);
            if own != theirs {
                let at = stage.parameters.get(*field);
                let at = at.map_or(stage.at, |(at, _)| *at);
                return Err(otherwise(stage, at, derived.role, (field, &own, &theirs)));
            }
        }
    }
    Ok(())
}

/// A sealed task was made of a spec.
fn parameters(task: &SealedTask) -> Map<String, Value> {
    serde_json::from_str(&task.parameters).unwrap_or_default()
}

fn otherwise(
    stage: &StageDraft,
    at: Origin,
    role: &str,
    (field, own, theirs): (&str, &Value, &Value),
) -> Fault {
    let why = format!(
        "`{field}` is {own}, but that of its input `{role}` is {theirs}: give both the same"
    );
    refused(stage, at, why)
}

fn refused(stage: &StageDraft, at: Origin, why: String) -> Fault {
    let problem = Problem::BadParameter {
        stage: stage.name.clone(),
        kind: stage.kind.info().name,
        axis: None,
        why,
    };
    Fault::new(at, problem)
}
