//! Imported data sets in a plan: named in a sweep file, and known by their
//! content in a task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ablate_proto::dataset::{DIGITS, short};
use ablate_proto::stage::{StageKind, StageSpec};
use ablate_proto::task::SealedTask;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::CompactPlan;

/// The parameter that names a data set, and the one of its digest.
const SOURCE: &str = "source";
const DIGEST: &str = "digest";

/// What a name stands for.
pub type Datasets = BTreeMap<String, Known>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub digest: String,
    /// Images of its own splits.
    pub train: usize,
    pub test: usize,
}

/// The imported data sets that a plan's tasks read.
pub fn named(plan: &CompactPlan) -> BTreeSet<String> {
    /// What matters here of a task's parameters.
    #[derive(Deserialize)]
    struct Source {
        source: String,
    }
    let of_kind = |task: &&Arc<SealedTask>| task.kind == StageKind::Dataset;
    let tasks = plan.tasks().iter().filter(of_kind);
    let sources = tasks.filter_map(|task| serde_json::from_str::<Source>(&task.parameters).ok());
    let mut names: BTreeSet<String> = sources.map(|of| of.source).collect();
    names.remove(DIGITS);
    names
}

/// Fills in the digest of the data set that a stage names, if it is known.
///
/// # Errors
/// The field at fault, and why.
pub(super) fn settle(
    parameters: &mut Map<String, Value>,
    datasets: &Datasets,
) -> Result<(), (String, String)> {
    let source = parameters.get(SOURCE).and_then(Value::as_str);
    let Some(name) = source.filter(|name| *name != DIGITS) else {
        return Ok(());
    };
    let Some(known) = datasets.get(name) else {
        return Ok(());
    };
    match parameters.get(DIGEST).and_then(Value::as_str) {
        Some(given) if !given.is_empty() && given != known.digest => {
            let (given, stands): (String, _) =
                (given.chars().take(12).collect(), short(&known.digest));
            let why = format!(
                "`{DIGEST}` is {given:?}…, but `{name}` stands for {stands}… in this store"
            );
            Err((DIGEST.to_owned(), why))
        }
        _ => {
            parameters.insert(DIGEST.to_owned(), known.digest.clone().into());
            Ok(())
        }
    }
}

/// Whether a known data set has as many images as are asked of it.
///
/// # Errors
/// As [`settle`].
pub(super) fn check(spec: StageSpec, datasets: &Datasets) -> Result<StageSpec, (String, String)> {
    if let StageSpec::Dataset(dataset) = &spec
        && let Some(known) = dataset.imported().and_then(|name| datasets.get(name))
    {
        let enough = dataset.check_counts(known.train, known.test);
        enough.map_err(|e| (e.field.to_owned(), e.to_string()))?;
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Source, compact_plan};
    use super::*;

    fn planned(stage: &str, datasets: Datasets) -> Result<CompactPlan, String> {
        let text = format!("name = \"x\"\n[stages.data]\nkind = \"dataset\"\n{stage}");
        let source = Source {
            file: "x.toml",
            text: &text,
        };
        let options = Options {
            datasets,
            ..Options::default()
        };
        compact_plan(&source, &options).map_err(|e| e.to_string())
    }

    fn known(digest: &str) -> Datasets {
        let known = Known {
            digest: digest.repeat(64),
            train: 100,
            test: 10,
        };
        [("mine".to_owned(), known)].into()
    }

    #[test]
    fn a_data_set_is_known_by_its_content() {
        let stage = "source = \"mine\"\nimages = 90\nheld_out = 10";
        let keys = |datasets| planned(stage, datasets).unwrap().tasks()[0].key;
        assert_eq!(keys(known("a")), keys(known("a")));
        assert_ne!(keys(known("a")), keys(known("b")));
        assert_ne!(keys(known("a")), keys(Datasets::new()));
        let plan = planned(stage, Datasets::new()).unwrap();
        assert_eq!(named(&plan), ["mine".to_owned()].into());
        assert!(named(&planned("images = 5", Datasets::new()).unwrap()).is_empty());
    }

    #[test]
    fn each_value_of_an_axis_has_its_own_digest() {
        let stage = "held_out = 0\n[axes]\n\"data.source\" = [\"mine\", \"digits\", \"other\"]";
        let plan = planned(stage, known("a")).unwrap();
        let digest = |task: &Arc<SealedTask>| match task.open().unwrap().spec {
            StageSpec::Dataset(spec) => spec.digest,
            other => panic!("{other:?}"),
        };
        let digests: Vec<String> = plan.tasks().iter().map(digest).collect();
        assert_eq!(digests, ["a".repeat(64), String::new(), String::new()]);
        let both = ["mine", "other"].map(str::to_owned);
        assert_eq!(named(&plan), both.into());
    }

    #[test]
    fn what_a_data_set_does_not_have_is_refused_where_it_stands() {
        for (stage, expected) in [
            ("images = 91\nheld_out = 10", "leave 9 of 100"),
            ("images = 101\nheld_out = 0", "x.toml:5"),
            ("held_out_from = \"test\"\nheld_out = 11", "10 test images"),
            ("digest = \"0123\"", "stands for aaaaaaaaaaaa"),
        ] {
            let stage = format!("source = \"mine\"\n{stage}");
            let refused = planned(&stage, known("a")).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        let refused = planned("source = \"../x\"", Datasets::new()).unwrap_err();
        assert!(refused.contains("source"), "{refused}");
        let refused = planned("held_out_from = \"test\"", Datasets::new()).unwrap_err();
        assert!(refused.contains("no test images"), "{refused}");
    }
}
