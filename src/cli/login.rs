//! `ablate login`: keeps the string to join with, for the commands of this
//! user on this machine.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::Context;
use crate::exit::{CliResult, Exit, OrExit};
use crate::settings::{JoinSetting, login_file};
use crate::{client, lines};

#[derive(Args)]
pub(super) struct LoginArgs {
    /// The string that `ablate token create` printed. The list of processes shows it: leave it out,
    /// and it is read from standard input
    join: Option<String>,
}

/// Asks the coordinator first: what does not work is not kept.
pub(super) async fn login(context: &Context, args: &LoginArgs) -> CliResult {
    let text = match &args.join {
        Some(text) => text.clone(),
        None => {
            if std::io::stdin().is_terminal() {
                eprintln!("paste the string that `ablate token create` printed, and press Enter");
            }
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            read.context("reading standard input")
                .or_exit(Exit::Usage)?;
            line
        }
    };
    let join = JoinSetting::new(&text);
    let mut sweeps = client::connect(&join).await?;
    let status = sweeps.status().await?;
    let path = login_file()
        .context("this user has no folder for settings: set ABLATE_JOIN instead")
        .or_exit(Exit::Refused)?;
    keep(&path, text.trim())
        .with_context(|| format!("writing {}", path.display()))
        .or_exit(Exit::Refused)?;
    if context.json {
        lines::json(&serde_json::json!({ "coordinator": join, "kept": path }));
    } else {
        lines::line(format_args!(
            "{join}: {} workers, {} sweeps; kept in {}",
            status.workers.len(),
            status.sweeps.len(),
            path.display()
        ));
    }
    Ok(Exit::Done)
}

/// For this user's eyes alone, in the place of an earlier one.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    // Left by one that was killed.
    let _ = std::fs::remove_file(&new);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
