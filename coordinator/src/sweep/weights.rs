//! Imported weights in a plan: named in a sweep file, and known by their
//! content in a task. A name that a store does not have is no error: what
//! needs the weights is skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ablate_proto::dataset::short;
use ablate_proto::stage::StageKind;
use ablate_proto::task::SealedTask;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::CompactPlan;

/// The parameter that names weights, and the one of their digest.
const NAME: &str = "inception";
const DIGEST: &str = "inception_digest";

/// The digests that names stand for.
pub type Weights = BTreeMap<String, String>;

/// The weights that a plan's tasks name.
pub fn named(plan: &CompactPlan) -> BTreeSet<String> {
    /// What matters here of a task's parameters.
    #[derive(Deserialize)]
    struct Name {
        inception: String,
    }
    let of_kind = |task: &&Arc<SealedTask>| takes(task.kind);
    let tasks = plan.tasks().iter().filter(of_kind);
    let names = tasks.filter_map(|task| serde_json::from_str::<Name>(&task.parameters).ok());
    let mut names: BTreeSet<String> = names.map(|of| of.inception).collect();
    names.remove("");
    names
}

/// Whether stages of a kind compute with imported weights.
pub(super) fn takes(kind: StageKind) -> bool {
    matches!(kind, StageKind::Evaluate | StageKind::Features)
}

/// Fills in the digest of the weights that a stage names, if they are known.
///
/// # Errors
/// The field at fault, and why.
pub(super) fn settle(
    kind: StageKind,
    parameters: &mut Map<String, Value>,
    weights: &Weights,
) -> Result<(), (String, String)> {
    let name = parameters.get(NAME).cloned();
    let name = name.or_else(|| kind.default_of(NAME)).unwrap_or_default();
    let name = name.as_str().and_then(|name| weights.get_key_value(name));
    let Some((name, known)) = name else {
        return Ok(());
    };
    match parameters.get(DIGEST).and_then(Value::as_str) {
        Some(given) if !given.is_empty() && given != known => {
            let (given, stands): (String, _) = (given.chars().take(12).collect(), short(known));
            let why = format!(
                "`{DIGEST}` is {given:?}…, but `{name}` stands for {stands}… in this store"
            );
            Err((DIGEST.to_owned(), why))
        }
        _ => {
            parameters.insert(DIGEST.to_owned(), known.clone().into());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Source, compact_plan};
    use super::*;

    fn planned(stage: &str, digest: Option<&str>) -> Result<CompactPlan, String> {
        let text = format!(
            "name = \"x\"\n[stages.data]\nkind = \"dataset\"\n[stages.ae]\nkind = \"autoencoder\"\n\
             [stages.q]\nkind = \"evaluate\"\ninputs = {{ model = \"ae\" }}\n{stage}"
        );
        let source = Source {
            file: "x.toml",
            text: &text,
        };
        let known = digest.map(|digest| ("net".to_owned(), digest.repeat(64)));
        let options = Options {
            weights: known.into_iter().collect(),
            ..Options::default()
        };
        compact_plan(&source, &options).map_err(|e| e.to_string())
    }

    #[test]
    fn weights_are_known_by_their_content_and_may_be_missing() {
        let stage = "inception = \"net\"";
        let key = |digest| {
            let plan = planned(stage, digest).unwrap();
            plan.tasks().last().unwrap().key
        };
        assert_eq!(key(Some("a")), key(Some("a")));
        assert_ne!(key(Some("a")), key(Some("b")));
        assert_ne!(key(Some("a")), key(None));
        assert_eq!(
            named(&planned(stage, None).unwrap()),
            ["net".to_owned()].into()
        );
        assert!(named(&planned("", None).unwrap()).is_empty());
    }

    #[test]
    fn another_digest_and_what_is_no_name_are_refused_where_they_stand() {
        let digest = "b".repeat(64);
        let stage = format!("inception = \"net\"\ninception_digest = \"{digest}\"");
        let refused = planned(&stage, Some("a")).unwrap_err();
        assert!(refused.contains("stands for aaaaaaaaaaaa"), "{refused}");
        assert!(refused.starts_with("x.toml:10"), "{refused}");
        let refused = planned("inception = \"../x\"", None).unwrap_err();
        assert!(refused.contains("not a name"), "{refused}");
        let stage = format!("inception_digest = \"{digest}\"");
        let refused = planned(&stage, None).unwrap_err();
        assert!(refused.contains("beside a name"), "{refused}");
    }
}
