//! A report to look at with what strains the page: many series, long names,
//! words on axes, wide ranges, one seed, gaps. Run as `realistic`.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::FailureClass;
use ablate_proto::stage::StageKind;
use serde_json::json;

use super::fixture::{Fixture, sweep};
use super::plain;
use crate::report;

fn curve(x: f64, rate: f64) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..=50_u32 {
        let t = f64::from(i) / 50.0;
        let step = u64::from(i) * 2000;
        let loss = MetricRow::scalar("kl", "nats", Direction::Down, 3.0 * (-9.0 * t * rate).exp());
        let psnr = MetricRow::scalar("psnr_clean", "dB", Direction::Up, x + 10.0 * t.sqrt());
        for row in [loss.at(step), psnr.at(step)] {
            out.extend(serde_json::to_vec(&row).expect("row"));
            out.push(b'\n');
        }
    }
    out
}

#[tokio::test]
#[ignore = "writes a report to look at"]
async fn look_at_a_crowded_report() {
    let Ok(folder) = std::env::var("ABLATE_REPORT_OUT") else {
        return;
    };
    let mut fixture = Fixture::new(
        &[
            ("noise", json!(["gaussian", "triangular", "none"])),
            ("latent_act", json!(["none", "tanh"])),
            ("images", json!([16, 64, 256, 1024, 5120, 50000])),
        ],
        1,
        &[
            ("train", StageKind::Noop, &[], &["noise", "latent_act"]),
            ("measure_on_held_out_images", StageKind::Noop, &[("after", "train")], &["images"]),
        ],
    )
    .expect(json!({"name": "Copying fades with more images, whatever the noise and whatever stands between the encoder and it",
        "stage": "measure_on_held_out_images", "metric": "copy_rate", "along": "images", "trend": "decreasing"}))
    .expect(json!({"name": "Every run stays above chance", "stage": "measure_on_held_out_images", "metric": "copy_rate", "above": 0.001}))
    .figure(json!({"kind": "training", "title": "Six runs", "stage": "train"}))
    .figure(json!({"kind": "curve", "title": "One metric, six lines", "stage": "measure_on_held_out_images", "x": "images", "metrics": ["copy_rate"]}))
    .figure(json!({"kind": "curve", "title": "Two metrics, six panels", "stage": "measure_on_held_out_images", "x": "images", "metrics": ["psnr_nearest_train", "psnr_nearest_held_out"]}))
    .figure(json!({"kind": "bars", "title": "Words on x", "stage": "train", "x": "noise", "metrics": ["distance_mean", "binary_rate"]}))
    .figure(json!({"kind": "bars", "title": "Many bars", "stage": "measure_on_held_out_images", "x": "images", "metrics": ["copy_rate"]}));
    for (task, at, _) in fixture.tasks("train") {
        let tanh = f64::from(u8::from(at["latent_act"] == "tanh"));
        let rate = match at["noise"].as_str() {
            Some("gaussian") => 0.6,
            Some("none") => 1.3,
            _ => 1.0,
        };
        let metrics = vec![
            plain("distance_mean", 90.0 * rate - 60.0 * tanh),
            plain("binary_rate", rate * tanh * 0.75),
        ];
        fixture
            .done(
                task,
                metrics,
                &[("metrics.jsonl", curve(8.0 + 9.0 * rate + tanh, rate))],
            )
            .await;
    }
    for (i, (task, at, _)) in fixture
        .tasks("measure_on_held_out_images")
        .into_iter()
        .enumerate()
    {
        let images = at["images"].as_f64().expect("number");
        let shift = f64::from(u8::from(at["latent_act"] == "tanh"))
            + at["noise"].as_str().map_or(0, str::len) as f64 / 9.0;
        if i % 11 == 5 {
            fixture.failed(
                task,
                FailureClass::Lost,
                "the worker box-7f2a90cc vanished five times",
            );
            continue;
        }
        let rate = (1.0 / (1.0 + (images / 200.0).powf(0.8)) * (0.6 + 0.15 * shift) * 256.0)
            .round()
            / 256.0;
        let metrics = vec![
            plain("copy_rate", rate).over(256),
            MetricRow::scalar(
                "psnr_nearest_train",
                "dB",
                Direction::Up,
                30.0 - 2.0 * images.ln() + 3.0 * shift,
            ),
            MetricRow::scalar(
                "psnr_nearest_held_out",
                "dB",
                Direction::Up,
                14.0 + 0.2 * images.ln() + shift,
            ),
        ];
        fixture.done(task, metrics, &[]).await;
    }
    let folder = std::path::Path::new(&folder).join("crowded");
    let store = fixture.save().await;
    let written = report::write(store, &sweep(), &folder)
        .await
        .expect("report");
    assert!(written.html.exists());
}
