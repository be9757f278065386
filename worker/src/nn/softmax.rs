//! The exponentials of a row, which a softmax divides by their sum. In lanes,
//! so that maximum and sum run on vectors; the lanes fix the order.

use super::decay::decay;
use super::simd::wide;

const LANES: usize = 8;

/// Writes exp(scale·(x − maximum)) over each x of a row; returns the maximum
/// and the sum. A NaN makes all of them NaN.
pub(super) fn exponentials(row: &mut [f32], scale: f32) -> [f32; 2] {
    wide(
        #[inline(always)]
        || {
            let larger = |a: f32, b: f32| if b > a { b } else { a };
            let top = reduce(row, f32::NEG_INFINITY, larger);
            row.iter_mut().for_each(|x| *x = decay(scale * (*x - top)));
            [top, reduce(row, 0.0, |a, b| a + b)]
        },
    )
}

#[inline(always)]
fn reduce(row: &[f32], start: f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, *x);
        }
    }
    lanes.iter().chain(rest).fold(start, |a, b| join(a, *b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_right() {
        for n in 1..40u16 {
            let row: Vec<f32> = (0..n).map(|i| f32::from(i * 37 % 11) - 3.0).collect();
            let mut got = row.clone();
            let [top, sum] = exponentials(&mut got, 0.5);
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(top, largest);
            let exact = row.iter().map(|x| (0.5 * f64::from(x - top)).exp());
            for (got, exact) in got.iter().zip(exact.clone()) {
                assert!((f64::from(*got) - exact).abs() < 3e-7);
            }
            assert!((f64::from(sum) / exact.sum::<f64>() - 1.0).abs() < 1e-6);
        }
        let mut broken = [0.0, f32::NAN, 1.0];
        assert!(exponentials(&mut broken, 1.0)[1].is_nan());
    }
}
