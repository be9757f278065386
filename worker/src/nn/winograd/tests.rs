//! Against the products over patches, and for any number of threads.

use super::super::act::Act;
use super::super::im2col::Im2col;
use super::super::rng::stream;
use super::*;

const IMAGES: usize = 5;

fn random(count: usize, what: &str) -> Vec<f32> {
    let mut rng = stream(7, what, 0);
    (0..count).map(|_| rng.signed()).collect()
}

fn unfold(kernel: usize, h: usize, w: usize, padding: usize) -> Unfold {
    let stride = if kernel == 3 { 1 } else { 2 };
    let stops = |side: usize| (side + 2 * padding - kernel) / stride + 1;
    Unfold {
        h,
        w,
        channels: 32,
        groups: 1,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        out_h: stops(h),
        out_w: stops(w),
    }
}

/// Both ways through a layer, and the gradients of both sides.
fn all(sides: &dyn Sides, u: &Unfold, narrow: usize) -> Vec<Vec<f32>> {
    let wide = random(IMAGES * u.image(), "wide");
    let sites = random(IMAGES * u.sites() * narrow, "narrow");
    let weight = random(u.patch() * narrow, "weight");
    let bias = random(narrow.max(u.channels), "bias");
    let finish = |channels| Finish {
        act: Act::LeakyRelu,
        bias: &bias[..channels],
    };
    let mut out = vec![
        sides.to_narrow(&wide, &weight, finish(narrow)),
        sides.to_wide(&sites, &weight, finish(u.channels)),
    ];
    for want in [None, Some(Side::Wide), Some(Side::Narrow)] {
        let want = Want {
            weight: true,
            side: want,
        };
        let gradients = sides.back(&wide, &sites, &weight, want);
        out.push(gradients.weight.unwrap().to_vec());
        out.extend(gradients.side);
    }
    out
}

fn cases() -> impl Iterator<Item = (Unfold, bool)> {
    let sizes = [
        (3, 8, 8, 1),
        (3, 7, 5, 0),
        (4, 12, 8, 1),
        (4, 9, 11, 0),
        (4, 7, 6, 3),
    ];
    let sizes = sizes.map(|(k, h, w, p)| unfold(k, h, w, p));
    sizes.into_iter().flat_map(|u| [(u, false), (u, true)])
}

#[test]
fn minimal_filtering_is_convolution() {
    for (unfold, transposed) in cases() {
        let narrow = 16;
        let plain = Im2col {
            unfold,
            narrow,
            transposed,
        };
        let fast = fast(&unfold, narrow, transposed).unwrap();
        let expected = all(&plain, &unfold, narrow);
        for (got, expected) in all(&*fast, &unfold, narrow).iter().zip(&expected) {
            assert_eq!(got.len(), expected.len());
            let largest = expected.iter().fold(0f32, |top, v| top.max(v.abs()));
            for (got, expected) in got.iter().zip(expected) {
                let error = (got - expected).abs() / largest;
                // Two sums in f32, each in an order of its own.
                assert!(error < 3e-6, "{unfold:?} {transposed}: {got} {expected}");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (unfold, transposed) in cases() {
        let narrow = 48;
        let fast = fast(&unfold, narrow, transposed).unwrap();
        let plain = Im2col {
            unfold,
            narrow,
            transposed,
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let both = || [all(&*fast, &unfold, narrow), all(&plain, &unfold, narrow)];
            pool.build().unwrap().install(both)
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert!(with(threads) == one, "{threads} threads, {unfold:?}");
        }
    }
}
