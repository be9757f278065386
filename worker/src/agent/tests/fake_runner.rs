//! A runner for tests: this test binary, started once more. The words of a
//! task's label say how it behaves.

use std::ffi::OsString;
use std::io::{BufRead, Lines, StdinLock, Write, stdin, stdout};
use std::time::Duration;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::stage::StageSpec;

use crate::runner::protocol::{FromRunner, Job, ToRunner};

const GUARD: &str = "ABLATE_TEST_FAKE_RUNNER";

pub(super) fn command() -> Vec<OsString> {
    let me = std::env::current_exe().unwrap();
    let test = "agent::tests::fake_runner::be_the_runner";
    let guard = format!("{GUARD}=1");
    let words = [
        "--exact",
        test,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    let mut command = vec!["/usr/bin/env".into(), guard.into(), me.into_os_string()];
    command.extend(words.map(OsString::from));
    command
}

#[test]
#[ignore = "the body of the fake runner, not a test"]
fn be_the_runner() {
    if std::env::var_os(GUARD).is_none() {
        return;
    }
    // libtest has begun a line already.
    println!();
    say(&FromRunner::Ready {
        device: "fake".to_owned(),
        threads: 3,
    });
    let mut lines = stdin().lock().lines();
    while let Some(message) = hear(&mut lines) {
        if let ToRunner::Run(job) = message {
            run(&job, &mut lines);
        }
    }
    std::process::exit(0);
}

fn run(job: &Job, lines: &mut Lines<StdinLock<'static>>) {
    let attempt = job.attempt;
    let StageSpec::Noop(spec) = &job.task.spec else {
        panic!("only no-ops are faked");
    };
    let mut resumed_from = None;
    for word in job.task.label.split(' ') {
        match word {
            "log" => eprintln!("a line of the log of {}", job.task.label),
            "noise" => println!("something a library printed"),
            "crash" => std::process::exit(3),
            "abort" => std::process::abort(),
            "garbage" => println!("{{garbage"),
            "forever" => std::thread::sleep(Duration::from_secs(60)),
            "checkpoint" => {
                let path = job.out.join("../saved");
                std::fs::write(&path, "state").unwrap();
                say(&FromRunner::Checkpoint {
                    attempt,
                    step: 7,
                    path,
                });
            }
            "stopped" => {
                assert_eq!(hear(lines), Some(ToRunner::Stop));
                say(&FromRunner::Failed {
                    attempt,
                    failure: Failure::new(FailureClass::Preempted, "as asked"),
                });
                return;
            }
            "full" => {
                say(&FromRunner::Failed {
                    attempt,
                    failure: Failure::new(FailureClass::OutOfMemory, "the GPU is full"),
                });
                return;
            }
            "resume" => {
                let state = std::fs::read_to_string(job.checkpoint.as_ref().unwrap()).unwrap();
                assert_eq!(state, "state");
                resumed_from = Some(7);
            }
            "unusable" => {
                assert!(job.checkpoint.is_some());
                say(&FromRunner::Unusable {
                    attempt,
                    why: "not a state of this task".to_owned(),
                });
            }
            "parent" => {
                let text = std::fs::read_to_string(job.inputs["after"].join("result")).unwrap();
                assert!(text.contains("result of"));
            }
            "progress" => {
                for step in 0..500 {
                    say(&FromRunner::Progress {
                        attempt,
                        step,
                        total: 500,
                        rows: vec![MetricRow::scalar("loss", "", Direction::Down, 0.1)],
                    });
                }
            }
            _ => {}
        }
    }
    std::thread::sleep(Duration::from_millis(spec.sleep_ms));
    if spec.artifact {
        let text = format!("result of {}", job.task.label);
        std::fs::write(job.out.join("result"), text).unwrap();
    }
    let pid = f64::from(std::process::id());
    say(&FromRunner::Done {
        attempt,
        metrics: vec![MetricRow::scalar("pid", "", Direction::Neutral, pid)],
        seconds: 0.25,
        resumed_from,
        used: ablate_proto::capacity::Used::default(),
        emptied: false,
    });
}

fn hear(lines: &mut Lines<StdinLock<'static>>) -> Option<ToRunner> {
    let line = lines.next()?.ok()?;
    Some(serde_json::from_str(&line).unwrap())
}

fn say(message: &FromRunner) {
    let mut line = serde_json::to_vec(message).unwrap();
    line.push(b'\n');
    stdout().write_all(&line).unwrap();
    stdout().flush().unwrap();
}
