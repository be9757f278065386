use std::sync::Arc;

use ablate_proto::capacity::{Grant, Used};
use ablate_proto::stage::{ArvmSpec, NoopSpec};
use ablate_proto::task::{Input, SealedTask, Task};
use proptest::prelude::*;

use super::*;

fn task(index: u64, after: &[&Task]) -> Task {
    let spec = NoopSpec {
        index,
        ..NoopSpec::default()
    };
    let inputs = after.iter().enumerate().map(|(i, parent)| Input {
        role: format!("after{i}"),
        task: parent.key,
    });
    Task::new(
        format!("n index={index} ‑ ß"),
        spec.into(),
        7,
        inputs.collect(),
    )
}

fn submission(tasks: &[Task]) -> Submission {
    Submission {
        priority: -3,
        ..Submission::new("s".parse().unwrap(), 4, tasks)
    }
}

fn every_fact() -> Vec<Fact> {
    let (stranger, root) = (task(1, &[]), task(2, &[]));
    let child = task(3, &[&root, &stranger]);
    let other = Task::new("a".into(), ArvmSpec::default().into(), 1, vec![]);
    let sweep: ablate_proto::id::SweepId = "s".parse().unwrap();
    let attempt = AttemptId {
        task: root.key,
        number: 9,
    };
    let committed = |manifest, reused| Fact::TaskCommitted {
        attempt,
        seconds: 0.1 + 0.2,
        manifest,
        reused,
        used: Used {
            memory: 9,
            cores: 0.5,
        },
    };
    let hold = Hold {
        person: true,
        why: "w".to_owned(),
    };
    let mut facts = vec![
        Fact::SweepSubmitted(submission(&[root, child, other])),
        Fact::ResultsGone(vec![attempt.task, TaskKey::from_bytes([3; 32])]),
        Fact::SweepCancelled(sweep.clone()),
        Fact::SweepHeld {
            sweep: sweep.clone(),
            hold,
        },
        Fact::SweepReleased(sweep.clone()),
        Fact::SweepPrioritised {
            sweep: sweep.clone(),
            priority: 5,
        },
        Fact::AttemptStarted {
            attempt,
            worker: "w".parse().unwrap(),
            grant: Grant {
                memory: 1 << 40,
                share: 256,
                whole: true,
            },
        },
        committed(None, true),
        committed(Some([8; 32]), false),
    ];
    for class in FailureClass::ALL {
        let failure = Failure::new(*class, "why");
        facts.push(Fact::AttemptFailed { attempt, failure });
        facts.push(Fact::SweepRetried {
            sweep: sweep.clone(),
            class: Some(*class),
        });
    }
    let class = None;
    facts.push(Fact::SweepRetried { sweep, class });
    facts
}

#[test]
fn every_fact_comes_back() {
    let facts = every_fact();
    assert_eq!(decode(&encode(&facts)), Ok(facts));
}

#[test]
fn rows_of_the_format_before_are_read() {
    let root = task(2, &[]);
    let json = serde_json::json!([
        {"sweep_submitted": {"sweep": "s", "points": 1, "stages_naive": 1, "tasks": [root]}},
        {"attempt_started": {"attempt": {"task": root.key, "number": 1}, "worker": "w"}},
        {"attempt_failed": {"attempt": {"task": root.key, "number": 1},
            "failure": {"class": "out_of_memory", "cause": "c"}}},
    ]);
    let facts = decode(json.to_string().as_bytes()).unwrap();
    let attempt = AttemptId {
        task: root.key,
        number: 1,
    };
    let submission = Submission::new("s".parse().unwrap(), 1, &[root]);
    assert_eq!(facts[0], Fact::SweepSubmitted(submission));
    let failure = Failure::new(FailureClass::OutOfMemory, "c");
    assert_eq!(facts[2], Fact::AttemptFailed { attempt, failure });
}

#[test]
fn tasks_that_differ_by_little_take_little() {
    let tasks: Vec<Task> = (0..1000).map(|index| task(index, &[])).collect();
    let bytes = encode(&[Fact::SweepSubmitted(submission(&tasks))]);
    assert!(bytes.len() < 60 * tasks.len(), "{}", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_an_error_and_no_panic(at in 0..4000_usize, byte: u8, cut in 0..4000_usize) {
        let mut bytes = encode(&every_fact());
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length / 4);
        // A flipped bit in a text may go unnoticed here; the store checks its blocks.
        let _ = decode(&bytes);
    }

    #[test]
    fn any_texts_come_back(texts in prop::collection::vec(("\\PC{0,12}", "\\PC{0,12}"), 0..20)) {
        let seal = |(label, parameters): &(String, String)| Arc::new(SealedTask {
            label: label.as_str().into(),
            parameters: parameters.as_str().into(),
            ..task(0, &[]).into()
        });
        let tasks: Vec<_> = texts.iter().map(seal).collect();
        let table = Table::encode_tasks(&tasks);
        prop_assert_eq!(table.decode_tasks(), Ok(tasks));
    }
}
