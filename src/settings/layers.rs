//! The layers of settings, each checked for unknown keys by its own name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ablate_proto::stage::nearest;
use config::{Config, Environment, File, FileFormat};
use serde_json::Value;

use super::Settings;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("reading settings from {origin}: {why}")]
    Unreadable { origin: String, why: String },
    #[error("unknown key `{key}` in {origin}{hint}; `ablate config show` lists the known ones")]
    Unknown {
        origin: String,
        key: String,
        hint: String,
    },
    #[error("settings: {why} (from {origin}); `ablate config show` lists what is expected")]
    Type { origin: String, why: String },
}

const JOIN: &str = "worker.join";
const JOIN_FILE: &str = "worker.join_file";

/// The effective settings, and the origin of each by its dotted key.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) origins: BTreeMap<String, String>,
}

/// Loads all layers; `flags` are dotted keys that the command line gave.
pub(crate) fn load(flags: &[(&str, Value)]) -> Result<Loaded, SettingsError> {
    load_from(&files(), &std::env::vars().collect::<Vec<_>>(), flags)
}

/// Where `ablate login` keeps the string to join with.
pub(crate) fn login_file() -> Option<PathBuf> {
    dirs::config_dir().map(|folder| folder.join("ablate").join(LOGIN))
}

const LOGIN: &str = "join";

fn files() -> Vec<PathBuf> {
    let user = dirs::config_dir().map(|folder| folder.join("ablate/config.toml"));
    let system = PathBuf::from("/etc/ablate/config.toml");
    let here = PathBuf::from("ablate.toml");
    [Some(system), user, login_file(), Some(here)]
        .into_iter()
        .flatten()
        .filter(|path| path.exists())
        .collect()
}

fn load_from(
    files: &[PathBuf],
    variables: &[(String, String)],
    flags: &[(&str, Value)],
) -> Result<Loaded, SettingsError> {
    let defaults = leaves(
        &Config::try_from(&Settings::default()).map_err(|e| unreadable("the defaults", &e))?,
    );
    let mut merged = Config::builder();
    let mut origins: BTreeMap<String, String> = defaults
        .keys()
        .map(|key| (key.clone(), "default".to_owned()))
        .collect();
    let mut layers = vec![(
        "the defaults".to_owned(),
        Config::try_from(&Settings::default()).map_err(|e| unreadable("the defaults", &e))?,
    )];
    for path in files {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(&origin, &e))?;
        let layer = if path.file_name().is_some_and(|name| name == LOGIN) {
            // Not TOML: the string alone.
            Config::builder()
                .set_override(JOIN, text.trim())
                .and_then(|layer| layer.build())
        } else {
            let source = File::from_str(&text, FileFormat::Toml);
            Config::builder().add_source(source).build()
        };
        layers.push((origin.clone(), layer.map_err(|e| unreadable(&origin, &e))?));
    }
    layers.push(("the environment".to_owned(), environment(variables)?));
    layers.push(("the command line".to_owned(), command_line(flags)?));
    for (origin, layer) in layers {
        for (key, _) in leaves(&layer) {
            if !defaults.contains_key(&key) {
                let hint = nearest(&key, defaults.keys().map(String::as_str))
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                return Err(SettingsError::Unknown { origin, key, hint });
            }
            if origin != "the defaults" {
                origins.insert(key, origin.clone());
            }
        }
        merged = merged.add_source(layer);
    }
    let merged = merged.build().map_err(|e| unreadable("all layers", &e))?;
    let settings = merged.try_deserialize::<Settings>().map_err(|e| {
        let why = e.to_string();
        let blamed = origins.iter().find(|(key, _)| why.contains(key.as_str()));
        SettingsError::Type {
            origin: blamed.map_or_else(|| "the layers".to_owned(), |(_, origin)| origin.clone()),
            why,
        }
    })?;
    settings
        .validate()
        .map_err(|(key, why)| SettingsError::Type {
            origin: origins.get(key).cloned().unwrap_or_default(),
            why: format!("`{key}` {why}"),
        })?;
    Ok(Loaded { settings, origins })
}

fn environment(variables: &[(String, String)]) -> Result<Config, SettingsError> {
    let ours = variables
        .iter()
        .filter(|(name, _)| name.starts_with("ABLATE__"));
    let source = Environment::with_prefix("ABLATE")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(ours.cloned().collect()));
    let mut layer = Config::builder().add_source(source);
    let join = variables.iter().find(|(name, _)| name == "ABLATE_JOIN");
    if let Some((_, join)) = join.filter(|(_, join)| !join.is_empty()) {
        layer = layer
            .set_override(JOIN, join.as_str())
            .and_then(|layer| layer.set_override(JOIN_FILE, ""))
            .map_err(|e| unreadable("the environment", &e))?;
    }
    layer.build().map_err(|e| unreadable("the environment", &e))
}

fn command_line(flags: &[(&str, Value)]) -> Result<Config, SettingsError> {
    let mut layer = Config::builder();
    for (key, value) in flags {
        let value: config::Value = match value {
            Value::Bool(v) => (*v).into(),
            Value::Number(n) if n.is_u64() => n.as_u64().unwrap_or_default().into(),
            Value::Number(n) => n.as_f64().unwrap_or_default().into(),
            Value::String(v) => v.as_str().into(),
            other => other.to_string().into(),
        };
        layer = layer
            .set_override(*key, value)
            .map_err(|e| unreadable("the command line", &e))?;
    }
    layer
        .build()
        .map_err(|e| unreadable("the command line", &e))
}

/// Dotted keys of all values.
fn leaves(layer: &Config) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    walk(&path, value, found);
                }
            }
            leaf => {
                found.insert(prefix.to_owned(), leaf.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    if let Ok(value) = layer.clone().try_deserialize::<Value>() {
        walk("", &value, &mut found);
    }
    found
}

fn unreadable(origin: &str, why: &impl std::fmt::Display) -> SettingsError {
    SettingsError::Unreadable {
        origin: origin.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let low = file("[worker]\nslots = 2\nthreads = 3\n[run]\nworkers = 4\n");
        let high = file("[worker]\nslots = 5\n");
        let files = [low.path().to_owned(), high.path().to_owned()];
        let env = variables(&[("ABLATE__RUN__WORKERS", "6"), ("OTHER", "x")]);
        let loaded = load_from(&files, &env, &[("store.url", "s".into())]).unwrap();
        assert_eq!(loaded.settings.worker.slots, 5);
        assert_eq!(loaded.settings.worker.threads, 3);
        assert_eq!(loaded.settings.run.workers, 6);
        assert_eq!(loaded.settings.store.url, "s");
        assert_eq!(loaded.origins["run.workers"], "the environment");
        assert_eq!(
            loaded.origins["worker.slots"],
            high.path().display().to_string()
        );
        assert_eq!(loaded.origins["store.url"], "the command line");
        assert_eq!(loaded.origins["worker.join"], "default");
    }

    #[test]
    fn unknown_keys_are_refused_with_their_place_and_the_nearest() {
        let bad = file("[worker]\nslotz = 2\n");
        let refused = load_from(&[bad.path().to_owned()], &[], &[])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("worker.slotz"), "{refused}");
        assert!(refused.contains("worker.slots`?"), "{refused}");
        assert!(
            refused.contains(&bad.path().display().to_string()),
            "{refused}"
        );
        let env = variables(&[("ABLATE__WORKER__SLOTZ", "2")]);
        assert!(load_from(&[], &env, &[]).is_err());
    }

    #[test]
    fn broken_files_and_wrong_types_are_refused() {
        let broken = file("[worker\n");
        assert!(load_from(&[broken.path().to_owned()], &[], &[]).is_err());
        let wrong = file("[worker]\nslots = \"many\"\n");
        let refused = load_from(&[wrong.path().to_owned()], &[], &[]).unwrap_err();
        assert!(refused.to_string().contains("slots"), "{refused}");
        let grace = file("[worker]\ngrace_seconds = -1.0\n");
        let refused = load_from(&[grace.path().to_owned()], &[], &[]).unwrap_err();
        assert!(refused.to_string().contains("grace_seconds"), "{refused}");
        let hang = file("[worker]\nhang_seconds = 0.0\n");
        let refused = load_from(&[hang.path().to_owned()], &[], &[]).unwrap_err();
        assert!(refused.to_string().contains("hang_seconds"), "{refused}");
        let negative = file("[coordinator]\nlease_ms = -1\n");
        assert!(load_from(&[negative.path().to_owned()], &[], &[]).is_err());
    }
}
