//! Imported data sets, for commands that plan a sweep themselves: what a
//! store knows of them, and what to do about those that it does not have.

use std::collections::BTreeSet;

use ablate_coordinator::datasets::{self, Error};
use ablate_coordinator::sweep::Datasets;

use crate::store;

/// The data sets that are in the store at `url`, and a sentence about each of
/// the others. Nothing is made there.
pub(crate) async fn look(url: &str, names: &BTreeSet<String>) -> (Datasets, Vec<String>) {
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
