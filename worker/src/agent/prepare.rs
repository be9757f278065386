//! What happens to an attempt before it runs: is it done already, fetch its
//! inputs, wait for a slot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ablate_proto::failure::Failure;
use ablate_proto::stage::StageSpec;
use ablate_proto::task::{Input, Task};

use super::attempt::{Context, leaves_artifact};
use super::slots::{Lent, Turn};
use super::source::{self, Source};
use super::workplace::Workplace;
use crate::artifacts::{self, Cached, Fetched};

/// A task as it was assigned.
pub(super) struct Assigned {
    pub(super) task: Task,
    /// Places among its inputs of those that left nothing.
    pub(super) bare_inputs: Vec<u32>,
}

/// Everything on the local disk that a job needs; what is fetched stays in
/// the cache while this lives.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) inputs: BTreeMap<String, Cached>,
    /// Roles of inputs that left nothing: they get an empty folder.
    pub(super) bare: Vec<String>,
    pub(super) checkpoint: Option<Fetched>,
    /// The imported data set that a `dataset` stage draws from.
    pub(super) source: Option<Source>,
    /// The weights that FID is computed with.
    pub(super) inception: Option<Cached>,
}

pub(super) enum Prepared {
    Run(Box<Ready>, Lent),
    /// The store holds a result; the blake3 of its manifest.
    Reuse([u8; 32]),
}

/// `None` once the worker is closing.
pub(super) async fn prepare(
    context: &Context,
    assigned: &Assigned,
    turn: Turn,
    place: &Workplace,
) -> Result<Option<Prepared>, Failure> {
    let task = &assigned.task;
    let mut ready = Box::<Ready>::default();
    if leaves_artifact(&task.spec) {
        let stored = artifacts::stored(&context.store, &task.key).await?;
        if stored.result
            && let Some((_, digest)) = artifacts::load(&context.store, &task.key).await?
        {
            return Ok(Some(Prepared::Reuse(digest)));
        }
        if let StageSpec::Command(spec) = &task.spec {
            if !context.allow_commands {
                return Err(Failure::config(
                    "this worker does not run programs of users: start it with --allow-commands",
                ));
            }
            if !place.is_made() || !spec.files.is_empty() {
                let (work, out) = (place.work(), place.out());
                let unpacked = context.baggage.unpack(&context.store, spec, work, out);
                unpacked.await?;
            }
        } else if !place.is_made() {
            make(place.out()).await?;
        }
        let (store, cache) = (&context.store, &context.cache);
        if let StageSpec::Dataset(spec) = &task.spec
            && spec.imported().is_some()
        {
            let fetched = source::fetch(store, cache, spec, place.source());
            ready.source = Some(fetched.await?);
        }
        ready.inception = source::inception(store, cache, &task.spec).await?;
        let resume = place.resume();
        let (bare, kept) = assigned.inputs();
        if !bare.is_empty() {
            make(place.nothing()).await?;
        }
        ready.bare = bare.iter().map(|input| input.role.clone()).collect();
        let inputs = fetch_inputs(context, &kept);
        let checkpoint = async {
            let newest = artifacts::newest_intact(&context.store, stored, &resume);
            newest.await.map_err(Failure::from)
        };
        (ready.checkpoint, ready.inputs) = futures::try_join!(checkpoint, inputs)?;
    }
    let lent = context.slots.take(turn).await;
    Ok(lent.map(|lent| Prepared::Run(ready, lent)))
}

impl Assigned {
    /// The inputs that left nothing, and the others.
    fn inputs(&self) -> (Vec<&Input>, Vec<&Input>) {
        let inputs = (0..).zip(&self.task.inputs);
        let (bare, kept): (Vec<_>, Vec<_>) =
            inputs.partition(|(place, _)| self.bare_inputs.contains(place));
        let inputs = |numbered: Vec<(u32, _)>| numbered.into_iter().map(|(_, input)| input);
        (inputs(bare).collect(), inputs(kept).collect())
    }
}

async fn make(folder: PathBuf) -> Result<(), Failure> {
    let made = crate::files::fs::create_dir_all(&folder).await;
    made.map_err(|e| Failure::transient(format!("creating {}: {e}", folder.display())))
}

async fn fetch_inputs(
    context: &Context,
    inputs: &[&Input],
) -> Result<BTreeMap<String, Cached>, Failure> {
    let fetch = async |input: &Input| match context.cache.get(&context.store, input.task).await {
        Ok(cached) => Ok((input.role.clone(), cached)),
        Err(error) => {
            let failure = Failure::from(error);
            let cause = format!("input `{}`: {}", input.role, failure.cause);
            Err(Failure::new(failure.class, cause))
        }
    };
    let fetched = inputs.iter().map(|input| fetch(input));
    let fetched = futures::future::try_join_all(fetched).await?;
    Ok(fetched.into_iter().collect())
}
