//! Features that other tasks compute for an `evaluate`: they must be of the
//! images that it measures, seen through the same weights in the same way.

use std::collections::BTreeMap;

use ablate_proto::stage::StageKind;
use ablate_proto::task::SealedTask;
use serde_json::{Map, Value};

use super::draft::{Draft, StageDraft};
use super::error::{Fault, Origin, Problem};

/// A role, and the one whose images the features in it are of.
const ROLES: [(&str, &str); 2] = [("features", "data"), ("sample_features", "samples")];
/// Of a stage that computes features.
pub(super) const IMAGES: &str = "images";

/// Refuses a stage whose features are of other images than its own.
pub(super) fn check_images(
    draft: &Draft,
    index: usize,
    inputs: &[BTreeMap<String, usize>],
) -> Result<(), Fault> {
    let stage = &draft.stages[index];
    if stage.kind != StageKind::Evaluate {
        return Ok(());
    }
    for (role, beside) in ROLES {
        let Some(features) = inputs[index].get(role) else {
            continue;
        };
        let (of, own) = (inputs[*features].get(IMAGES), inputs[index].get(beside));
        if of == own {
            continue;
        }
        let given = stage.inputs.iter().find(|input| input.role == role);
        let name = |stage: &usize| draft.stages[*stage].name.clone();
        let problem = Problem::OtherImages {
            stage: stage.name.clone(),
            role,
            features: name(features),
            of: of.map(name).unwrap_or_default(),
            beside,
            own: own.map(name),
        };
        return Err(Fault::new(
            given.map_or(stage.at, |input| input.at),
            problem,
        ));
    }
    Ok(())
}

/// Refuses a task whose features were computed otherwise than its own would
/// be. `parent` is the task in a role.
pub(super) fn check_weights<'a>(
    stage: &StageDraft,
    own: &SealedTask,
    parent: impl Fn(&str) -> Option<&'a SealedTask>,
) -> Result<(), Fault> {
    if stage.kind != StageKind::Evaluate {
        return Ok(());
    }
    for (role, _) in ROLES {
        let Some(parent) = parent(role) else {
            continue;
        };
        let [own, theirs] = [own, parent].map(parameters);
        for field in ["inception", "inception_digest", "fid_mode"] {
            let value = |kind: StageKind, parameters: &Map<String, Value>| {
                let given = parameters.get(field).cloned();
                given.or_else(|| kind.default_of(field)).unwrap_or_default()
            };
            let own = value(StageKind::Evaluate, &own);
            let theirs = value(StageKind::Features, &theirs);
            if own != theirs {
                let at = stage.parameters.get(field).map_or(stage.at, |(at, _)| *at);
                return Err(otherwise(stage, at, role, (field, &own, &theirs)));
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
    let problem = Problem::BadParameter {
        stage: stage.name.clone(),
        kind: stage.kind.info().name,
        axis: None,
        why,
    };
    Fault::new(at, problem)
}
