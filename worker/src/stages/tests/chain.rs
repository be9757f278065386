//! The measured trends of science.md §6, on the configuration given there.
//! Minutes of training: run with
//! `cargo test -p ablate-worker --lib chain -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

fn autoencoder() -> AutoencoderSpec {
    AutoencoderSpec {
        channels: vec![24],
        wide: 64,
        latent_channels: 8,
        decoder_in: 48,
        decoder_front: 32,
        refine: 16,
        steps: 5000,
        batch: 64,
        learning_rate: 2e-3,
        log_every: 500,
        ..AutoencoderSpec::default()
    }
}

/// Runs a stage and prints how long it took and what it ended with.
fn timed(
    bench: &Bench,
    name: &str,
    spec: impl Into<StageSpec>,
    inputs: &[(&str, &str)],
) -> Metrics {
    let started = Instant::now();
    let metrics = bench.run(name, spec, inputs);
    let seconds = started.elapsed().as_secs_f64();
    let values: Vec<_> = metrics
        .0
        .iter()
        .filter_map(|row| Some(format!("{} {:.4}", row.name, row.value?)))
        .collect();
    eprintln!("{name}: {seconds:.1} s; {}", values.join(", "));
    metrics
}

fn strictly_falling(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[1] < pair[0])
}

#[test]
#[ignore = "minutes of training"]
fn the_trends_of_the_paper_hold() {
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global();
    let bench = Bench::new();
    timed(&bench, "data", DatasetSpec::default(), &[]);
    timed(&bench, "ae", autoencoder(), &[("data", "data")]);
    for metric in [
        "psnr_noisy",
        "psnr_clean",
        "psnr_binarised",
        "brate_0.1",
        "latent_distance_min",
        "latent_distance_mean",
        "overlap_max",
    ] {
        eprintln!("  {metric}: {:.3?}", bench.curve("ae", metric));
    }
    let of_model = [("data", "data"), ("model", "ae")];
    let model = timed(&bench, "evaluated ae", EvaluateSpec::default(), &of_model);
    assert!(model.get("brate_0.1") > 0.9);
    assert!(model.get("overlap_max") < 0.05);
    assert!(model.get("binarisation_gap") < 1.0);
    for metric in ["latent_distance_min", "latent_distance_mean"] {
        let values = bench.curve("ae", metric);
        assert!(values.last().unwrap().1 > 5.0 * values[0].1, "{metric}");
    }

    // E2: more overlap costs PSNR.
    let on_encoder = [("data", "data"), ("encoder", "ae")];
    let (mut noisy, mut clean) = (vec![], vec![]);
    for sigma in [0.5, 1.0, 1.5, 2.0, 2.5, 3.0] {
        let spec = DecoderSpec {
            sigma,
            steps: 600,
            batch: 64,
            learning_rate: 2e-3,
            ..DecoderSpec::default()
        };
        let name = format!("decoder {sigma}");
        timed(&bench, &name, spec, &on_encoder);
        let inputs = [("data", "data"), ("model", name.as_str())];
        let name = format!("evaluated {name}");
        let metrics = timed(&bench, &name, EvaluateSpec::default(), &inputs);
        noisy.push(metrics.get("psnr_noisy"));
        clean.push(metrics.get("psnr_clean"));
    }
    assert!(strictly_falling(&noisy), "{noisy:?}");
    assert!(strictly_falling(&clean), "{clean:?}");

    // E6: wider windows memorise.
    timed(&bench, "codes", EncodeSpec::default(), &on_encoder);
    let mut rates = vec![];
    for prior in [
        ablate_proto::stage::Prior::Net,
        ablate_proto::stage::Prior::Table,
    ] {
        for gamma in [3, 5, 7] {
            let spec = ArvmSpec {
                gamma,
                prior,
                hidden: vec![128, 128],
                steps: 1000,
                batch: 1_000_000,
                learning_rate: 3e-3,
                ..ArvmSpec::default()
            };
            let name = |what: &str| format!("{what} {prior:?} {gamma}");
            let (arvm, sample) = (name("arvm"), name("sample"));
            timed(&bench, &arvm, spec, &[("codes", "codes")]);
            let inputs = [("prior", arvm.as_str()), ("decoder", "ae")];
            timed(&bench, &sample, SampleSpec::default(), &inputs);
            let inputs = [
                ("data", "data"),
                ("samples", sample.as_str()),
                ("codes", "codes"),
            ];
            let spec = EvaluateSpec::default();
            let metrics = timed(&bench, &name("evaluated"), spec, &inputs);
            rates.push(metrics.get("memorisation_rate"));
            if prior == ablate_proto::stage::Prior::Table && gamma == 7 {
                assert!((metrics.get("exact_latent_rate") - 1.0).abs() < f64::EPSILON);
            }
        }
    }
    assert!(rates[0] < 0.5 && rates[2] > 0.9, "{rates:?}");
    assert!(rates[0] < rates[1] && rates[1] < rates[2], "{rates:?}");
    assert!((rates[5] - 1.0).abs() < f64::EPSILON, "{rates:?}");
}
