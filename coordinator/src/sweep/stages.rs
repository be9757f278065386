//! The stages of a sweep as a graph: who plays which role, and in which order
//! stages can run.

use std::collections::BTreeMap;

use ablate_proto::stage::{InputInfo, KindInfo, StageKind, is_name};

use super::derived;
use super::draft::{Draft, InputDraft, StageDraft};
use super::error::{Fault, Hint, Problem};

pub(super) struct Graph {
    /// For each stage: role → the stage that plays it.
    pub(super) inputs: Vec<BTreeMap<String, usize>>,
    /// Parents before children; otherwise the order of the file.
    pub(super) order: Vec<usize>,
}

impl Graph {
    pub(super) fn new(draft: &Draft) -> Result<Self, Fault> {
        let inputs = draft
            .stages
            .iter()
            .map(|stage| inputs(draft, stage))
            .collect::<Result<Vec<_>, _>>()?;
        (0..inputs.len()).try_for_each(|stage| derived::check_inputs(draft, stage, &inputs))?;
        let order = order(draft, &inputs)?;
        Ok(Self { inputs, order })
    }
}

fn inputs(draft: &Draft, stage: &StageDraft) -> Result<BTreeMap<String, usize>, Fault> {
    let info = stage.kind.info();
    let mut filled = BTreeMap::new();
    for given in &stage.inputs {
        if stage.kind.is_open() {
            let by = || format!("input `{}` of stage `{}`", given.role, stage.name);
            let parent = draft.stage(&given.stage, given.at, by)?;
            check_role(given)?;
            filled.insert(given.role.clone(), parent);
            continue;
        }
        let Some(role) = info.inputs.iter().find(|i| i.role == given.role) else {
            return Err(Fault::new(given.at, unknown_role(stage, info, &given.role)));
        };
        let by = || format!("input `{}` of stage `{}`", role.role, stage.name);
        let parent = draft.stage(&given.stage, given.at, by)?;
        let kind = draft.stages[parent].kind;
        if !role.accepts.contains(&kind) {
            let fitting = fitting(draft, stage, role);
            let problem = Problem::WrongInput {
                stage: stage.name.clone(),
                role: role.role,
                given: given.stage.clone(),
                kind: kind.info().name,
                accepts: kinds(role.accepts),
                hint: Hint::known(fitting.iter().map(|&i| draft.stages[i].name.as_str())),
            };
            return Err(Fault::new(given.at, problem));
        }
        filled.insert(role.role.to_owned(), parent);
    }
    for role in info.inputs.iter().filter(|role| role.required) {
        if filled.contains_key(role.role) {
            continue;
        }
        match fitting(draft, stage, role)[..] {
            [only] => {
                filled.insert(role.role.to_owned(), only);
            }
            ref several => {
                let names = several.iter().map(|&i| draft.stages[i].name.clone());
                let problem = Problem::MissingInput {
                    stage: stage.name.clone(),
                    kind: info.name,
                    role: role.role,
                    accepts: kinds(role.accepts),
                    candidates: names.collect(),
                };
                return Err(Fault::new(stage.at, problem));
            }
        }
    }
    Ok(filled)
}

/// Roles of the author's become variables of an environment.
fn check_role(given: &InputDraft) -> Result<(), Fault> {
    if is_name(&given.role) {
        return Ok(());
    }
    let (what, name) = ("role", given.role.clone());
    let why = "use letters, digits and '_', not starting with a digit, at most 60";
    Err(Fault::new(given.at, Problem::BadName { what, name, why }))
}

fn unknown_role(stage: &StageDraft, info: &KindInfo, role: &str) -> Problem {
    let hint = if info.inputs.is_empty() {
        Hint::note("stages of this kind take no inputs")
    } else {
        Hint::new(role, info.inputs.iter().map(|input| input.role))
    };
    Problem::UnknownRole {
        stage: stage.name.clone(),
        kind: info.name,
        role: role.to_owned(),
        hint,
    }
}

/// The stages that could play a role of `stage`.
fn fitting(draft: &Draft, stage: &StageDraft, role: &InputInfo) -> Vec<usize> {
    let fits = |other: &StageDraft| role.accepts.contains(&other.kind) && other.name != stage.name;
    let stages = draft.stages.iter().enumerate();
    stages.filter(|(_, s)| fits(s)).map(|(i, _)| i).collect()
}

fn kinds(accepted: &[StageKind]) -> String {
    let names: Vec<&str> = accepted.iter().map(|kind| kind.info().name).collect();
    names.join(" or ")
}

fn order(draft: &Draft, inputs: &[BTreeMap<String, usize>]) -> Result<Vec<usize>, Fault> {
    let mut placed = vec![false; inputs.len()];
    let mut order = Vec::with_capacity(inputs.len());
    while order.len() < inputs.len() {
        let ready = |&i: &usize| !placed[i] && inputs[i].values().all(|&parent| placed[parent]);
        match (0..inputs.len()).find(ready) {
            Some(next) => {
                placed[next] = true;
                order.push(next);
            }
            None => return Err(cycle(draft, inputs, &placed)),
        }
    }
    Ok(order)
}

/// Follows inputs that are not placed until a stage comes up again.
fn cycle(draft: &Draft, inputs: &[BTreeMap<String, usize>], placed: &[bool]) -> Fault {
    let unplaced = |&i: &usize| !placed[i];
    let mut walk: Vec<usize> = (0..inputs.len()).find(unplaced).into_iter().collect();
    while let Some(&last) = walk.last() {
        let Some(next) = inputs[last].values().copied().find(unplaced) else {
            break;
        };
        let met = walk.iter().position(|&seen| seen == next);
        walk.push(next);
        if let Some(start) = met {
            walk.drain(..start);
            break;
        }
    }
    let first = walk.first().copied().unwrap_or(0);
    let name = |&i: &usize| draft.stages[i].name.clone();
    let at = draft.stages[first]
        .inputs
        .first()
        .map_or(draft.stages[first].at, |i| i.at);
    let path = walk.iter().map(name).collect();
    Fault::new(at, Problem::Cycle { path })
}
