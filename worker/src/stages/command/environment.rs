//! What a program is told, and what it is not.
//!
//! | variable | |
//! |---|---|
//! | `ABLATE_PARAM_<NAME>` | a parameter: words as they are, the rest as JSON |
//! | `ABLATE_PARAMS` | a JSON file with all of them |
//! | `ABLATE_SEED` | |
//! | `ABLATE_INPUT_<ROLE>` | folder of an input; to be read only |
//! | `ABLATE_OUTPUT` | folder for what shall be kept: plain files |
//! | `ABLATE_CHECKPOINT` | folder that the next attempt finds again |
//! | `ABLATE_METRICS` | file for lines of JSON |
//! | `ABLATE_TASK`, `ABLATE_ATTEMPT` | for logs |
//! | `ABLATE_THREADS` | cores of the slot; also `OMP_NUM_THREADS` |

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ablate_proto::failure::Failure;
use ablate_proto::stage::CommandSpec;
use serde_json::Value;

use super::Places;
use crate::runner::context::Context;

/// Beginnings of names that a program does not get to see.
const SECRET_BEGINNINGS: &[&str] = &[
    "ABLATE", "AWS_", "AZURE_", "GCP_", "GCS_", "GOOGLE_", "S3_", "SSH_",
];
/// Parts of such names.
const SECRET_PARTS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_BEGINNINGS.iter().any(|s| name.starts_with(s))
        || SECRET_PARTS.iter().any(|s| name.contains(s))
}

/// The program with its arguments and environment, not yet started.
pub(super) fn command(
    spec: &CommandSpec,
    context: &Context,
    places: &Places,
) -> Result<Command, Failure> {
    let job = context.job();
    let mut command = Command::new(program(spec, &places.work)?);
    command
        .args(&spec.run[1..])
        .current_dir(&places.work)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if is_secret(&text) && !spec.env.iter().any(|named| *named == text) {
            command.env_remove(name);
        }
    }
    for (name, value) in &spec.params {
        let name = format!("ABLATE_PARAM_{}", name.to_ascii_uppercase());
        match value {
            Value::String(text) => command.env(name, text),
            other => command.env(name, other.to_string()),
        };
    }
    for (role, folder) in &job.inputs {
        command.env(
            format!("ABLATE_INPUT_{}", role.to_ascii_uppercase()),
            folder,
        );
    }
    let threads = std::env::var_os("RAYON_NUM_THREADS").unwrap_or_else(|| "1".into());
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", &threads);
    }
    command
        .env("ABLATE_THREADS", threads)
        .env("ABLATE_PARAMS", &places.parameters)
        .env("ABLATE_SEED", context.seed().to_string())
        .env("ABLATE_OUTPUT", &places.out)
        .env("ABLATE_CHECKPOINT", &places.checkpoint)
        .env("ABLATE_METRICS", &places.metrics)
        .env("ABLATE_TASK", job.task.key.to_string())
        .env("ABLATE_ATTEMPT", job.attempt.number.to_string())
        .env("TMPDIR", &places.temporary);
    // So that the log of a Python program can be followed.
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        command.env("PYTHONUNBUFFERED", "1");
    }
    Ok(command)
}

/// Where the program lies. It is looked for here, and not by the system, so
/// that one that is missing can be explained.
fn program(spec: &CommandSpec, work: &Path) -> Result<PathBuf, Failure> {
    let name = spec.run[0].as_str();
    let plain = name.strip_prefix("./").unwrap_or(name);
    if spec.files.contains_key(plain) {
        return Ok(work.join(plain));
    }
    if name.contains('/') {
        let path = work.join(name);
        if path.exists() {
            return Ok(path);
        }
        return Err(Failure::config(format!(
            "the program {name} is not on this worker; scripts that lie beside the sweep file \
             travel with it if `run` or `files` names them by their path from there"
        )));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|file| is_executable(file)).ok_or_else(|| {
        Failure::config(format!(
            "the program {name:?} was not found on this worker, whose PATH is {:?}; install it \
             there, or give its full path in `run`",
            path.to_string_lossy()
        ))
    })
}

fn is_executable(file: &Path) -> bool {
    let meta = std::fs::metadata(file);
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for secret in [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "HF_TOKEN",
            "ABLATE__WORKER__TOKEN_FILE",
            "my_api_key",
            "SSH_AUTH_SOCK",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in [
            "PATH",
            "HOME",
            "CUDA_VISIBLE_DEVICES",
            "LD_LIBRARY_PATH",
            "VIRTUAL_ENV",
        ] {
            assert!(!is_secret(plain), "{plain}");
        }
    }
}
