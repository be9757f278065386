//! How large a grid would be, known before anything is expanded.

use super::draft::Draft;
use super::error::{Fault, Origin, Problem, inert};
use super::{MAX_CELLS, MAX_POINTS};

/// Refuses a grid that is too large, before anything is expanded.
pub(super) fn check(draft: &Draft) -> Result<(), Fault> {
    let mut factors: Vec<(String, Origin, u128)> = Vec::new();
    for column in draft
        .axes
        .iter()
        .chain(draft.linked.iter().filter_map(|l| l.first()))
    {
        factors.push((column.name.clone(), column.at, column.values.len() as u128));
    }
    if let Some(row) = draft.points.first() {
        factors.push(("points".to_owned(), row.at, draft.points.len() as u128));
    }
    if let Some(random) = &draft.random {
        factors.push((
            "random".to_owned(),
            random.count_at,
            u128::from(random.count),
        ));
    }
    if draft.replicates != 1 {
        let count = u128::from(draft.replicates);
        factors.push(("replicates".to_owned(), draft.replicates_at, count));
    }
    let count = factors
        .iter()
        .fold(1u128, |count, (_, _, len)| count.saturating_mul(*len));
    let at = factors
        .iter()
        .max_by_key(|(_, _, len)| *len)
        .map_or(draft.name_at, |(_, at, _)| *at);
    if count > MAX_POINTS as u128 {
        let shown: Vec<String> = factors
            .iter()
            .filter(|(_, _, len)| *len > 1)
            .map(|(name, _, len)| format!("{} {len}", inert(name, 80)))
            .take(12)
            .collect();
        let factors = shown.join(" × ");
        return Err(Fault::new(at, Problem::TooManyPoints { count, factors }));
    }
    let axes = draft.axes.len()
        + draft.linked.iter().map(Vec::len).sum::<usize>()
        + draft
            .points
            .iter()
            .map(|row| row.cells.len())
            .max()
            .unwrap_or(0)
        + draft.random.as_ref().map_or(0, |random| random.axes.len());
    let stages = draft.stages.len();
    let cells = count.saturating_mul((stages + axes) as u128);
    if cells > MAX_CELLS {
        let points = count;
        let problem = Problem::TooManyCells {
            cells,
            points,
            stages,
            axes,
        };
        return Err(Fault::new(at, problem));
    }
    Ok(())
}
