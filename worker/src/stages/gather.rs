//! `gather`: puts the samples of shards together: the file, and the metrics,
//! that the stage would leave in one piece.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use super::sample;
use crate::data::samples::Samples;
use crate::models::arvm::{self, Arvm};
use crate::models::family;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let shards = context.numbered_inputs("shard");
    let total = shards.len() as u64;
    let mut all: Option<Samples> = None;
    for (done, folder) in (0..).zip(shards) {
        context.check_stop(done)?;
        let shard = Samples::read(folder)?;
        match &mut all {
            None => all = Some(shard),
            Some(all) => all.append(shard)?,
        }
    }
    let all = all.ok_or_else(|| {
        let why = "there is no input `shard.0`: write `shards` into a stage that draws samples";
        Failure::config(why)
    })?;
    all.write(context.out())?;
    let mut rows = Vec::new();
    if let Some(tokens) = &all.tokens {
        if let Some(prior) = context.optional_input("prior")
            && family::name(prior)? == arvm::FAMILY
        {
            let unseen = Arvm::read(prior)?.unseen(tokens);
            rows.push(sample::unseen(unseen, tokens.data.len()));
        }
        rows.push(sample::distinct(tokens));
    }
    context.progress(total, total, Vec::new())?;
    Ok(rows)
}
