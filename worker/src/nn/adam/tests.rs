use candle_core::Var;

use super::*;
use crate::nn::composed::forced;
use crate::nn::device::device;

fn quadratic(start: &[f32]) -> (Var, Named) {
    let var = Var::from_vec(start.to_vec(), start.len(), &device()).unwrap();
    (var.clone(), vec![("p".to_owned(), var)])
}

fn step(adam: &mut Adam, step: u64, var: &Var, named: &Named) {
    let loss = var.as_tensor().sqr().unwrap().sum_all().unwrap();
    let flaw = adam.descend(step, 0.05, named, &loss, true).unwrap();
    assert_eq!(flaw, None);
}

/// Against the recurrences in f64, on a quadratic.
#[test]
fn steps_follow_the_recurrences() {
    let adamw = Settings {
        betas: [0.5, 0.99],
        weight_decay: 0.1,
    };
    for settings in [Settings::default(), adamw] {
        let Settings {
            betas: [b1, b2],
            weight_decay,
        } = settings;
        let start = [0.5f32, -2.0, 3.0];
        let (var, named) = quadratic(&start);
        let mut adam = Adam::with(settings, &named).unwrap();
        let mut expected = start.map(f64::from);
        let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
        for at in 1..=20u64 {
            step(&mut adam, at, &var, &named);
            let t = i32::try_from(at).unwrap();
            for i in 0..3 {
                let g = 2.0 * expected[i];
                m[i] = b1 * m[i] + (1.0 - b1) * g;
                v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                let m_hat = m[i] / (1.0 - b1.powi(t));
                let v_hat = v[i] / (1.0 - b2.powi(t));
                expected[i] *= 1.0 - 0.05 * weight_decay;
                expected[i] -= 0.05 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        let got: Vec<f32> = var.as_tensor().to_vec1().unwrap();
        for (got, expected) in got.iter().zip(expected) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error < 1e-4, "{got} {expected}");
        }
    }
}

#[test]
fn stored_moments_go_on_as_if_nothing_had_happened() {
    let settings = Settings {
        weight_decay: 0.1,
        ..Settings::default()
    };
    let (var, named) = quadratic(&[0.5, -2.0]);
    let mut adam = Adam::with(settings, &named).unwrap();
    let mut stored = None;
    for at in 1..=10 {
        if at == 6 {
            let values: Vec<f32> = var.as_tensor().to_vec1().unwrap();
            stored = Some((values, adam.export().unwrap()));
        }
        step(&mut adam, at, &var, &named);
    }
    let (values, moments) = stored.unwrap();
    let (again, named) = quadratic(&values);
    let mut adam = Adam::with(settings, &named).unwrap();
    adam.import(moments).unwrap();
    for at in 6..=10 {
        step(&mut adam, at, &again, &named);
    }
    let values = |var: &Var| var.as_tensor().to_vec1::<f32>().unwrap();
    assert_eq!(values(&var), values(&again));
}

#[test]
fn a_composed_step_is_the_same() {
    forced::run(|| {
        steps_follow_the_recurrences();
        stored_moments_go_on_as_if_nothing_had_happened();
    });
}

#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs a GPU"]
fn gpu_steps_are_the_same() {
    crate::nn::cuda::tests::on_gpu(|| {
        steps_follow_the_recurrences();
        stored_moments_go_on_as_if_nothing_had_happened();
    });
}
