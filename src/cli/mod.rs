//! The command line: one file a command.

mod audit;
mod cancel;
mod cert;
mod config;
mod coordinator;
mod data;
mod drain;
mod explain;
mod export;
mod gc;
mod login;
mod logs;
mod pause;
mod plan;
mod priority;
mod report;
mod run;
mod runner;
mod signals;
mod standby;
mod status;
mod submit;
mod table;
mod token;
mod verdicts;
mod wait;
mod watch;
mod weights;
mod worker;

use ablate_coordinator::sweep::MAX_BYTES;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::rpc::SweepFile;
use crate::settings::{self, Loaded, Settings};

/// Ablation studies of generative image models: one sweep file in, one
/// report out.
#[derive(Parser)]
#[command(name = "ablate", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print results as JSON on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a sweep on this machine, from file to report
    Run(run::RunArgs),
    /// Show what a sweep file amounts to, without running anything
    Plan(plan::PlanArgs),
    /// Serve as coordinator
    Coordinator(coordinator::CoordinatorArgs),
    /// Add this machine as a worker
    Worker(worker::WorkerArgs),
    /// Hand a sweep to a coordinator; the same name again extends it
    #[command(visible_alias = "extend")]
    Submit(submit::SubmitArgs),
    /// Show sweeps and workers, or the tasks of one sweep
    Status(status::StatusArgs),
    /// Follow a sweep until it has ended
    Watch(watch::WatchArgs),
    /// Show the log of a task, or of the tasks of a sweep
    Logs(logs::LogsArgs),
    /// Stop a sweep; what is done stays
    Cancel(cancel::CancelArgs),
    /// Wait until a sweep has ended; the exit code tells how
    Wait(wait::WaitArgs),
    /// Start nothing more of a sweep; what runs goes on
    Pause(pause::PauseArgs),
    /// Let a held sweep go on
    Resume(pause::PauseArgs),
    /// Put a sweep before others, or after them
    Priority(priority::PriorityArgs),
    /// Give failed tasks another chance
    Retry(pause::RetryArgs),
    /// Say why a task is where it is
    Explain(explain::ExplainArgs),
    /// Give a worker nothing new; what it runs goes on
    Drain(drain::DrainArgs),
    /// Write the report of a sweep
    Report(report::ReportArgs),
    /// Remove what no sweep needs any more from a store
    Gc(gc::GcArgs),
    /// Write the model of a task to a file for PyTorch
    Export(export::ExportArgs),
    /// Show what is in a file of weights; convert it, or compare it with a model
    Weights(weights::WeightsArgs),
    /// Measure whether samples are copies of training images, from two folders
    Audit(audit::AuditArgs),
    /// Import image data sets, list and show them
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Make the certificates that other machines need to join
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Make, list and revoke the tokens that machines and people join with
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Keep the string to join with for the commands of this user
    Login(login::LoginArgs),
    /// Show the effective settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Execute stages for a worker
    #[command(hide = true)]
    Runner(runner::RunnerArgs),
}

/// What every command gets.
struct Context {
    settings: Settings,
    json: bool,
}

/// A sweep file and what changes it.
#[derive(Args)]
struct SweepArgs {
    /// The sweep file
    sweep: std::path::PathBuf,
    /// A profile of the file: `mini`, `paper`
    #[arg(long)]
    profile: Option<String>,
    /// Change an axis or a parameter: `gamma=3,5` or `ae.steps=100`
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Sweeps that a coordinator knows.
#[derive(Args)]
struct Known {
    /// Names of sweeps, `last`, `all`, or patterns such as `e1*`
    #[arg(required = true, value_name = "SWEEP")]
    sweeps: Vec<String>,
    #[command(flatten)]
    join: JoinArgs,
}

#[derive(Args)]
struct JoinArgs {
    /// The coordinator: host:port, the store that says where it is, or the string of `ablate token
    /// create`. The list of processes shows it, with its token: rather use ABLATE_JOIN, --join-file or `ablate login`
    #[arg(long, value_name = "HOST:PORT|STORE")]
    join: Option<String>,
    /// Read that string from a file, or from standard input (`-`)
    #[arg(long, value_name = "PATH", conflicts_with = "join")]
    join_file: Option<String>,
    /// Read the token from a file; or set ABLATE_TOKEN
    #[arg(long, value_name = "PATH")]
    token_file: Option<String>,
}

#[derive(Args)]
struct StoreArgs {
    /// Folder or URL that holds everything
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

#[derive(Args)]
struct DeviceArgs {
    /// What tasks are computed on; `auto` is a GPU if there is one
    #[arg(long, value_parser = ["auto", "cpu", "cuda"])]
    device: Option<String>,
}

type Flags = Vec<(&'static str, Value)>;

impl Cli {
    pub(crate) fn run(self) -> CliResult {
        let flags = self.command.flags();
        let Loaded {
            mut settings,
            origins,
        } = settings::load(&flags).or_exit(Exit::Usage)?;
        if self.command.asks_a_coordinator() {
            settings.worker.resolve_join().or_exit(Exit::Usage)?;
        }
        let context = Context {
            settings,
            json: self.json,
        };
        let level = match self.command {
            Command::Coordinator(_) | Command::Worker(_) | Command::Runner(_) => "info",
            _ => "error",
        };
        let level = format!("{level},slatedb=warn");
        let filter = EnvFilter::try_from_env("ABLATE_LOG").unwrap_or_else(|_| level.into());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
        let computes = matches!(self.command, Command::Runner(_) | Command::Audit(_));
        crate::allocator::small_pages(!computes);
        match self.command {
            Command::Plan(args) => block_on(plan::plan(&context, &args)),
            Command::Config(command) => config::config(&context, &origins, &command),
            Command::Runner(args) => Ok(runner::runner(&args)),
            Command::Cert(command) => cert::cert(&context, &command),
            Command::Audit(args) => block_on(audit::audit(&context, &args)),
            Command::Data(command) => block_on(data::data(&context, &command)),
            Command::Token(command) => block_on(token::token(&context, &command)),
            Command::Login(args) => block_on(login::login(&context, &args)),
            Command::Run(args) => block_on(run::run(&context, &args)),
            Command::Coordinator(args) => {
                crate::allocator::give_back_at_once();
                block_on(coordinator::coordinator(&context, &args))
            }
            Command::Worker(args) => block_on(worker::worker(&context, &args)),
            Command::Submit(args) => block_on(submit::submit(&context, &args)),
            Command::Status(args) => block_on(status::status(&context, &args)),
            Command::Watch(args) => block_on(watch::watch(&context, &args)),
            Command::Logs(args) => block_on(logs::logs(&context, &args)),
            Command::Cancel(args) => block_on(cancel::cancel(&context, &args)),
            Command::Wait(args) => block_on(wait::wait(&context, &args)),
            Command::Pause(args) => block_on(pause::pause(&context, &args)),
            Command::Resume(args) => block_on(pause::resume(&context, &args)),
            Command::Priority(args) => block_on(priority::prioritise(&context, &args)),
            Command::Retry(args) => block_on(pause::retry(&context, &args)),
            Command::Explain(args) => block_on(explain::explain(&context, &args)),
            Command::Drain(args) => block_on(drain::drain(&context, &args)),
            Command::Report(args) => block_on(report::report(&context, &args)),
            Command::Gc(args) => block_on(gc::gc(&context, &args)),
            Command::Export(args) => block_on(export::export(&context, &args)),
            Command::Weights(args) => block_on(weights::weights(&context, &args)),
        }
    }
}

impl Command {
    /// Flags that override settings, by the settings' keys.
    fn flags(&self) -> Flags {
        match self {
            Self::Run(args) => args.flags(),
            Self::Plan(args) => args.flags(),
            Self::Coordinator(args) => args.flags(),
            Self::Worker(args) => args.flags(),
            Self::Submit(args) => args.join.flags(),
            Self::Status(args) => args.join.flags(),
            Self::Watch(args) => args.join.flags(),
            Self::Logs(args) => args.join.flags(),
            Self::Cancel(args) => args.known.join.flags(),
            Self::Wait(args) => args.known.join.flags(),
            Self::Pause(args) | Self::Resume(args) => args.known.join.flags(),
            Self::Priority(args) => args.join.flags(),
            Self::Retry(args) => args.known.join.flags(),
            Self::Explain(args) => args.join.flags(),
            Self::Drain(args) => args.join.flags(),
            Self::Report(args) => args.flags(),
            Self::Gc(args) => args.flags(),
            Self::Export(args) => args.flags(),
            Self::Weights(args) => args.flags(),
            Self::Audit(args) => args.flags(),
            Self::Data(command) => command.flags(),
            Self::Token(command) => command.flags(),
            Self::Config(_) | Self::Runner(_) | Self::Cert(_) | Self::Login(_) => Vec::new(),
        }
    }

    fn asks_a_coordinator(&self) -> bool {
        !matches!(
            self,
            Self::Run(_)
                | Self::Coordinator(_)
                | Self::Plan(_)
                | Self::Config(_)
                | Self::Runner(_)
                | Self::Cert(_)
                | Self::Token(_)
                | Self::Login(_)
                | Self::Gc(_)
                | Self::Audit(_)
                | Self::Data(_)
        )
    }
}

impl JoinArgs {
    fn flags(&self) -> Flags {
        let mut flags = flag("worker.join", self.join.as_deref());
        let unset = self.join.as_ref().map(|_| "");
        flags.extend(flag(
            "worker.join_file",
            self.join_file.as_deref().or(unset),
        ));
        flags.extend(flag("worker.token_file", self.token_file.as_deref()));
        flags
    }
}

impl DeviceArgs {
    fn flags(&self) -> Flags {
        flag("worker.device", self.device.as_deref())
    }
}

impl StoreArgs {
    fn flags(&self) -> Flags {
        flag("store.url", self.store.as_deref())
    }
}

/// `--allow-commands`; left out, the setting decides.
fn allowed(commands: bool) -> Flags {
    flag("worker.allow_commands", commands.then_some(true))
}

fn flag<V: Into<Value>>(key: &'static str, value: Option<V>) -> Flags {
    value.map(|value| (key, value.into())).into_iter().collect()
}

impl SweepArgs {
    /// Reads the file as it is; the planner judges what is in it.
    fn read(&self) -> Result<SweepFile, CliError> {
        let name = self.sweep.display().to_string();
        let unreadable = |why: String| {
            let error = anyhow::anyhow!("reading the sweep file {name}: {why}");
            let exit = Exit::Usage;
            CliError { exit, error }
        };
        let size = std::fs::metadata(&self.sweep).map_or(0, |m| m.len());
        if size > MAX_BYTES as u64 {
            let why = format!("it has {size} bytes, and {MAX_BYTES} are the most there may be");
            return Err(unreadable(why));
        }
        let bytes = std::fs::read(&self.sweep).map_err(|e| unreadable(e.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|e| unreadable(format!("it is not text in UTF-8 ({e})")))?;
        let file = SweepFile {
            name,
            text,
            profile: self.profile.clone(),
            set: self.set.clone(),
            files: Vec::new(),
            commands: false,
            priority: None,
        };
        file.with_baggage(&self.sweep).or_exit(Exit::Usage)
    }
}

/// For files: a disk does not become faster by more.
const BLOCKING_THREADS: usize = 8;

/// For messages, beside the thread that runs the command: half of the cores,
/// since the others are for what tasks compute, and every thread more is woken
/// for work that another would have done by then.
fn message_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn block_on(command: impl Future<Output = CliResult>) -> CliResult {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(message_threads())
        .enable_all()
        // Each has a heap of its own; those of a start would stay.
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .or_exit(Exit::Failed)?
        .block_on(command)
}
