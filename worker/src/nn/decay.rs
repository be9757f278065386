//! e^x for x ≤ 0, the logistic function, ln(1 + e) and tanh: free of branches,
//! so that loops over them run on vectors, and of the C library, so that all
//! workers agree.

/// Adding it rounds to whole numbers, which stand in its lowest bits.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts; the first has few bits.
const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Of (e^r − 1 − r)/r² on |r| ≤ ln 2/2, highest power first (Cephes, `expf`).
const SERIES: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    5e-1,
];

/// e^x for x ≤ 0, within two units of the last place; 0 below −87.7.
#[inline(always)]
pub(super) fn decay(x: f32) -> f32 {
    // Not `max`, which would lose a NaN.
    let x = if x < -88.0 { -88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2[0] - n * LN2[1];
    let [a, b, c, d, e, f] = SERIES;
    let series = ((((a * r + b) * r + c) * r + d) * r + e) * r + f;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (series * r * r + r + 1.0) * power
}

/// 1/(1 + e^−x).
#[inline(always)]
pub(super) fn logistic(x: f32) -> f32 {
    let e = decay(-x.abs());
    let upper = 1.0 / (1.0 + e);
    if x >= 0.0 { upper } else { e * upper }
}

/// ln(1 + e) for e in [0, 1], by 2·artanh(e/(2 + e)).
#[inline(always)]
pub(super) fn log_one_plus(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let z = s * s;
    let mut sum = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * z + 1.0 / odd;
    }
    2.0 * s * sum
}

/// Of (tanh x − x)/x³ on |x| < 0.625, highest power first (Cephes, `tanhf`).
const TANH: [f32; 5] = [
    -5.704_988_7e-3,
    2.063_909e-2,
    -5.373_971_5e-2,
    1.333_144_2e-1,
    -3.333_328e-1,
];

/// tanh, within two units of the last place. Near ±1 that is what counts: its
/// slope is taken as 1 − tanh², which would keep nothing of a larger error.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let e = decay(-2.0 * x.abs());
    let large = (1.0 - 2.0 * e / (1.0 + e)).copysign(x);
    let s = x * x;
    let [a, b, c, d, f] = TANH;
    let small = ((((a * s + b) * s + c) * s + d) * s + f) * s * x + x;
    if x.abs() < 0.625 { small } else { large }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_right_to_the_last_bits() {
        for i in 0..=u16::MAX {
            let x = -87.0 * f32::from(i) / 65_536.0;
            let (exact, got) = (f64::from(x).exp(), f64::from(decay(x)));
            assert!((got / exact - 1.0).abs() < 2.5e-7, "{x}: {got} {exact}");
            for x in [x, -x] {
                let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
                let got = f64::from(logistic(x));
                assert!((got / exact - 1.0).abs() < 4e-7, "{x}: {got} {exact}");
            }
        }
        for i in 0..=u16::MAX {
            let e = f32::from(i) / 65_535.0;
            let (exact, got) = (f64::from(e).ln_1p(), f64::from(log_one_plus(e)));
            assert!((got - exact).abs() <= 4e-7 * exact, "{e}: {got} {exact}");
        }
        assert!(log_one_plus(f32::NAN).is_nan());
        assert_eq!(decay(0.0), 1.0);
        assert_eq!(decay(-90.0), 0.0);
        assert_eq!(decay(f32::NEG_INFINITY), 0.0);
        assert!(decay(f32::NAN).is_nan());
        assert!(logistic(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_right_to_the_last_bits_where_it_is_flat() {
        for i in -200_000i32..=200_000 {
            let x = i as f32 / 20_000.0;
            let (got, expected) = (f64::from(tanh(x)), f64::from(x).tanh());
            let off = (got - expected).abs();
            assert!(off <= 2.5e-7 * expected.abs(), "{x}: {got}");
            assert!(off < 6.5e-8 || x.abs() < 2.0, "{x}: {got}");
            assert!(got.abs() <= 1.0);
        }
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert!(tanh(f32::NAN).is_nan());
    }
}
