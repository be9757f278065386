//! A report to look at, made of numbers like those of the shipped studies.
//! `cargo test -p ablate look_at -- --ignored`, with the folder in
//! `ABLATE_REPORT_OUT`.

use ablate_proto::artifact::{Direction, MetricRow, THRESHOLDS_DB};
use ablate_proto::failure::FailureClass;
use ablate_proto::stage::StageKind;
use serde_json::json;

use super::fixture::{Fixture, sweep};
use super::png;
use crate::report;

fn up(name: &str, unit: &str, value: f64) -> MetricRow {
    MetricRow::scalar(name, unit, Direction::Up, value)
}

/// Repeatable noise in [-1, 1].
fn noise(seed: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// Shares that fall around a threshold.
fn by_db(name: &str, middle: f64) -> MetricRow {
    let share = |db: u32| (512.0 / (1.0 + ((f64::from(db) - middle) / 1.6).exp())).round() / 512.0;
    MetricRow::vector(name, "", THRESHOLDS_DB.map(share).collect()).over(512)
}

fn training(seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut row = |row: MetricRow| {
        out.extend(serde_json::to_vec(&row).expect("row"));
        out.push(b'\n');
    };
    for i in 0..=50_u64 {
        let (step, t) = (i * 100, i as f64 / 50.0);
        let jitter = |scale: f64| scale * noise(seed * 1000 + i);
        let grown = 1.0 - (-4.0 * t).exp();
        row(up(
            "mse_sum",
            "",
            9.5 * (-3.6 * t).exp() + 0.3 + jitter(0.05).abs(),
        )
        .at(step));
        row(up(
            "psnr_noisy",
            "dB",
            7.2 + 22.8 * grown.powf(0.7) + jitter(0.3),
        )
        .at(step));
        row(up(
            "psnr_binarised",
            "dB",
            7.2 + 26.3 * grown.powf(0.8) + jitter(0.3),
        )
        .at(step));
        row(up("brate_0.1", "", (0.985 * grown).max(0.0)).at(step));
        row(up("distance_min", "", 0.3 + 6.3 * grown + jitter(0.05)).at(step));
        row(up("distance_mean", "", 1.0 + 13.2 * grown.powf(0.5)).at(step));
        let density = |bin: usize| {
            let z = -1.0 + 2.0 * (bin as f64 + 0.5) / 41.0;
            let bell = (-(z / 0.22_f64).powi(2)).exp() * (-16.0 * t).exp();
            let spikes = (-((z.abs() - 1.0) / (0.32 * (1.02 - grown))).powi(2)).exp() * grown;
            bell + spikes + 0.08 * (1.0 - grown) * grown
        };
        let bins: Vec<f64> = (0..41).map(density).collect();
        let total: f64 = bins.iter().sum();
        let bins = bins.iter().map(|v| v / total).collect();
        row(MetricRow::vector("latent_histogram", "", bins).at(step));
    }
    out
}

#[tokio::test]
#[ignore = "writes a report to look at"]
async fn look_at_a_realistic_report() {
    let Ok(folder) = std::env::var("ABLATE_REPORT_OUT") else {
        return;
    };
    let mut fixture = Fixture::new(
        &[
            ("retrain.sigma", json!([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])),
            ("gamma", json!([3, 5, 7])),
        ],
        3,
        &[
            ("data", StageKind::Dataset, &[], &[]),
            ("blae", StageKind::Autoencoder, &[("data", "data")], &[]),
            ("retrain", StageKind::Decoder, &[("data", "data"), ("encoder", "blae")], &["retrain.sigma"]),
            ("overlap", StageKind::Evaluate, &[("data", "data"), ("model", "retrain")], &[]),
            ("codes", StageKind::Encode, &[("data", "data"), ("encoder", "blae")], &[]),
            ("prior", StageKind::Arvm, &[("codes", "codes")], &["gamma"]),
            ("draw", StageKind::Sample, &[("prior", "prior"), ("decoder", "blae")], &[]),
            ("memory", StageKind::Evaluate, &[("data", "data"), ("samples", "draw")], &[]),
        ],
    )
    .expect(json!({"name": "Wider windows memorise more", "stage": "memory", "metric": "memorised_rate",
        "along": "gamma", "trend": "increasing", "paper": "rate(3) < rate(5) < rate(7), the last near 1"}))
    .expect(json!({"name": "A global window memorises nearly everything", "stage": "memory",
        "metric": "memorised_rate", "along": "gamma", "above": 0.9, "at": "last"}))
    .expect(json!({"name": "More overlap costs reconstruction quality", "stage": "overlap", "metric": "psnr_noisy",
        "along": "retrain.sigma", "trend": "decreasing", "paper": "PSNR falls with σ in all four curves (Fig. 4)"}))
    .expect(json!({"name": "A narrow window generalises", "stage": "memory", "metric": "exact_rate",
        "along": "gamma", "below": 0.15, "at": "first"}))
    .expect(json!({"name": "Sample quality under Inception features", "stage": "memory", "metric": "fid",
        "along": "gamma", "trend": "decreasing", "paper": "67.13, 31.42, 0.56 for γ = 3, 5, 7"}))
    .figure(json!({"kind": "training", "title": "Latents binarise while the autoencoder trains", "stage": "blae",
        "caption": "The histogram starts as a bell around zero and ends as two spikes at ±1: noise of width one is what drives the means apart."}))
    .figure(json!({"kind": "curve", "title": "Reconstruction against the noise scale", "stage": "overlap", "x": "retrain.sigma",
        "metrics": ["psnr_noisy", "psnr_clean", "psnr_oracle", "psnr_bound"],
        "caption": "Fresh decoders on one frozen encoder. Learned decoders lie far below the optimal decoder d* and the bound of Theorem 3.3."}))
    .figure(json!({"kind": "bars", "title": "Memorisation by observation window", "stage": "memory", "x": "gamma",
        "metrics": ["memorised_rate", "exact_rate"], "caption": "Share of 512 samples within 30 dB of a training image, and share whose token grid equals a training grid."}))
    .figure(json!({"kind": "thresholds", "title": "Memorisation at every threshold", "stage": "memory",
        "metrics": ["memorisation_by_db", "chance_by_db"], "caption": "Chance: held-out images in place of samples."}))
    .figure(json!({"kind": "normalised", "title": "Distances and error, each between its own extremes", "stage": "blae",
        "metrics": ["distance_mean", "distance_min", "mse_sum"], "caption": "As Fig. 3.",
        "quoted": [{"name": "CIFAR-10, triangular", "source": "Table 6", "values": {"distance_mean": "28.01 / 1018.79", "distance_min": "25.78 / 806.93", "mse_sum": "6.97 / 296.37"}}]}))
    .figure(json!({"kind": "images", "title": "Samples beside their nearest training images", "stage": "memory",
        "file": "nearest.png", "caption": "Odd rows: samples. Even rows: the nearest training image of each."}))
    .figure(json!({"kind": "curve", "title": "Inception distance", "stage": "memory", "x": "gamma", "metrics": ["fid"]}));
    fixture.plan.title = "Does a wider observation window turn generation into retrieval?".into();
    fixture.plan.question = "Binary-latent autoencoder, token prior with window γ, and the share of \
        generated images that repeat a training image; beside it, what latent noise costs a decoder."
        .into();
    for (task, _, _) in fixture.tasks("data") {
        fixture
            .done(
                task,
                vec![up("images", "", 64.0), up("held_out", "", 64.0)],
                &[],
            )
            .await;
    }
    for (task, _, seed) in fixture.tasks("blae") {
        let metrics = vec![
            up("psnr_binarised", "dB", 33.91 + 0.2 * noise(seed)),
            up("brate_0.1", "", 0.9831 + 0.002 * noise(seed + 5)),
            up("parameters", "", 27_361.0),
            MetricRow::scalar("kl_final", "", Direction::Down, 3.1e-4),
        ];
        fixture
            .done(task, metrics, &[("metrics.jsonl", training(seed))])
            .await;
    }
    for stage in ["codes", "retrain", "draw", "prior"] {
        for (task, _, seed) in fixture.tasks(stage) {
            let metrics = match stage {
                "prior" => vec![MetricRow::scalar(
                    "kl_final",
                    "",
                    Direction::Down,
                    3.9e-4 + 1e-5 * noise(seed),
                )],
                _ => vec![],
            };
            fixture.done(task, metrics, &[]).await;
        }
    }
    for (task, at, seed) in fixture.tasks("overlap") {
        let sigma = at["retrain.sigma"].as_f64().expect("number");
        if sigma == 2.5 && seed == 2 {
            fixture.failed(
                task,
                FailureClass::OutOfMemory,
                "evaluating 64 images at σ = 2.5: 3.1 GB asked for, 2.0 GB free",
            );
            continue;
        }
        let noisy =
            29.6 - 4.1 * sigma + 0.02 * sigma * sigma + 0.25 * noise(seed * 7 + task as u64);
        let metrics = vec![
            up("psnr_noisy", "dB", noisy).over(64),
            up("psnr_clean", "dB", noisy + 3.1).over(64),
            up(
                "psnr_oracle",
                "dB",
                if sigma < 2.4 { 100.0 } else { 74.2 - sigma },
            )
            .over(64),
            up(
                "psnr_bound",
                "dB",
                if sigma < 1.9 {
                    100.0
                } else {
                    99.0 - 4.0 * sigma
                },
            )
            .over(64),
            MetricRow::scalar("oc_max", "", Direction::Down, 0.002 * sigma.powi(3)),
        ];
        fixture.done(task, metrics, &[]).await;
    }
    for (task, at, seed) in fixture.tasks("memory") {
        let gamma = at["gamma"].as_u64().expect("number");
        let hits = match gamma {
            3 => 106.0,
            5 => 419.0,
            _ => 510.0,
        } + (2.0 * noise(seed + gamma)).round();
        let metrics = vec![
            up("memorised_rate", "", hits / 512.0).over(512),
            up("exact_rate", "", (hits - 5.0) / 512.0).over(512),
            up("coverage", "", hits / 560.0),
            up("rho", "", 1.0 - hits / 600.0),
            MetricRow::skipped("fid", "no weights"),
            by_db(
                "memorisation_by_db",
                24.0 + gamma as f64 * 1.8 + 0.4 * noise(seed),
            ),
            by_db("chance_by_db", 23.0 + 0.3 * noise(seed)),
        ];
        fixture
            .done(
                task,
                metrics,
                &[("nearest.png", png::grid(12, 4, gamma * 10 + seed))],
            )
            .await;
    }
    let store = fixture.save().await;
    let written = report::write(store, &sweep(), std::path::Path::new(&folder))
        .await
        .expect("report");
    assert!(written.html.exists());
}
