//! `ablate logs`: the log of a task, or of the tasks of a sweep; `-f` follows
//! what runs.

use ablate_proto::message::LogPiece;
use ablate_proto::status::{SweepStatus, TaskState, TaskStatus};
use clap::Args;
use futures::StreamExt as _;
use futures::stream::{self, select_all};

use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliError, CliResult, Exit, fail};
use crate::lines::{self, printable};
use crate::rpc::Sweeps;
use crate::select::meant;

/// Tasks that are followed together.
const FOLLOWED: usize = 32;

#[derive(Args)]
pub(super) struct LogsArgs {
    /// Key of a task, or how it begins; or the name of a sweep, or `last`
    task: String,
    /// Go on while it runs
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn logs(context: &Context, args: &LogsArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let word = meant(&mut sweeps, &args.task).await?;
    let status = sweeps.status_of(&word).await;
    match status {
        Ok(cluster) => match cluster.sweeps.into_iter().next() {
            Some(sweep) => of_sweep(&mut sweeps, &sweep, args.follow).await?,
            None => return fail(Exit::Usage, format!("there is no sweep `{}`", args.task)),
        },
        // No sweep is called so: it may be a task.
        Err(error) if error.exit == Exit::Usage && is_key(&args.task) => {
            let mut printer = Printer::default();
            let mut pieces = sweeps.logs(&args.task, args.follow).await?;
            while let Some(piece) = pieces.next().await {
                printer.print(&piece?);
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Exit::Done)
}

fn is_key(text: &str) -> bool {
    text.len() >= 4 && text.chars().all(|c| c.is_ascii_hexdigit())
}

async fn of_sweep(sweeps: &mut Sweeps, sweep: &SweepStatus, follow: bool) -> Result<(), CliError> {
    let running = |row: &&TaskStatus| row.state == TaskState::Running;
    if follow {
        let rows: Vec<_> = sweep.rows.iter().filter(running).take(FOLLOWED).collect();
        if !rows.is_empty() {
            return together(sweeps, &rows).await;
        }
    }
    for row in sweep.rows.iter().filter(|row| row.attempt > 0) {
        let state = format!("{:?}", row.state).to_lowercase();
        let (label, key) = (printable(&row.label), row.key.short());
        let mut printer = Printer::default();
        printer.say(&format!("== {label} ({key}, {state}) =="));
        match sweeps.logs(&row.key.to_string(), false).await {
            Ok(mut pieces) => {
                while let Some(piece) = pieces.next().await {
                    printer.print(&piece?);
                }
            }
            Err(error) if error.exit == Exit::Usage => printer.say("(no log)"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Follows several tasks; each line begins with the label of its task.
async fn together(sweeps: &mut Sweeps, rows: &[&TaskStatus]) -> Result<(), CliError> {
    let mut all = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match sweeps.logs(&row.key.to_string(), true).await {
            Ok(pieces) => all.push(pieces.zip(stream::repeat(index))),
            // It may have ended meanwhile.
            Err(error) if matches!(error.exit, Exit::Usage | Exit::Unreachable) => {}
            Err(error) => return Err(error),
        }
    }
    let label = |row: &&TaskStatus| Printer::labelled(format!("{} | ", printable(&row.label)));
    let mut printers: Vec<Printer> = rows.iter().map(label).collect();
    let mut all = select_all(all);
    while let Some((piece, index)) = all.next().await {
        printers[index].print(&piece?);
    }
    Ok(())
}

/// Prints pieces line by line, and says what is missing between them.
#[derive(Default)]
struct Printer {
    label: String,
    /// Where the next piece begins if nothing was left out.
    next: u64,
    /// A line whose end has not come yet.
    partial: Vec<u8>,
}

impl Printer {
    fn labelled(label: String) -> Self {
        let mut printer = Self::default();
        printer.label = label;
        printer
    }

    fn print(&mut self, piece: &LogPiece) {
        let end = piece.from + piece.text.len() as u64;
        let mut text = &piece.text[..];
        if piece.from > self.next {
            self.flush();
            self.say(&format!("[{} bytes are left out]", piece.from - self.next));
        } else {
            // Sent again for another reader.
            let seen = usize::try_from(self.next - piece.from).unwrap_or(usize::MAX);
            text = text.get(seen..).unwrap_or_default();
        }
        self.next = self.next.max(end);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(line);
            if line.ends_with(b"\n") || self.partial.len() > 1 << 16 {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.say(String::from_utf8_lossy(&line).trim_end());
        }
    }

    /// Control characters of a program do not reach the terminal.
    fn say(&self, line: &str) {
        let line: String = line
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        lines::line(format_args!("{}{line}", self.label));
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_and_repeats_are_not_printed() {
        let mut printer = Printer::default();
        let piece = |from, text: &str| LogPiece {
            from,
            text: text.into(),
        };
        printer.print(&piece(0, "one\ntw"));
        assert_eq!(printer.partial, b"tw");
        printer.print(&piece(0, "one\ntwo"));
        assert_eq!((printer.partial.as_slice(), printer.next), (&b"two"[..], 7));
        printer.print(&piece(20, "later"));
        assert_eq!(
            (printer.partial.as_slice(), printer.next),
            (&b"later"[..], 25)
        );
    }
}
