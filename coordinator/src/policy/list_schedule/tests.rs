//! Policies compared on the shipped sweeps and on random graphs. The table is
//! printed: `cargo test --workspace policies_compared -- --nocapture`.

use std::collections::HashMap;

use ablate_proto::stage::StageKind;
use ablate_proto::task::work;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::sweep;

const ORDERS: [(&str, Order); 4] = [
    ("critical path", Order::CriticalPath),
    ("as submitted", Order::AsSubmitted),
    ("longest first", Order::LongestFirst),
    ("shortest first", Order::ShortestFirst),
];

/// Where the bound cannot be come near by any of the orders, and what ours
/// reaches: tasks of one length that come in rounds, and chains that wait for
/// one another.
const SHORT: [(&str, usize, f64); 10] = [
    ("command-example", 2, 1.12),
    ("command-example", 8, 1.78),
    ("e02-overlap-costs", 8, 1.486),
    ("e08-scores", 2, 1.338),
    ("quickstart", 2, 1.334),
    ("x02-held-out", 2, 1.338),
    ("x03-threshold", 2, 1.337),
    ("x05-windows", 8, 1.34),
    ("x06-data-size", 8, 1.338),
    ("x09-bits", 2, 1.197),
];

/// Seconds of a stage on one core: an overhead, and so many units of work a
/// second, of the order of what was measured for the shipped kinds.
fn seconds(kind: StageKind, work: f32) -> f64 {
    let rate = match kind {
        StageKind::Dataset => 1e5,
        StageKind::Autoencoder | StageKind::Decoder => 15_000.0,
        StageKind::Arvm => 30_000.0,
        StageKind::Pixelcnn => 2_500.0,
        StageKind::Vae => 23_000.0,
        StageKind::Gan => 1_600.0,
        StageKind::Diffusion => 100.0,
        _ => 1_000.0,
    };
    0.2 + f64::from(work) / rate
}

/// The tasks of a shipped sweep.
fn shipped(text: &str, file: &str, profile: Option<&str>) -> Vec<Node> {
    let options = sweep::Options {
        profile: profile.map(str::to_owned),
        ..sweep::Options::default()
    };
    let plan = sweep::plan(&sweep::Source { file, text }, &options).unwrap();
    let mut places = HashMap::new();
    let mut nodes = Vec::new();
    for planned in &plan.tasks {
        let task = &planned.task;
        let parents = task.inputs.iter().map(|input| places[&input.task]);
        nodes.push(Node {
            seconds: seconds(task.spec.kind(), work(&task.spec.parameters())),
            parents: parents.collect(),
        });
        places.insert(task.key, nodes.len() - 1);
    }
    nodes
}

/// A graph in layers, as sweeps are, with durations over two decades.
fn random(seed: u64, layers: usize, width: usize) -> Vec<Node> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut nodes: Vec<Node> = Vec::new();
    for layer in 0..layers {
        let before = nodes.len().saturating_sub(width)..nodes.len();
        for _ in 0..width {
            let uniform = f64::from(random.next_u32()) / f64::from(u32::MAX);
            let mut parents = Vec::new();
            for _ in 0..usize::from(layer > 0) * 2 {
                let parent = before.start + random.next_u32() as usize % width;
                if !parents.contains(&parent) {
                    parents.push(parent);
                }
            }
            nodes.push(Node {
                seconds: 100_f64.powf(uniform),
                parents,
            });
        }
    }
    nodes
}

/// Times the best that could be.
fn row(name: &str, nodes: &[Node], slots: usize) -> [f64; 4] {
    let bound = bound(nodes, slots);
    let ratios = ORDERS.map(|(_, order)| makespan(nodes, slots, order) / bound);
    let shown = ratios.map(|ratio| format!("{ratio:>14.3}"));
    println!(
        "{name:<28} {:>6} {slots:>5} {}",
        nodes.len(),
        shown.concat()
    );
    ratios
}

#[test]
fn policies_compared() {
    let heads = ORDERS.map(|(name, _)| format!("{name:>14}"));
    println!("makespan ÷ max(longest chain, work ÷ slots)");
    println!(
        "{:<28} {:>6} {:>5} {}",
        "",
        "tasks",
        "slots",
        heads.concat()
    );
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut compared = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let profile = text.contains("[profiles.mini").then_some("mini");
        let nodes = shipped(&text, &name, profile);
        for slots in [2, 8, 32] {
            let [ours, ..] = row(&name, &nodes, slots);
            let known = SHORT.iter().find(|(n, m, _)| *n == name && *m == slots);
            let most = known.map_or(1.1, |(_, _, most)| *most);
            assert!(ours <= most, "{name} on {slots} slots: {ours}");
            compared += 1;
        }
    }
    assert!(compared >= 3);
    for seed in 0..5 {
        for (layers, width, slots) in [(4, 64, 8), (8, 100, 16), (3, 500, 64)] {
            let nodes = random(seed, layers, width);
            let name = format!("random {layers} x {width}, seed {seed}");
            let [ours, ..] = row(&name, &nodes, slots);
            assert!(ours <= 1.1, "{name}: {ours}");
        }
    }
}

#[test]
fn a_chain_beside_short_tasks_is_begun_first() {
    let node = |seconds, parents: &[usize]| Node {
        seconds,
        parents: parents.to_vec(),
    };
    let mut nodes = vec![node(1.0, &[]); 4];
    nodes.extend([node(2.0, &[]), node(2.0, &[4])]);
    assert_eq!(makespan(&nodes, 2, Order::CriticalPath), 4.0);
    assert_eq!(makespan(&nodes, 2, Order::AsSubmitted), 6.0);
    assert_eq!(bound(&nodes, 2), 4.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any list schedule takes less than twice the best (Graham, 1969), and
    /// none is faster than the bound.
    #[test]
    fn graham(seed: u64, layers in 1..6_usize, width in 1..30_usize, slots in 1..20_usize) {
        let nodes = random(seed, layers, width);
        let (work, longest): (f64, f64) = (
            nodes.iter().map(|n| n.seconds).sum(),
            chains(&nodes).into_iter().fold(0.0, f64::max),
        );
        let m = slots as f64;
        for (name, order) in ORDERS {
            let took = makespan(&nodes, slots, order);
            let most = work / m + longest * (1.0 - 1.0 / m);
            prop_assert!(took <= most * (1.0 + 1e-9), "{name}: {took} > {most}");
            prop_assert!(took >= bound(&nodes, slots) * (1.0 - 1e-9), "{name}");
        }
    }
}
