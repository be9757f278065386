//! Features that tasks of their own compute, whole or in shards, are those
//! that an evaluation computes itself.

use ablate_proto::stage::{FeaturesSpec, FidMode, Part, ResampleSpec};

use super::*;
use crate::data::arrays;
use crate::data::pictures::Pictures as _;
use crate::data::samples::Samples;
use crate::metrics::formula;
use crate::stages::features::INCEPTION;

/// More than one batch, and a rest.
const N: usize = 18;

/// Training images, an autoencoder, and held-out images for samples.
fn bench() -> Bench {
    let bench = Bench::new();
    let data = DatasetSpec {
        images: N,
        held_out: N,
        ..DatasetSpec::default()
    };
    bench.run("data", data, &[]);
    bench.run("ae", small_autoencoder(), &[("data", "data")]);
    let drawn = ResampleSpec {
        count: N,
        from: Part::HeldOut,
    };
    bench.run("drawn", drawn, &[("data", "data")]);
    bench
}

fn seen() -> FeaturesSpec {
    FeaturesSpec {
        inception_digest: "a".repeat(64),
        ..FeaturesSpec::default()
    }
}

fn evaluated() -> EvaluateSpec {
    EvaluateSpec {
        inception: "inception".to_owned(),
        inception_digest: "a".repeat(64),
        noise_draws: 1,
        overlap_draws: 64,
        overlap_pairs: 8,
        ..EvaluateSpec::default()
    }
}

/// Runs a stage with the weights, or without.
fn run(
    (bench, weights): (&Bench, Option<&Path>),
    name: &str,
    spec: impl Into<StageSpec>,
    inputs: &[(&str, &str)],
) -> Result<Metrics, Failure> {
    let mut job = bench.job(name, spec, inputs);
    let weights = weights.map(|file| (INCEPTION.to_owned(), file.to_owned()));
    job.inputs.extend(weights);
    execute(job, None).result.map(Metrics)
}

#[test]
fn scores_of_known_features_are_those_without_to_the_last_bit() {
    let bench = bench();
    let weights = bench.dir.path().join("weights");
    std::fs::write(&weights, formula::weights().to_bytes().unwrap()).unwrap();
    let with = (&bench, Some(&*weights));
    let whole = |name: &str, images| run(with, name, seen(), &[("images", images)]).unwrap();
    let rows = whole("train", "data");
    assert_eq!(rows.get("features"), 2048.0);
    whole("samples", "drawn");
    // Samples as shards of a stage that draws leave them.
    let all = Samples::read(&bench.dir.path().join("drawn/out")).unwrap();
    for (name, part) in [("first", 0..16), ("second", 16..N)] {
        let folder = bench.dir.path().join(name).join("out");
        std::fs::create_dir_all(&folder).unwrap();
        let images = all.images.read(part).unwrap();
        let tokens = None;
        Samples { images, tokens }.write(&folder).unwrap();
    }
    // Three shards of two batches: one is empty.
    let spec = StageSpec::from(seen());
    for (of, aligned, images) in [
        ("train", false, &["data"; 3][..]),
        ("samples", true, &["first", "second"]),
        ("samples", false, &["drawn"; 2]),
    ] {
        let cut = spec.in_shards(images.len(), aligned).unwrap();
        let mut shards = Vec::new();
        for (i, (shard, images)) in cut.shards.into_iter().zip(images).enumerate() {
            let name = format!("shard {i}");
            run(with, &name, shard, &[("images", images)]).unwrap();
            shards.push((format!("shard.{i}"), name));
        }
        let shards: Vec<(&str, &str)> = shards.iter().map(|(r, n)| (&**r, &**n)).collect();
        let rows = run(with, "gathered", cut.whole, &shards).unwrap();
        assert_eq!(rows.0[0].n, Some(N as u64), "{of}");
        assert!(bench.bytes("gathered") == bench.bytes(of), "{of}");
    }

    let of_model = [("data", "data"), ("model", "ae"), ("samples", "drawn")];
    let expected = run(with, "plain", evaluated(), &of_model).unwrap();
    for name in ["fid", "fid_floor", "inception_score", "rfid"] {
        assert!(expected.get(name) > 0.0, "{name}");
    }
    let known = [("features", "train"), ("sample_features", "samples")];
    let inputs = [&of_model[..], &known].concat();
    assert_eq!(run(with, "known", evaluated(), &inputs).unwrap(), expected);
    assert!(bench.bytes("known") == bench.bytes("plain"));
    // Without a model there is nothing to see, so no weights are needed.
    let of_samples = [&inputs[..1], &inputs[2..]].concat();
    let without = (&bench, None);
    let rows = run(without, "samples alone", evaluated(), &of_samples).unwrap();
    let own = |row: &&MetricRow| row.name.starts_with("fid") || row.name.starts_with("inception");
    let of = |rows: &Metrics| rows.0.iter().filter(own).cloned().collect::<Vec<_>>();
    assert_eq!(of(&rows), of(&expected));
    let refused = run(without, "no weights", evaluated(), &of_model).unwrap_err();
    assert!(refused.cause.contains("not brought"), "{refused:?}");
}

#[test]
fn without_weights_features_and_scores_are_skipped() {
    let bench = bench();
    let with = (&bench, None);
    let none = FeaturesSpec::default();
    let skipped = |rows: &Metrics, name: &str| {
        let row = rows.0.iter().find(|row| row.name == name).unwrap();
        let note = row.note.as_deref();
        assert!(row.value.is_none() && note == Some("skipped: no weights"));
    };
    let images = [("images", "data")];
    skipped(
        &run(with, "train", none.clone(), &images).unwrap(),
        "features",
    );
    let shards = [("shard.0", "train"), ("shard.1", "train")];
    let gathered = run(with, "gathered", none, &shards).unwrap();
    skipped(&gathered, "features");
    assert!(bench.bytes("gathered") == bench.bytes("train"));
    let spec = EvaluateSpec {
        inception_digest: String::new(),
        ..evaluated()
    };
    let inputs = [
        ("data", "data"),
        ("samples", "drawn"),
        ("features", "gathered"),
    ];
    let rows = run(with, "scored", spec, &inputs).unwrap();
    skipped(&rows, "fid");
    skipped(&rows, "inception_score");
}

/// Written as a stage would, without the network.
fn write(bench: &Bench, name: &str, spec: &FeaturesSpec, [features, logits]: [usize; 2]) {
    let view = crate::metrics::View {
        weights: spec.inception_digest.clone(),
        mode: spec.fid_mode,
    };
    let array = |n: usize, width| arrays::Array::f32(&[n, width], vec![0.5; n * width]);
    let mut all = BTreeMap::from([("features".to_owned(), array(features, 2048))]);
    if logits > 0 {
        all.insert("logits".to_owned(), array(logits, 1008));
    }
    let folder = bench.dir.path().join(name).join("out");
    std::fs::create_dir_all(&folder).unwrap();
    arrays::write(&folder.join("features.safetensors"), &view, &all).unwrap();
}

#[test]
fn features_of_other_images_weights_or_resizing_are_refused() {
    let bench = bench();
    let of_mode = FeaturesSpec {
        fid_mode: FidMode::CleanFid,
        ..seen()
    };
    write(&bench, "right", &seen(), [N, N]);
    write(&bench, "no logits", &seen(), [N, 0]);
    write(&bench, "few", &seen(), [N - 1, N - 1]);
    write(&bench, "uneven", &seen(), [N, N - 1]);
    write(&bench, "other mode", &of_mode, [N, N]);
    write(&bench, "no weights", &FeaturesSpec::default(), [0, 0]);
    let right = bench.dir.path().join("right/out/features.safetensors");
    for (name, change) in [("cut", 1), ("text", usize::MAX), ("missing", 0)] {
        let path = bench.dir.path().join(name).join("out");
        std::fs::create_dir_all(&path).unwrap();
        let bytes = match change {
            0 => continue,
            1 => std::fs::read(&right).unwrap()[..100_000].to_vec(),
            _ => b"features, please".to_vec(),
        };
        std::fs::write(path.join("features.safetensors"), bytes).unwrap();
    }
    // It is seen before any weights are asked for.
    let with = (&bench, None);
    let inputs = [("data", "data"), ("samples", "drawn")];
    for (features, sample_features, word) in [
        ("few", "right", "of 17 images, not of these 18"),
        ("right", "few", "of 17 images, not of these 18"),
        ("right", "no logits", "no logits"),
        ("right", "uneven", "do not fit together"),
        ("other mode", "right", "as by clean-fid, but"),
        ("no weights", "right", "no weights"),
        ("right", "cut", "cut short"),
        ("text", "right", "header"),
        ("right", "missing", "features.safetensors"),
    ] {
        let known = [("features", features), ("sample_features", sample_features)];
        let inputs = [&inputs[..], &known].concat();
        let refused = run(with, "refused", evaluated(), &inputs).unwrap_err();
        assert!(refused.cause.contains(word), "{word}: {refused:?}");
    }
    let shards = [("shard.0", "right"), ("shard.1", "no logits")];
    let refused = run(with, "refused", seen(), &shards).unwrap_err();
    assert!(refused.cause.contains("no logits"), "{refused:?}");
    let refused = run(with, "refused", seen(), &[]).unwrap_err();
    assert!(refused.cause.contains("input `images`"), "{refused:?}");
}
