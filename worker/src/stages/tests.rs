//! Whole stages on small configurations: the same bytes twice, and the same
//! bytes after an interruption.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::AttemptId;
use ablate_proto::stage::{
    ArvmSpec, AutoencoderSpec, DatasetSpec, DecoderSpec, EncodeSpec, EvaluateSpec, Head,
    SampleSpec, StageSpec,
};
use ablate_proto::task::Task;

use crate::runner::context::Context;
use crate::runner::protocol::{FromRunner, Job};

mod bad_files;
mod chain;
mod count;
mod features;
mod likelihood;
mod models;
mod parity;
mod shards;

/// A folder in which stages leave their artefacts by name.
struct Bench {
    dir: tempfile::TempDir,
}

struct Outcome {
    result: Result<Vec<MetricRow>, Failure>,
    checkpoint: Option<PathBuf>,
    /// Why the checkpoint that it was given could not be used.
    unusable: Option<String>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn job(&self, name: &str, spec: impl Into<StageSpec>, inputs: &[(&str, &str)]) -> Job {
        let task = Task::new(name.into(), spec.into(), 0, vec![]);
        let out = self.dir.path().join(name).join("out");
        std::fs::create_dir_all(&out).unwrap();
        let folder = |from: &str| self.dir.path().join(from).join("out");
        let inputs = inputs
            .iter()
            .map(|(role, from)| ((*role).to_owned(), folder(from)));
        Job {
            attempt: AttemptId {
                task: task.key,
                number: 1,
            },
            task,
            inputs: inputs.collect(),
            out,
            checkpoint: None,
        }
    }

    fn run(&self, name: &str, spec: impl Into<StageSpec>, inputs: &[(&str, &str)]) -> Metrics {
        let rows = execute(self.job(name, spec, inputs), None).result.unwrap();
        Metrics(rows)
    }

    /// A metric over a training, with its steps.
    fn curve(&self, name: &str, metric: &str) -> Vec<(u64, f64)> {
        let lines = String::from_utf8(self.bytes(name)["metrics.jsonl"].clone()).unwrap();
        let rows = lines
            .lines()
            .map(|l| serde_json::from_str::<MetricRow>(l).unwrap());
        rows.filter(|row| row.name == metric)
            .map(|row| (row.step.unwrap(), row.value.unwrap()))
            .collect()
    }

    fn bytes(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.dir.path().join(name).join("out"))
    }
}

#[derive(Debug, PartialEq)]
struct Metrics(Vec<MetricRow>);

impl Metrics {
    fn get(&self, name: &str) -> f64 {
        let row = self.0.iter().find(|row| row.name == name);
        let row = row.unwrap_or_else(|| panic!("no {name}"));
        row.value.unwrap_or_else(|| panic!("{row:?}"))
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    entries
        .map(|e| {
            let bytes = std::fs::read(e.path()).unwrap();
            (e.file_name().into_string().unwrap(), bytes)
        })
        .collect()
}

/// Runs a job; stops it once `stop_at` steps are done.
fn execute(job: Job, stop_at: Option<u64>) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let (send, received) = std::sync::mpsc::channel();
    let report = move |message: FromRunner| {
        if let FromRunner::Progress { step, .. } = &message
            && stop_at.is_some_and(|at| *step >= at)
        {
            asked.store(true, Ordering::Relaxed);
        }
        send.send(message).unwrap();
    };
    let run = super::of(job.task.spec.kind());
    let mut context = Context::new(job, stop, Duration::from_secs(3600), Box::new(report));
    let result = run(&mut context);
    drop(context);
    let (mut checkpoint, mut unusable) = (None, None);
    for message in received {
        match message {
            FromRunner::Checkpoint { path, .. } => checkpoint = Some(path),
            FromRunner::Unusable { why, .. } => unusable = Some(why),
            _ => {}
        }
    }
    Outcome {
        result,
        checkpoint,
        unusable,
    }
}

fn small_data() -> DatasetSpec {
    DatasetSpec {
        images: 12,
        held_out: 6,
        ..DatasetSpec::default()
    }
}

fn small_autoencoder() -> AutoencoderSpec {
    AutoencoderSpec {
        channels: vec![6],
        wide: 8,
        latent_channels: 3,
        decoder_in: 8,
        decoder_front: 6,
        refine: 3,
        steps: 9,
        batch: 5,
        learning_rate: 2e-3,
        log_every: 1,
        ..AutoencoderSpec::default()
    }
}

fn small_decoder() -> DecoderSpec {
    DecoderSpec {
        sigma: 0.5,
        steps: 6,
        batch: 5,
        learning_rate: 2e-3,
        log_every: 1,
        ..DecoderSpec::default()
    }
}

fn small_arvm() -> ArvmSpec {
    ArvmSpec {
        gamma: 3,
        hidden: vec![7],
        steps: 6,
        batch: 50,
        log_every: 1,
        ..ArvmSpec::default()
    }
}

#[test]
fn the_same_job_twice_leaves_the_same_bytes() {
    let run = || {
        let bench = Bench::new();
        bench.run("data", small_data(), &[]);
        let ae = bench.run("ae", small_autoencoder(), &[("data", "data")]);
        let inputs = [("data", "data"), ("encoder", "ae")];
        let decoder = bench.run("decoder", small_decoder(), &inputs);
        bench.run("codes", EncodeSpec::default(), &inputs);
        let arvm = bench.run("arvm", small_arvm(), &[("codes", "codes")]);
        let inputs = [("prior", "arvm"), ("decoder", "decoder")];
        let count = 40;
        let spec = SampleSpec {
            count,
            ..SampleSpec::default()
        };
        let sample = bench.run("sample", spec, &inputs);
        let inputs = [
            ("data", "data"),
            ("model", "decoder"),
            ("samples", "sample"),
            ("codes", "codes"),
        ];
        let evaluated = bench.run("evaluated", EvaluateSpec::default(), &inputs);
        let names = [
            "data",
            "ae",
            "decoder",
            "codes",
            "arvm",
            "sample",
            "evaluated",
        ];
        let bytes = names.map(|name| bench.bytes(name));
        ([ae, decoder, arvm, sample, evaluated], bytes)
    };
    let (first, second) = (run(), run());
    assert!(first == second);
}

/// Data, an autoencoder and codes, for what trains on them.
fn prepared() -> Bench {
    let bench = Bench::new();
    bench.run("data", small_data(), &[]);
    bench.run("ae", small_autoencoder(), &[("data", "data")]);
    let of_model = [("data", "data"), ("encoder", "ae")];
    bench.run("codes", EncodeSpec::default(), &of_model);
    bench
}

/// Every kind of stage that trains.
fn trainings() -> Vec<(StageSpec, &'static [(&'static str, &'static str)])> {
    let of_data = &[("data", "data")];
    let of_codes = &[("codes", "codes")];
    vec![
        (small_autoencoder().into(), of_data),
        (
            small_decoder().into(),
            &[("data", "data"), ("encoder", "ae")],
        ),
        (small_arvm().into(), of_codes),
        (
            ArvmSpec {
                head: Head::Bits,
                ..small_arvm()
            }
            .into(),
            of_codes,
        ),
        (models::pixelcnn().into(), of_codes),
        (models::vae().into(), of_data),
        (models::gan().into(), of_data),
        (models::diffusion().into(), of_data),
    ]
}

#[test]
fn an_interrupted_training_ends_as_if_it_had_not_been() {
    let bench = prepared();
    for (spec, inputs) in trainings() {
        let kind = spec.kind();
        let whole = format!("whole {kind}");
        let expected = bench.run(&whole, spec.clone(), inputs);
        // Progress without rows is thinned out: these have a row each step.
        for stop in [1, 2, 5] {
            let part = format!("part {kind} {stop}");
            let job = bench.job(&part, spec.clone(), inputs);
            let stopped = execute(job.clone(), Some(stop));
            assert_eq!(stopped.result.unwrap_err().class, FailureClass::Preempted);
            let again = Job {
                checkpoint: stopped.checkpoint,
                ..job
            };
            assert!(again.checkpoint.is_some(), "{part}");
            std::fs::remove_dir_all(&again.out).unwrap();
            std::fs::create_dir_all(&again.out).unwrap();
            let resumed = execute(again, None).result.unwrap();
            assert_eq!(Metrics(resumed), expected, "{part}");
            assert!(bench.bytes(&part) == bench.bytes(&whole), "{part}");
        }
    }
}

/// Found within 50 steps, with the step and where.
#[test]
fn a_learning_rate_that_diverges_is_a_bug_with_its_step_and_place() {
    let bench = prepared();
    for (spec, inputs) in trainings() {
        let kind = spec.kind();
        let mut parameters = spec.parameters();
        parameters.insert("learning_rate".to_owned(), 1e30.into());
        parameters.insert("steps".to_owned(), 50.into());
        let spec = StageSpec::build(kind, &parameters).unwrap();
        let failure = execute(bench.job("diverging", spec, inputs), None);
        let failure = failure.result.unwrap_err();
        assert_eq!(failure.class, FailureClass::Bug, "{kind}");
        let cause = failure.cause;
        let place = cause.contains(".weight") || cause.contains(".bias");
        assert!(cause.contains("at step") && place, "{kind}: {cause}");
    }
}

#[test]
fn what_cannot_be_measured_says_why() {
    let bench = Bench::new();
    let data = DatasetSpec {
        images: 1,
        held_out: 0,
        ..DatasetSpec::default()
    };
    bench.run("data", data, &[]);
    let spec = AutoencoderSpec {
        sigma: 0.0,
        ..small_autoencoder()
    };
    bench.run("ae", spec, &[("data", "data")]);
    let inputs = [("data", "data"), ("model", "ae")];
    let rows = bench.run("evaluated", EvaluateSpec::default(), &inputs).0;
    for name in [
        "psnr_held_out",
        "overlap_max",
        "latent_distance_min",
        "mse_bound",
    ] {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row.value, None);
        let note = row.note.as_deref().unwrap_or_default();
        assert!(note.starts_with("skipped: "), "{row:?}");
    }
    let nothing = bench.job("nothing", EvaluateSpec::default(), &inputs[..1]);
    let failure = execute(nothing, None).result.unwrap_err();
    assert_eq!(failure.class, FailureClass::Config);
}
