//! Whole trainings beside PyTorch's: the same weights, batches and noise give
//! the same losses for 200 steps. `parity/curves.py` writes PyTorch's, in f64;
//! in f32 PyTorch is off them by up to 5e-6, and so are these.

use serde::Deserialize;
use serde_json::{Map, Value};

use ablate_proto::stage::StageKind;

use super::*;
use crate::data::tokens::Tokens;
use crate::nn::rng::stream;

const IMAGES: usize = 20;

#[derive(Deserialize)]
struct Recorded {
    parameters: Map<String, Value>,
    curves: BTreeMap<String, Vec<f64>>,
}

/// Random token grids, as curves.py draws them.
fn write_codes(folder: &Path) {
    let (side, bits) = (4, 3);
    let mut rng = stream(0, "tokens", 0);
    let token = |_| u32::try_from(rng.below(1 << bits)).unwrap();
    let tokens = Tokens {
        n: IMAGES,
        side,
        bits,
        data: (0..IMAGES * side * side).map(token).collect(),
    };
    std::fs::create_dir_all(folder).unwrap();
    tokens.write(folder).unwrap();
}

#[test]
fn trainings_follow_pytorch_for_two_hundred_steps() {
    let recorded = include_str!("parity/curves.json");
    let recorded: BTreeMap<String, Recorded> = serde_json::from_str(recorded).unwrap();
    assert_eq!(recorded.len(), 5);
    let bench = Bench::new();
    let data = DatasetSpec {
        images: IMAGES,
        ..small_data()
    };
    bench.run("data", data, &[]);
    write_codes(&bench.dir.path().join("codes").join("out"));
    for (name, Recorded { parameters, curves }) in recorded {
        let kind: StageKind = name.parse().unwrap();
        let role = kind.info().inputs[0].role;
        let spec = StageSpec::build(kind, &parameters).unwrap();
        bench.run(&name, spec, &[(role, role)]);
        for (metric, expected) in curves {
            let got = bench.curve(&name, &metric);
            assert_eq!((got.len(), expected.len()), (200, 200));
            let off = |((_, got), expected): (&(u64, f64), &f64)| (got / expected - 1.0).abs();
            let worst = got.iter().zip(&expected).map(off).fold(0.0, f64::max);
            eprintln!("{name} {metric}: off by {worst:.1e}");
            assert!(worst < 1e-4, "{name} {metric}: off by {worst:.1e}");
        }
    }
}
