//! What happens to an attempt before it runs: is it done already, fetch its
//! inputs, wait for a slot.

use std::collections::BTreeMap;

use ablate_proto::failure::Failure;
use ablate_proto::stage::StageSpec;
use ablate_proto::task::{Input, Task};

use super::attempt::{Context, leaves_artifact};
use super::slots::{Lent, Turn};
use super::source::{self, Source};
use super::workplace::Workplace;
use crate::artifacts::{self, Cached, Fetched};

/// Everything on the local disk that a job needs; what is fetched stays in
/// the cache while this lives.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) inputs: BTreeMap<String, Cached>,
    pub(super) checkpoint: Option<Fetched>,
    /// The imported data set that a `dataset` stage draws from.
    pub(super) source: Option<Source>,
    /// The weights that FID is computed with.
    pub(super) inception: Option<Cached>,
}

pub(super) enum Prepared {
    Run(Ready, Lent),
    /// The store holds a result; the blake3 of its manifest.
    Reuse([u8; 32]),
}

/// `None` once the worker is closing.
pub(super) async fn prepare(
    context: &Context,
    task: &Task,
    turn: Turn,
    place: &Workplace,
) -> Result<Option<Prepared>, Failure> {
    let mut ready = Ready::default();
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
            let out = place.out();
            let made = crate::files::fs::create_dir_all(&out).await;
            made.map_err(|e| Failure::transient(format!("creating {}: {e}", out.display())))?;
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
        let inputs = fetch_inputs(context, task);
        let checkpoint = async {
            let newest = artifacts::newest_intact(&context.store, stored, &resume);
            newest.await.map_err(Failure::from)
        };
        (ready.checkpoint, ready.inputs) = futures::try_join!(checkpoint, inputs)?;
    }
    let lent = context.slots.take(turn).await;
    Ok(lent.map(|lent| Prepared::Run(ready, lent)))
}

async fn fetch_inputs(context: &Context, task: &Task) -> Result<BTreeMap<String, Cached>, Failure> {
    let fetch = async |input: &Input| {
        // The parents of a no-op are there for their order.
        if let StageSpec::Noop(_) = task.spec
            && artifacts::load(&context.store, &input.task)
                .await?
                .is_none()
        {
            return Ok(None);
        }
        match context.cache.get(&context.store, input.task).await {
            Ok(cached) => Ok(Some((input.role.clone(), cached))),
            Err(error) => {
                let failure = Failure::from(error);
                let cause = format!("input `{}`: {}", input.role, failure.cause);
                Err(Failure::new(failure.class, cause))
            }
        }
    };
    let fetched = futures::future::try_join_all(task.inputs.iter().map(fetch)).await?;
    Ok(fetched.into_iter().flatten().collect())
}
