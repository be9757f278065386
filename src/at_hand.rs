//! Imported data sets and weights, for commands that plan a sweep themselves:
//! what a store knows of them, and what to do about those that it does not
//! have.

use std::collections::BTreeSet;

use ablate_coordinator::datasets::{self, Error};
use ablate_coordinator::sweep::{self, CompactPlan, Datasets, Options, Source, Weights};
use ablate_coordinator::weights;
use ablate_proto::weights::how_to_get;

use crate::store;

/// Plans a sweep again with what it names of the store at `url`, and says
/// what that store does not have.
///
/// # Errors
/// As planning it.
pub(crate) async fn plan(
    url: &str,
    source: &Source<'_>,
    options: Options,
    plan: CompactPlan,
) -> Result<(CompactPlan, Missing), sweep::SweepError> {
    let (datasets, of_data) = look(url, &sweep::named(&plan)).await;
    let (weights, of_weights) = look_for_weights(url, &sweep::named_weights(&plan)).await;
    let missing = Missing {
        datasets: of_data,
        weights: of_weights,
    };
    if datasets.is_empty() && weights.is_empty() {
        return Ok((plan, missing));
    }
    let options = Options {
        datasets,
        weights,
        ..options
    };
    Ok((sweep::compact_plan(source, &options)?, missing))
}

/// Sentences about what a store does not have.
pub(crate) struct Missing {
    pub(crate) datasets: Vec<String>,
    pub(crate) weights: Vec<String>,
}

/// The weights that are in the store at `url`, and a sentence about each of
/// the others. Nothing is made there.
async fn look_for_weights(url: &str, names: &BTreeSet<String>) -> (Weights, Vec<String>) {
    let (mut found, mut missing) = (Weights::new(), Vec::new());
    let absent = store::local_folder(url).is_some_and(|folder| !folder.exists());
    for name in names {
        let known = async {
            if absent {
                return Ok(None);
            }
            let found = weights::find(&store::open(url)?, name).await?;
            anyhow::Ok(found)
        };
        match known.await {
            Ok(Some(named)) => drop(found.insert(name.clone(), named.digest)),
            Ok(None) => missing.push(format!("{} --store {url}", how_to_get(name))),
            Err(error) => missing.push(format!("the weights `{name}` are not known: {error:#}")),
        }
    }
    (found, missing)
}

/// The data sets that are in the store at `url`, and a sentence about each of
/// the others. Nothing is made there.
async fn look(url: &str, names: &BTreeSet<String>) -> (Datasets, Vec<String>) {
    let (mut found, mut missing) = (Datasets::new(), Vec::new());
    if names.is_empty() {
        return (found, missing);
    }
    let to = format!(" --store {url}");
    let absent = store::local_folder(url).is_some_and(|folder| !folder.exists());
    let opened = if absent {
        Ok(None)
    } else {
        store::open(url).map(Some)
    };
    for name in names {
        let answer = match &opened {
            Ok(Some(store)) => datasets::find_all(store, &[name.clone()].into()).await,
            Ok(None) => Err(Error::Missing(name.clone())),
            Err(error) => {
                missing.push(format!(
                    "the data set `{name}` was not looked for: {error:#}"
                ));
                continue;
            }
        };
        match answer {
            Ok(known) => found.extend(known),
            Err(error @ Error::Missing(_)) => missing.push(format!("{error}{to}")),
            Err(error) => missing.push(format!("the data set `{name}` is not known: {error}")),
        }
    }
    (found, missing)
}
