//! Training steps beside PyTorch's, one JSON line a measure (README.md).
//!
//! Each figure comes from a process of its own, so that peak memory and the
//! number of threads are its own. Ours and PyTorch's (NCHW and channels last)
//! take turns; the best of the rounds counts.

use std::process::Command;
use std::time::Instant;

use ablate_worker::bench::{MODELS, Model, PURGE_DELAY, compute_here, model};
use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The variable that names a Python with PyTorch.
const PEER: &str = "ABLATE_TORCH_PYTHON";

/// Ours may take at most this share of PyTorch's memory.
const MEMORY_BAR: f64 = 0.5;

/// A process measures for so long, and at least as many steps as are asked for.
const SECONDS: f64 = 1.0;

struct Options {
    rounds: usize,
    steps: usize,
    threads: Vec<usize>,
    models: Vec<&'static Model>,
}

/// What one process measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Figures {
    images_per_s: f64,
    peak_rss_mb: f64,
}

impl Figures {
    fn better(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            images_per_s: self.images_per_s.max(other.images_per_s),
            peak_rss_mb: self.peak_rss_mb.min(other.peak_rss_mb),
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--child") => child(&arguments[1..]),
        _ => compare(&options(&arguments)?),
    }
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 3,
        steps: 8,
        threads: vec![1, 2],
        models: Vec::new(),
    };
    let mut arguments = arguments.iter().filter(|a| *a != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<usize> {
            let value = arguments.next().context("a number is missing")?;
            value.parse().with_context(|| format!("reading {value}"))
        };
        match argument.as_str() {
            "--rounds" => options.rounds = number()?.max(1),
            "--steps" => options.steps = number()?.max(1),
            "--threads" => options.threads = vec![number()?.max(1)],
            option if option.starts_with('-') => {
                bail!("{option}: known are --rounds, --steps and --threads")
            }
            name => options.models.push(model(name)?),
        }
    }
    if options.models.is_empty() {
        options.models = MODELS.iter().collect();
    }
    Ok(options)
}

/// Measures one model in this process: `MODEL STEPS THREADS`.
fn child(arguments: &[String]) -> Result<()> {
    let [name, steps, threads] = arguments else {
        bail!("--child takes a model, a number of steps and of threads");
    };
    compute_here(threads.parse().context("reading the threads")?);
    let model = model(name)?;
    let steps: u64 = steps.parse().context("reading the steps")?;
    let mut training = model.build()?;
    let mut best = f64::INFINITY;
    training.step(1)?;
    let begin = Instant::now();
    for step in 2.. {
        let start = Instant::now();
        training.step(step)?;
        best = best.min(start.elapsed().as_secs_f64());
        if step > steps && begin.elapsed().as_secs_f64() > SECONDS {
            break;
        }
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let figures = Figures {
        images_per_s: model.batch as f64 / best,
        peak_rss_mb: usage.max_rss() as f64 / 1e3,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn run(command: &mut Command) -> Result<Figures> {
    let output = command.output().context("starting a measurement")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("a measurement failed: {}", why.trim());
    }
    serde_json::from_slice(&output.stdout).context("reading a measurement")
}

fn compare(options: &Options) -> Result<()> {
    let python = std::env::var(PEER);
    if python.is_err() {
        eprintln!("no peer: {PEER} does not name a Python with PyTorch (benches/README.md)");
    }
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/torch");
    for model in &options.models {
        for threads in &options.threads {
            let threads = threads.to_string();
            let steps = options.steps.to_string();
            let (mut ours, mut peer) = (None, None);
            for _ in 0..options.rounds {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--child", model.name, &steps, &threads]);
                command.env("RAYON_NUM_THREADS", &threads);
                let (name, value) = PURGE_DELAY;
                if std::env::var_os(name).is_none() {
                    command.env(name, value);
                }
                ours = Some(run(&mut command)?.better(ours));
                let Ok(python) = &python else { continue };
                for layout in ["nchw", "channels_last"] {
                    let mut command = Command::new(python);
                    command.arg(format!("{scripts}/{}.py", model.name));
                    command.args([&threads, &steps, layout]);
                    peer = Some(run(&mut command)?.better(peer));
                }
            }
            let ours = ours.context("at least one round")?;
            let name = format!("{}, {threads} threads", model.name);
            let met = |ratio: f64| model.bar.map(|bar| ratio >= bar);
            report(
                &format!("{name}: images/s"),
                [Some(ours.images_per_s), peer.map(|p| p.images_per_s)],
                model.bar,
                met,
            );
            report(
                &format!("{name}: peak memory, MB"),
                [Some(ours.peak_rss_mb), peer.map(|p| p.peak_rss_mb)],
                Some(MEMORY_BAR),
                |ratio| Some(ratio <= MEMORY_BAR),
            );
        }
    }
    Ok(())
}

fn report(
    measure: &str,
    [ours, peer]: [Option<f64>; 2],
    bar: Option<f64>,
    met: impl Fn(f64) -> Option<bool>,
) {
    let rounded = |x: f64| (x * 1000.0).round() / 1000.0;
    let ratio = ours.zip(peer).map(|(ours, peer)| ours / peer);
    let line = json!({
        "measure": measure,
        "ours": ours.map(rounded),
        "peer": "pytorch",
        "peer_value": peer.map(rounded),
        "ratio": ratio.map(rounded),
        "bar": bar,
        "met": ratio.and_then(met),
    });
    println!("{line}");
}
