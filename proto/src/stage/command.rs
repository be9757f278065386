//! `command`: a user's own program, with the parameters, roles and metrics
//! that its author names. Files that travel with the sweep are identified by
//! their content, so an edited script is another task.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InvalidField, KindInfo, Spec};

/// Largest file that travels with a sweep, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// The same for all files of a sweep together.
pub const MAX_FILES_BYTES: usize = 8 << 20;
/// Most files of a stage.
pub const MAX_FILES: usize = 64;

const MAX_PARAMS: usize = 200;
/// Of all parameters as JSON: a variable of the environment takes 128 KiB.
const MAX_PARAMS_BYTES: usize = 64 << 10;
const MAX_ARGUMENTS: usize = 256;
const MAX_ARGUMENT: usize = 4096;
const MAX_NAME: usize = 60;
const MAX_PATH: usize = 200;
const MAX_DEPTH: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandSpec {
    /// Program and arguments; no shell reads them.
    pub run: Vec<String>,
    /// Parameters with names of the author's: numbers, words, flags, lists.
    pub params: Map<String, Value>,
    /// Path in the working folder → blake3 of the content.
    pub files: BTreeMap<String, String>,
    /// Variables of the worker's environment that are passed on although they
    /// look like secrets.
    pub env: Vec<String>,
    /// From SIGTERM to SIGKILL.
    pub grace_seconds: f64,
    /// A program that says nothing for so long is ended as hung; 0: never.
    pub silence_seconds: f64,
}

impl Default for CommandSpec {
    fn default() -> Self {
        Self {
            run: vec!["true".to_owned()],
            params: Map::new(),
            files: BTreeMap::new(),
            env: Vec::new(),
            grace_seconds: 5.0,
            silence_seconds: 3600.0,
        }
    }
}

impl Spec for CommandSpec {
    const INFO: KindInfo = KindInfo {
        name: "command",
        summary: "run a program of your own",
        recipe: 1,
        seeded: true,
        // Roles are the author's too; see `StageKind::is_open`.
        inputs: &[],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        self.check_run()?;
        self.check_params()?;
        self.check_files()?;
        for name in &self.env {
            InvalidField::check(is_name(name), "env", || {
                format!("names {name:?}, which is not the name of a variable")
            })?;
        }
        let day = 0.0..=86_400.0;
        for (field, seconds) in [
            ("grace_seconds", self.grace_seconds),
            ("silence_seconds", self.silence_seconds),
        ] {
            InvalidField::check(day.contains(&seconds), field, || {
                format!("is {seconds}, but 0 to a day (86400) is possible")
            })?;
        }
        Ok(())
    }
}

impl CommandSpec {
    fn check_run(&self) -> Result<(), InvalidField> {
        let named = self.run.first().is_some_and(|program| !program.is_empty());
        InvalidField::check(named, "run", || {
            "is empty, but a program is needed, as in [\"python3\", \"train.py\"]".to_owned()
        })?;
        let fits = |text: &String| text.len() <= MAX_ARGUMENT && !text.contains('\0');
        let all = self.run.len() <= MAX_ARGUMENTS && self.run.iter().all(fits);
        InvalidField::check(all, "run", || {
            format!("must hold at most {MAX_ARGUMENTS} words of at most {MAX_ARGUMENT} bytes")
        })
    }

    fn check_params(&self) -> Result<(), InvalidField> {
        let count = self.params.len();
        InvalidField::check(count <= MAX_PARAMS, "params", || {
            format!("has {count} names, and {MAX_PARAMS} are possible")
        })?;
        let mut variables = BTreeSet::new();
        for (name, value) in &self.params {
            InvalidField::check(is_name(name), "params", || {
                format!(
                    "has the name {name:?}, but letters, digits and '_' are possible, \
                     not starting with a digit, at most {MAX_NAME}"
                )
            })?;
            InvalidField::check(is_plain(value), "params", || {
                format!("`{name}` must be a number, a word, true, false, or a list of those")
            })?;
            InvalidField::check(
                variables.insert(name.to_ascii_uppercase()),
                "params",
                || format!("has `{name}` twice: they differ in case only"),
            )?;
        }
        let bytes = serde_json::to_string(&self.params).map_or(usize::MAX, |text| text.len());
        InvalidField::check(bytes <= MAX_PARAMS_BYTES, "params", || {
            format!("takes {bytes} bytes as JSON, and {MAX_PARAMS_BYTES} are possible")
        })
    }

    fn check_files(&self) -> Result<(), InvalidField> {
        let count = self.files.len();
        InvalidField::check(count <= MAX_FILES, "files", || {
            format!("has {count} files, and {MAX_FILES} are possible")
        })?;
        for (path, digest) in &self.files {
            check_path(path)?;
            let hex = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
            InvalidField::check(hex, "files", || {
                format!("`{path}` is not named by the blake3 digest of its content")
            })?;
        }
        // One cannot be a file and a folder.
        for path in self.files.keys() {
            let folder = format!("{path}/");
            let taken = self.files.keys().find(|other| other.starts_with(&folder));
            InvalidField::check(taken.is_none(), "files", || {
                format!("has `{path}` both as a file and as a folder")
            })?;
        }
        Ok(())
    }
}

/// Whether a path is relative and stays below where it starts; its parts are
/// plain names.
pub fn is_inside(path: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    path.len() <= MAX_PATH && path.split('/').count() <= MAX_DEPTH && path.split('/').all(plain)
}

fn check_path(path: &str) -> Result<(), InvalidField> {
    InvalidField::check(is_inside(path), "files", || {
        format!(
            "names {path:?}, but a file that travels lies beside the sweep file or below it: \
             letters, digits, '-', '_', '.' and '/', no part starting with '.'"
        )
    })
}

/// A name that can be a parameter, and a variable of the environment.
pub fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.len() <= MAX_NAME
        && name.starts_with(start)
        && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

/// No tables and no nulls: they have no one spelling in an environment.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Array(values) => values.iter().all(is_plain),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(params: Value, files: &[&str]) -> CommandSpec {
        let Value::Object(params) = params else {
            panic!("a table");
        };
        let digest = |path: &&str| ((*path).to_owned(), "0".repeat(64));
        CommandSpec {
            params,
            files: files.iter().map(digest).collect(),
            ..CommandSpec::default()
        }
    }

    #[test]
    fn parameters_are_names_with_plain_values() {
        let good = serde_json::json!({"lr": 0.1, "layers": [1, 2], "tag": "x", "amp": true});
        assert_eq!(with(good, &[]).validate(), Ok(()));
        for bad in [
            serde_json::json!({"a-b": 1}),
            serde_json::json!({"1a": 1}),
            serde_json::json!({"lr": 1, "LR": 2}),
            serde_json::json!({"x": null}),
            serde_json::json!({"x": {"y": 1}}),
            serde_json::json!({"x": "nul\0"}),
            serde_json::json!({"x": "y".repeat(MAX_PARAMS_BYTES)}),
        ] {
            assert_eq!(with(bad, &[]).validate().unwrap_err().field, "params");
        }
    }

    #[test]
    fn files_stay_where_they_belong() {
        let none = serde_json::json!({});
        assert_eq!(
            with(none.clone(), &["train.py", "lib/a.py"]).validate(),
            Ok(())
        );
        for bad in [
            "../x",
            "/etc/passwd",
            "a//b",
            ".hidden",
            "a/../b",
            "a\\b",
            "",
            "a\0",
        ] {
            let error = with(none.clone(), &[bad]).validate().unwrap_err();
            assert_eq!(error.field, "files", "{bad:?}");
        }
        let both = with(none, &["lib", "lib/a.py"]);
        assert_eq!(both.validate().unwrap_err().field, "files");
    }
}
