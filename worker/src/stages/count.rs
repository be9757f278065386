//! `count`: what followed each context in the training tokens, or in a part of
//! them; or the counts of such parts, added up.

use std::path::PathBuf;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::CountSpec;
use ablate_proto::stage::shard::part_of;

use super::spec;
use crate::data::tokens::Tokens;
use crate::models::arvm;
use crate::models::arvm::table::Table;
use crate::models::arvm::window::Windows;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Count);
    let tokens = Tokens::read(context.input("codes")?)?;
    let windows = Windows::new(spec.window, spec.gamma, tokens.side);
    let shards = context.numbered_inputs("shard").into_iter();
    let shards: Vec<PathBuf> = shards.map(Into::into).collect();
    let table = match &shards[..] {
        [] => count(&spec, &tokens, &windows)?,
        shards => merge(context, &spec, shards, windows.slots())?,
    };
    table.write(context.out(), windows.slots())?;
    let total = shards.len().max(1) as u64;
    context.progress(total, total, Vec::new())?;
    let contexts = table.len() as f64;
    Ok(vec![MetricRow::scalar(
        "contexts",
        "",
        Direction::Neutral,
        contexts,
    )])
}

/// Counts a part of the images; the codebook is that of all.
fn count(spec: &CountSpec, tokens: &Tokens, windows: &Windows) -> Result<Table, Failure> {
    let ids = arvm::ids(&tokens.codebook(), &tokens.data);
    let part = part_of(tokens.n, spec.parts).nth(spec.part);
    let part = part.unwrap_or_default();
    let grids = ids.chunks_exact(tokens.sites());
    let grids = grids.skip(part.start).take(part.len());
    Ok(Table::count(spec.tie, windows, grids)?)
}

/// Adds up the counts of shards.
fn merge(
    context: &mut Context,
    spec: &CountSpec,
    shards: &[PathBuf],
    slots: usize,
) -> Result<Table, Failure> {
    let mut all = Table::new(spec.tie);
    for (done, folder) in (0..).zip(shards) {
        context.check_stop(done)?;
        let shard = Table::read(folder, slots)?;
        if shard.tie() != spec.tie {
            let folder = folder.display();
            let tie = spec.tie;
            let why = format!("the counts in {folder} were not made with the tie {tie:?}");
            return Err(Failure::data(why));
        }
        all.merge(shard)?;
        context.progress(done + 1, shards.len() as u64, Vec::new())?;
    }
    Ok(all)
}
