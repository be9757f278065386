//! Scores beside those of the programs that others measure with, on the same
//! weights and images: `parity/record.py` wrote down what they said.

pub(crate) mod formula;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ablate_proto::stage::FidMode;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::frechet::Gaussian;
use super::{Samples, Scores, inception, inception_score, psnr, ssim};
use crate::data::images::Images;
use crate::models::inception::{Inception, expected};

#[derive(Deserialize)]
struct Recorded {
    /// Of pytorch-fid and of torch-fidelity.
    fid: [f64; 2],
    frechet: Vec<[f64; 2]>,
    isc: BTreeMap<String, [f64; 2]>,
    ssim: BTreeMap<usize, f64>,
    psnr: BTreeMap<usize, f64>,
    tensors: Vec<(String, Vec<usize>)>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("parity/values.json")).unwrap()
}

fn array(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(include_bytes!("parity/inception.safetensors")).unwrap();
    let bytes = file.tensor(name).unwrap().data().to_vec();
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|v| f32::from_le_bytes(*v)).collect()
}

fn network() -> &'static Inception {
    static NETWORK: OnceLock<Inception> = OnceLock::new();
    NETWORK.get_or_init(|| Inception::new(formula::weights()).unwrap())
}

/// The largest difference, of the root mean square.
fn off(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let squares = expected.iter().map(|x| f64::from(*x).powi(2));
    let size = (squares.sum::<f64>() / expected.len() as f64).sqrt();
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0, |most, (a, b)| f64::from((a - b).abs()).max(most)) / size
}

fn close(what: &str, got: f64, expected: f64, within: f64) {
    let off = (got / expected - 1.0).abs();
    eprintln!("{what}: {got}, recorded {expected}: off by {off:.1e}");
    assert!(off < within, "{what}: {got}, recorded {expected}");
}

#[test]
fn tensors_are_those_of_pytorch_fid() {
    assert_eq!(expected(), recorded().tensors);
}

#[test]
fn features_logits_and_scores_are_those_of_pytorch_fid() {
    let images = formula::images(0..6, 32);
    let seen = network().see(&images, FidMode::PytorchFid).unwrap();
    for (what, got) in [("features", &seen.features), ("logits", &seen.logits)] {
        let off = off(&got.data, &array(&format!("pytorch_fid.{what}")));
        eprintln!("{what}: off by {off:.1e}");
        assert!(off < 1e-3, "{what}: off by {off:.1e}");
    }
    let recorded = recorded();
    let [a, b] = [seen.features.slice(0, 3), seen.features.slice(3, 6)];
    let fid = Gaussian::of(&a)
        .unwrap()
        .distance(&Gaussian::of(&b).unwrap());
    let fid = fid.unwrap();
    close("FID, pytorch-fid", fid, recorded.fid[0], 1e-3);
    close("FID, torch-fidelity", fid, recorded.fid[1], 1e-3);
    let order: Vec<usize> = (0..6).collect();
    let [mean, std] = inception_score::score(&seen.logits, &order, 2).unwrap();
    close("IS", mean, recorded.isc["images"][0], 1e-3);
    assert!((std - recorded.isc["images"][1]).abs() < 1e-3);
}

#[test]
fn other_programs_resize_otherwise() {
    let images = formula::images(0..3, 32);
    let seen = network().see(&images, FidMode::TorchFidelity).unwrap();
    for (what, got) in [("features", &seen.features), ("logits", &seen.logits)] {
        let off = off(&got.data, &array(&format!("torch_fidelity.{what}")));
        eprintln!("torch-fidelity's {what}: off by {off:.1e}");
        assert!(off < 1e-3, "torch-fidelity's {what}: off by {off:.1e}");
    }
    for (key, side) in [(3, 32), (4, 340)] {
        let images = formula::images([key], side);
        let seen = network().see(&images, FidMode::CleanFid).unwrap();
        let off = off(&seen.features.data, &array(&format!("clean_fid.{side}")));
        eprintln!("clean-fid's features at {side}: off by {off:.1e}");
        assert!(
            off < 1e-3,
            "clean-fid's features at {side}: off by {off:.1e}"
        );
    }
}

#[test]
fn distances_and_inception_scores_of_formulas_are_theirs() {
    let recorded = recorded();
    for (n, expected) in [400, 49, 20].into_iter().zip(&recorded.frechet) {
        let a = Gaussian::of(&formula::vectors(0, n, 48, 1.0, 0.0)).unwrap();
        let b = Gaussian::of(&formula::vectors(1, n, 48, 1.7, 0.2)).unwrap();
        let got = a.distance(&b).unwrap();
        close("Fréchet distance, scipy's root", got, expected[0], 1e-6);
        close("Fréchet distance, eigenvalues", got, expected[1], 1e-6);
    }
    let logits = formula::vectors(2, 57, 30, 4.0, 0.0);
    let order: Vec<usize> = (0..57).collect();
    let [mean, std] = inception_score::score(&logits, &order, 10).unwrap();
    close("mean of ten parts", mean, recorded.isc["formula"][0], 1e-9);
    close("their deviation", std, recorded.isc["formula"][1], 1e-9);
}

#[test]
fn similarity_and_psnr_are_those_of_scikit_image() {
    let recorded = recorded();
    assert_eq!(recorded.ssim.len(), 6);
    for (side, expected) in recorded.ssim {
        let a = formula::images([7], side);
        let mut b = formula::images([8], side);
        let pairs = b.data.iter_mut().zip(&a.data);
        pairs.for_each(|(b, a)| *b = 0.75 * a + 0.25 * *b);
        close("SSIM", ssim::average(&b, &a), expected, 1e-6);
        close("PSNR", psnr::average(&b, &a), recorded.psnr[&side], 1e-6);
    }
}

fn value(rows: &[ablate_proto::artifact::MetricRow], name: &str) -> Option<f64> {
    rows.iter().find(|row| row.name == name)?.value
}

fn scored(
    images: &Images,
    train: &Images,
    scores: &Scores,
) -> Vec<ablate_proto::artifact::MetricRow> {
    let samples = Samples::new(images, None, train, None, None, 30.0);
    inception::of_samples(&samples.with_scores(Some(scores))).unwrap()
}

#[test]
fn copies_have_no_distance_and_unequal_numbers_are_refused_unless_asked_for() {
    let train = formula::images(0..4, 16);
    let scores = |unequal| {
        let network = Inception::new(formula::weights()).unwrap();
        Scores::new(Some(network), FidMode::PytorchFid, unequal)
    };
    let strict = scores(false);
    let rows = scored(&train, &train, &strict);
    assert!(value(&rows, "fid").unwrap() < 1e-6);
    assert!(value(&rows, "fid_floor").unwrap() > 1.0);
    let note = rows[0].note.as_deref().unwrap();
    assert!(note.contains("pytorch-fid") && note.contains("rank-deficient"));
    assert_eq!(rows[0].n, Some(4));
    // Four are no ten parts.
    assert_eq!(value(&rows, "inception_score"), None);
    let fewer = train.first(3);
    let rows = scored(&fewer, &train, &strict);
    assert_eq!(value(&rows, "fid"), None);
    let note = rows[0].note.as_deref().unwrap();
    assert!(note.contains("3 samples against 4") && note.contains("fid_unequal"));
    let rows = scored(&fewer, &train, &scores(true));
    assert!(value(&rows, "fid").unwrap() > 0.0);
}

#[test]
fn without_weights_there_is_no_number() {
    let train = formula::images(0..2, 8);
    let rows = scored(
        &train,
        &train,
        &Scores::new(None, FidMode::PytorchFid, false),
    );
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["fid", "inception_score"]);
    let skipped = |row: &ablate_proto::artifact::MetricRow| {
        row.value.is_none() && row.note.as_deref() == Some("skipped: no weights")
    };
    assert!(rows.iter().all(skipped));
}

#[test]
#[ignore = "measures: cargo test --release -- --ignored images_a_second --nocapture"]
fn images_a_second() {
    let images = formula::images(0..64, 32);
    network()
        .see(&images.first(16), FidMode::PytorchFid)
        .unwrap();
    let started = std::time::Instant::now();
    network().see(&images, FidMode::PytorchFid).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{:.1} images/s", images.n as f64 / seconds);
}
