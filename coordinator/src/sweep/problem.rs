//! What can be wrong with a sweep file. Text from the file is escaped and cut
//! before it enters a message, so that a message is safe on a terminal and in
//! a log.

use std::fmt;

use super::hint::{Hint, Name, inert};
use super::{MAX_BYTES, MAX_CELLS, MAX_POINTS, MAX_TASKS, MAX_TOKENS};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    #[error(
        "reading the sweep file: it has {bytes} bytes, and {MAX_BYTES} are possible; draw large axes with [random]"
    )]
    TooLarge { bytes: usize },
    #[error(
        "reading the sweep file: it has {tokens} separators, and {MAX_TOKENS} are possible; draw large axes with [random]"
    )]
    TooManyTokens { tokens: usize },
    #[error("reading the sweep file as TOML: {0}")]
    Syntax(String),
    #[error("unknown key {} in {section}{hint}", Name(key))]
    UnknownKey {
        key: String,
        section: String,
        hint: Hint,
    },
    #[error("{section} has no `{key}`; add {example}")]
    MissingKey {
        key: &'static str,
        section: String,
        example: &'static str,
    },
    #[error("{} must be {expected}, but is {found}", Name(key))]
    WrongType {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{what} {} cannot be used: {why}", Name(name))]
    BadName {
        what: &'static str,
        name: String,
        why: &'static str,
    },
    #[error("{} {why}", Name(key))]
    BadValue { key: String, why: String },
    #[error(
        "the file describes no stage; add one, for example [stages.data] with kind = \"dataset\""
    )]
    NoStages,
    #[error("there are {count} {what}, and {max} are possible")]
    TooMany {
        what: &'static str,
        count: usize,
        max: usize,
    },
    #[error("unknown kind {} of stage {}{hint}", Name(kind), Name(stage))]
    UnknownKind {
        stage: String,
        kind: String,
        hint: Hint,
    },
    #[error(
        "unknown parameter {} of stage {} (kind {kind}){hint}",
        Name(field),
        Name(stage)
    )]
    UnknownParameter {
        stage: String,
        kind: &'static str,
        field: String,
        hint: Hint,
    },
    #[error("stage {} (kind {kind}){}: {why}", Name(stage), Via(axis.as_deref()))]
    BadParameter {
        stage: String,
        kind: &'static str,
        /// The axis that set the parameter.
        axis: Option<String>,
        why: String,
    },
    #[error("{by} names stage {}, which does not exist{hint}", Name(stage))]
    UnknownStage {
        by: String,
        stage: String,
        hint: Hint,
    },
    #[error(
        "unknown input {} of stage {} (kind {kind}){hint}",
        Name(role),
        Name(stage)
    )]
    UnknownRole {
        stage: String,
        kind: &'static str,
        role: String,
        hint: Hint,
    },
    #[error(
        "input `{role}` of stage {} is {} of kind {kind}, but takes {accepts}{hint}",
        Name(stage),
        Name(given)
    )]
    WrongInput {
        stage: String,
        role: &'static str,
        given: String,
        kind: &'static str,
        accepts: String,
        hint: Hint,
    },
    #[error(
        "stage {} (kind {kind}) needs an input `{role}` of kind {accepts}, {}",
        Name(stage),
        Candidates(role, candidates)
    )]
    MissingInput {
        stage: String,
        kind: &'static str,
        role: &'static str,
        accepts: String,
        candidates: Vec<String>,
    },
    #[error(
        "input `{role}` of stage {} is {}, which is of {}, but {}",
        Name(stage),
        Name(given),
        Name(of),
        Own(beside, own.as_deref())
    )]
    OtherInput {
        stage: String,
        role: &'static str,
        /// The stage that plays it, and what that computes of which.
        given: String,
        of: String,
        beside: &'static str,
        own: Option<String>,
    },
    #[error("stages wait for each other in a circle: {}; remove one of these inputs", path.join(" → "))]
    Cycle { path: Vec<String> },
    #[error("axis {} has no values; list some, or remove it", Name(axis))]
    EmptyAxis { axis: String },
    #[error("axis {} has the value {value} twice; remove one", Name(axis))]
    DuplicateValue { axis: String, value: String },
    #[error("{section} describes the same point twice: {point}; remove one")]
    DuplicatePoint {
        section: &'static str,
        point: String,
    },
    #[error("axis {} enters no stage{hint}", Name(axis))]
    UnusedAxis { axis: String, hint: Hint },
    #[error(
        "axis {} enters no stage: every stage that has this parameter has an axis of its own for it; remove it",
        Name(axis)
    )]
    ShadowedAxis { axis: String },
    #[error("axis {} is described twice; keep it in one place", Name(axis))]
    AxisTwice { axis: String },
    #[error(
        "linked axes move together, but {} has {length} values where {} has {expected}",
        Name(axis),
        Name(first)
    )]
    Unequal {
        axis: String,
        length: usize,
        first: String,
        expected: usize,
    },
    #[error(
        "axis {} is part of {section} and cannot be replaced alone; edit the file instead",
        Name(axis)
    )]
    NotReplaceable { axis: String, section: &'static str },
    #[error(
        "the point gives no value for axis {}, and the stages it enters differ in theirs; give one",
        Name(axis)
    )]
    NoCommonValue { axis: String },
    #[error(
        "the grid has {count} points ({factors}), and {MAX_POINTS} are possible; shorten an axis, or draw some points with [random]"
    )]
    TooManyPoints { count: u128, factors: String },
    #[error(
        "the plan has {cells} entries ({points} points with {stages} stages and {axes} axes), and {MAX_CELLS} are possible; shorten an axis, or split the sweep"
    )]
    TooManyCells {
        cells: u128,
        points: u128,
        stages: usize,
        axes: usize,
    },
    #[error(
        "the plan has more than {MAX_TASKS} tasks, reached at stage {}; shorten an axis, or split the sweep",
        Name(stage)
    )]
    TooManyTasks { stage: String },
    #[error("[[exclude]] and [[include]] leave none of the {count} points")]
    NoPoints { count: usize },
    #[error("{by} names axis {}, which does not exist{hint}", Name(axis))]
    UnknownAxis {
        by: String,
        axis: String,
        hint: Hint,
    },
    #[error(
        "{by} follows axis {}, which does not enter stage {}{hint}",
        Name(axis),
        Name(stage)
    )]
    AxisElsewhere {
        by: String,
        axis: String,
        stage: String,
        hint: Hint,
    },
    #[error("no value of axis {} is {wanted}{hint}", Name(axis))]
    NoSuchValue {
        axis: String,
        wanted: String,
        hint: Hint,
    },
    #[error("there is no such profile{hint}")]
    UnknownProfile { hint: Hint },
    #[error("{0}; write axis=value,value or stage.parameter=value")]
    BadSet(String),
    #[error(
        "axis {} sets this parameter; use --set {}=… instead",
        Name(axis),
        inert(axis, 80)
    )]
    SetByAxis { axis: String },
    #[error("[random]: {0}")]
    BadRandom(String),
    #[error("expectation {}: {why}", Name(name))]
    BadExpectation { name: String, why: String },
    #[error("figure {}: {why}", Name(title))]
    BadFigure { title: String, why: String },
}

/// What a stage itself has in a role.
struct Own<'a>(&'a str, Option<&'a str>);

impl fmt::Display for Own<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(role, own) = self;
        match own {
            None => write!(
                f,
                "it has no input `{role}`; give it one, or remove this one"
            ),
            Some(own) => write!(f, "its input `{role}` is {}; compute it of that", Name(own)),
        }
    }
}

struct Via<'a>(Option<&'a str>);

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(axis) => write!(f, ", axis {}", Name(axis)),
            None => Ok(()),
        }
    }
}

struct Candidates<'a>(&'a str, &'a [String]);

impl fmt::Display for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(role, candidates) = self;
        let Some(first) = candidates.first() else {
            return f.write_str("and there is no such stage; add one");
        };
        f.write_str("and several stages fit: ")?;
        for (i, name) in candidates.iter().take(12).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}", Name(name))?;
        }
        write!(f, "; choose with inputs = {{ {role} = \"{first}\" }}")
    }
}
