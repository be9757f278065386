//! From a sweep file to a plan: pure, without I/O.
//!
//! # The sweep file
//!
//! TOML. `sweeps/README.md` is the reference for users; in short:
//!
//! | section | what it says |
//! |---|---|
//! | top | `name`, `title`, `question`, `cost`, `seed`, `replicates`, `priority` |
//! | `[stages.NAME]` | `kind`, `inputs = { role = "stage" }`, parameters |
//! | `[axes]` | axes that move alone: the grid is their product |
//! | `[[linked]]` | axes of equal length that move together |
//! | `[[points]]` | explicit points; what one leaves out stays as in its stages |
//! | `[random]` | `count` points drawn with `seed` from `axes` |
//! | `[[exclude]]`, `[[include]]` | conditions: drop what meets one; keep only what meets one |
//! | `[profiles.NAME]` | other parameters, inputs, axes, seed, replicates; more stages |
//! | `[[expect]]`, `[[figure]]` | what the report checks and shows |
//!
//! An axis is named `parameter` (it enters every stage that has it) or
//! `stage.parameter`, which takes precedence for its stage. Which stages an
//! axis touches follows from the stage specs and the inputs, and what it does
//! not touch is shared between points.
//!
//! # From text to plan
//!
//! `read` and `file` make a `Draft`; `overrides` change it; `stages` resolves
//! inputs; `size` refuses what is too large; `grid` gives axes their values;
//! `expand` walks the points; `merge` finds the unique tasks, and `shards` cuts
//! them.

mod axes;
mod command;
mod compact;
mod condition;
mod datasets;
mod derived;
mod draft;
mod error;
mod expand;
mod expect;
mod figure;
mod file;
mod grid;
mod hint;
mod intern;
mod labels;
mod merge;
mod overrides;
pub mod plan;
mod problem;
mod quoted;
mod random;
mod read;
mod shards;
mod size;
mod stages;
mod summary;
mod weights;
mod written;

use ablate_proto::id::SweepId;
use toml::de::DeTable;

use compact::StageTasks;
use condition::Filter;
use draft::Draft;
use error::{Fault, Origin, inert};
use expand::Points;
use merge::Merged;
use plan::{PLAN_VERSION, Plan, Untested};

pub use command::{Attachment, Files, Needs};
pub use compact::CompactPlan;
pub use datasets::{Datasets, Known, named};
pub use error::{Place, SweepError};
pub use figure::{FIGURE_KINDS, FigureKind};
pub use hint::Hint;
pub use problem::Problem;
pub use summary::{PlanSummary, StageSummary, summary};
pub use weights::{Weights, named as named_weights};

/// Largest sweep file, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Most separators (commas, brackets, line ends, …) in a sweep file. A parsed
/// file takes some hundred bytes of memory for each.
pub const MAX_TOKENS: usize = 5_000_000;
/// Most points of a sweep, replicates included, before conditions.
pub const MAX_POINTS: usize = 1_000_000;
/// Most entries of a plan: points times stages and axes.
pub const MAX_CELLS: u128 = 20_000_000;
/// What a sweep's priority may be.
pub const PRIORITIES: std::ops::RangeInclusive<i64> = -1000..=1000;
/// Most unique tasks.
pub const MAX_TASKS: usize = 1_000_000;
const MAX_STAGES: usize = 1000;
const MAX_PROFILES: usize = 100;
const MAX_AXES: usize = 1000;

/// A sweep file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name in messages.
    pub file: &'a str,
    pub text: &'a str,
}

/// What the command line adds.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub profile: Option<String>,
    /// `axis=value,value`, `stage.parameter=value`, `parameter=value`,
    /// `seed=…` or `replicates=…`.
    pub set: Vec<String>,
    /// The files that travel with the sweep.
    pub files: Files,
    /// Imported data sets that are known, by name. Stages that take others
    /// are planned without a digest; [`named`] tells.
    pub datasets: Datasets,
    /// Imported weights that are known: the digests of their names. Stages
    /// that take others are planned without; [`named_weights`] tells.
    pub weights: Weights,
}

/// Plans a sweep.
///
/// # Errors
/// The first thing that is wrong with the file or the options, and where it
/// stands. A file that is refused has no effect whatever.
pub fn plan(source: &Source<'_>, options: &Options) -> Result<Plan, SweepError> {
    let compact = compact_plan(source, options)?;
    Ok(compact
        .into_plan()
        .unwrap_or_else(|e| unreachable!("a sealed task opens: {e}")))
}

/// Plans a sweep of however many points.
///
/// # Errors
/// As [`plan`].
pub fn compact_plan(source: &Source<'_>, options: &Options) -> Result<CompactPlan, SweepError> {
    check_size(source.text)
        .and_then(|()| plan_checked(source.text, options))
        .map_err(|fault| locate(source, options, fault))
}

/// The name that a sweep has, with its profile; known before it is planned.
///
/// # Errors
/// As [`plan`], as far as the file has to be read for it.
pub fn name(source: &Source<'_>, options: &Options) -> Result<SweepId, SweepError> {
    check_size(source.text)
        .and_then(|()| drafted(source.text, options))
        .and_then(|draft| sweep_id(&draft, options.profile.as_deref()))
        .map_err(|fault| locate(source, options, fault))
}

fn check_size(text: &str) -> Result<(), Fault> {
    let start = Origin::File(0);
    let bytes = text.len();
    if bytes > MAX_BYTES {
        return Err(Fault::new(start, Problem::TooLarge { bytes }));
    }
    // A run of spaces counts once.
    let separates = |pair: &&[u8]| match pair[1] {
        b',' | b'[' | b'{' | b'=' | b'.' | b'"' | b'\'' | b'\n' | b'\r' => true,
        b' ' | b'\t' => pair[0] != pair[1],
        _ => false,
    };
    let tokens = text.as_bytes().windows(2).filter(separates).count();
    if tokens > MAX_TOKENS {
        return Err(Fault::new(start, Problem::TooManyTokens { tokens }));
    }
    Ok(())
}

/// What a sweep asks of those who run it; known before it is planned.
///
/// # Errors
/// As [`plan`], as far as the file has to be read for it.
pub fn needs(source: &Source<'_>, options: &Options) -> Result<Needs, SweepError> {
    check_size(source.text)
        .and_then(|()| drafted(source.text, options))
        .map(|draft| command::needs(&draft))
        .map_err(|fault| locate(source, options, fault))
}

fn plan_checked(text: &str, options: &Options) -> Result<CompactPlan, Fault> {
    let draft = drafted(text, options)?;
    assemble(draft, options)
}

fn drafted(text: &str, options: &Options) -> Result<Draft, Fault> {
    let document = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        Fault::new(Origin::File(at), Problem::Syntax(inert(e.message(), 400)))
    })?;
    let (mut draft, profiles) = file::read(document.get_ref())?;
    let texts = options.set.iter().map(String::as_str);
    draft.salt = intern::salt(std::iter::once(text).chain(texts));
    if draft.stages.is_empty() {
        return Err(Fault::new(draft.name_at, Problem::NoStages));
    }
    // Profiles that were not chosen are held to the same rules.
    let outline = draft.outline();
    let sound = stages::Graph::new(&outline).is_ok();
    for profile in &profiles {
        let mut changed = outline.clone();
        let applied = overrides::profile(&mut changed, profile);
        let held = applied.and_then(|()| match sound {
            true => stages::Graph::new(&changed).map(drop),
            false => Ok(()),
        });
        held.map_err(|fault| Fault {
            profile: Some(profile.name.clone()),
            ..fault
        })?;
    }
    if let Some(name) = &options.profile {
        let chosen = profiles.iter().find(|profile| profile.name == *name);
        let profile = chosen.ok_or_else(|| {
            let hint = match &profiles[..] {
                [] => Hint::note("the file has none"),
                _ => Hint::new(name, profiles.iter().map(|profile| profile.name.as_str())),
            };
            Fault::new(Origin::ProfileChoice, Problem::UnknownProfile { hint })
        })?;
        overrides::profile(&mut draft, profile)?;
    }
    for (index, text) in options.set.iter().enumerate() {
        overrides::set(&mut draft, index, text)?;
    }
    Ok(draft)
}

fn assemble(draft: Draft, options: &Options) -> Result<CompactPlan, Fault> {
    let profile = options.profile.clone();
    let sweep = sweep_id(&draft, profile.as_deref())?;
    let replicates = replicates(&draft)?;
    let priority = priority(&draft)?;
    let graph = stages::Graph::new(&draft)?;
    size::check(&draft)?;
    let grid = grid::build(&draft)?;
    let filter = Filter::new(&grid, &draft.exclude, &draft.include)?;
    let points = Points::expand(&grid, &filter, replicates);
    if points.len() == 0 {
        let count = grid.factors.iter().map(axes::Factor::len).product();
        let at = Filter::at(&draft.include).or_else(|| Filter::at(&draft.exclude));
        let at = at.unwrap_or(draft.name_at);
        return Err(Fault::new(at, Problem::NoPoints { count }));
    }
    let Merged {
        tasks,
        sources,
        axes,
        stages,
        by_stage,
    } = merge::merge(&draft, &graph, &grid, &points, options)?;
    let of_stages = draft.stages.into_iter().zip(axes).zip(by_stage);
    let of_stage = |((stage, axes), of_points): ((draft::StageDraft, _), _)| StageTasks {
        name: stage.name,
        axes,
        of_points,
    };
    let axis = |axis: axes::Axis| plan::Axis {
        name: axis.name,
        values: axis.values,
    };
    let mut head = Plan {
        version: PLAN_VERSION,
        sweep,
        title: draft.title,
        question: draft.question,
        cost: draft.cost,
        profile,
        priority,
        axes: grid.axes.into_iter().map(axis).collect(),
        replicates: draft.replicates,
        stages_naive: points.len() as u64 * stages.iter().map(plan::Stage::at_a_point).sum::<u64>(),
        stages,
        points: Vec::new(),
        tasks: Vec::new(),
        expectations: Vec::new(),
        untested: Vec::new(),
        figures: Vec::new(),
    };
    for listed in &draft.expectations {
        expect::check(&head, &draft.replaced, listed)?;
    }
    for listed in &draft.figures {
        figure::check(&head, listed)?;
    }
    for expectation in draft.expectations.into_iter().map(|l| l.item) {
        match expect::taken_away(&head, &draft.replaced, &expectation) {
            None => head.expectations.push(expectation),
            Some(why) => head.untested.push(Untested {
                name: expectation.name,
                why,
            }),
        }
    }
    head.figures = draft.figures.into_iter().map(|l| l.item).collect();
    Ok(CompactPlan {
        head,
        seed: draft.seed,
        points,
        stages: of_stages.map(of_stage).collect(),
        tasks,
        sources,
    })
}

fn sweep_id(draft: &Draft, profile: Option<&str>) -> Result<SweepId, Fault> {
    const RESERVED: &[&str] = &["all", "last"];
    let refuse = |why| {
        let what = "sweep name";
        let name = draft.name.clone();
        Fault::new(draft.name_at, Problem::BadName { what, name, why })
    };
    if RESERVED.contains(&draft.name.as_str()) {
        return Err(refuse("it is reserved; choose another"));
    }
    if draft.name.len() > 40 {
        return Err(refuse("1 to 40 characters are possible"));
    }
    let id = match profile {
        Some(profile) => format!("{}-{profile}", draft.name),
        None => draft.name.clone(),
    };
    draft
        .name
        .parse::<SweepId>()
        .and_then(|_| id.parse())
        .map_err(|_| refuse("use letters, digits, '-', '_' and '.', not starting with '.'"))
}

fn replicates(draft: &Draft) -> Result<u32, Fault> {
    let refuse = |at, key: &str, why: &str| {
        let (key, why) = (key.to_owned(), why.to_owned());
        Fault::new(at, Problem::BadValue { key, why })
    };
    if draft.replicates == 0 {
        let why = "is 0, but a point needs at least one seed";
        return Err(refuse(draft.replicates_at, "replicates", why));
    }
    if draft.seed.checked_add(draft.replicates).is_none() {
        let why = "is too large for so many replicates";
        return Err(refuse(draft.seed_at, "seed", why));
    }
    // More than u32 holds is refused by `size::check`.
    Ok(u32::try_from(draft.replicates).unwrap_or(u32::MAX))
}

fn priority(draft: &Draft) -> Result<i64, Fault> {
    let priority = draft.priority;
    if PRIORITIES.contains(&priority) {
        return Ok(priority);
    }
    let (least, most) = (PRIORITIES.start(), PRIORITIES.end());
    let key = "priority".to_owned();
    let why = format!("is {priority}, but must lie between {least} and {most}");
    Err(Fault::new(
        draft.priority_at,
        Problem::BadValue { key, why },
    ))
}

fn locate(source: &Source<'_>, options: &Options, fault: Fault) -> SweepError {
    let Fault {
        at,
        problem,
        profile,
    } = fault;
    let profile = profile.or_else(|| options.profile.clone());
    let in_file = |offset: usize| {
        let before = source.text.get(..offset).unwrap_or(source.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        (line, column)
    };
    let place = match at {
        Origin::File(offset) | Origin::Profile(offset) => {
            let (line, column) = in_file(offset);
            Place::File {
                file: source.file.to_owned(),
                line,
                column,
                profile: profile.filter(|_| matches!(at, Origin::Profile(_))),
            }
        }
        Origin::Set(index) => Place::Set(options.set.get(index).cloned().unwrap_or_default()),
        Origin::ProfileChoice => Place::Profile(profile.unwrap_or_default()),
    };
    SweepError { place, problem }
}

#[cfg(test)]
mod tests;
