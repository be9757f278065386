//! Minimal filtering (Winograd; Lavin and Gray, arXiv:1509.09308) along one
//! axis: two outputs of a short filter from fewer products than outputs times
//! taps. Everything here is linear, so each map has its adjoint beside it.
//!
//! A tile of `IN` inputs becomes `POINTS · PHASES` values, the filter as many;
//! values of one point are multiplied and summed over phases (and channels),
//! and two outputs are made of the `POINTS` sums. Index: point · PHASES + phase.

/// Channels handled side by side.
pub(super) const LANES: usize = 16;
pub(super) type Lanes = [f32; LANES];

#[inline(always)]
fn map(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    map(a, b, |a, b| a + b)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    map(a, b, |a, b| a - b)
}

#[inline(always)]
fn half(a: Lanes) -> Lanes {
    a.map(|a| 0.5 * a)
}

#[inline(always)]
fn neg(a: Lanes) -> Lanes {
    a.map(|a| -a)
}

pub(super) trait Tile: Send + Sync + 'static {
    const IN: usize;
    const TAPS: usize;
    const STRIDE: usize;
    const POINTS: usize;
    const PHASES: usize;

    fn input(d: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
    fn input_back(v: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
    fn output(m: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
    fn output_back(y: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
    fn filter(w: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
    fn filter_back(u: impl Fn(usize) -> Lanes, out: impl FnMut(usize, Lanes));
}

/// Three taps, stride 1: F(2, 3), 4 products for 6.
pub(super) struct Three;

impl Tile for Three {
    const IN: usize = 4;
    const TAPS: usize = 3;
    const STRIDE: usize = 1;
    const POINTS: usize = 4;
    const PHASES: usize = 1;

    #[inline(always)]
    fn input(d: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, sub(d(0), d(2)));
        out(1, add(d(1), d(2)));
        out(2, sub(d(2), d(1)));
        out(3, sub(d(1), d(3)));
    }

    #[inline(always)]
    fn input_back(v: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, v(0));
        out(1, add(sub(v(1), v(2)), v(3)));
        out(2, sub(add(v(1), v(2)), v(0)));
        out(3, neg(v(3)));
    }

    #[inline(always)]
    fn output(m: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, add(m(0), add(m(1), m(2))));
        out(1, sub(sub(m(1), m(2)), m(3)));
    }

    #[inline(always)]
    fn output_back(y: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, y(0));
        out(1, add(y(0), y(1)));
        out(2, sub(y(0), y(1)));
        out(3, neg(y(1)));
    }

    #[inline(always)]
    fn filter(w: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        let ends = add(w(0), w(2));
        out(0, w(0));
        out(1, half(add(ends, w(1))));
        out(2, half(sub(ends, w(1))));
        out(3, w(2));
    }

    #[inline(always)]
    fn filter_back(u: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        let ends = half(add(u(1), u(2)));
        out(0, add(u(0), ends));
        out(1, half(sub(u(1), u(2))));
        out(2, add(ends, u(3)));
    }
}

/// Four taps, stride 2: for each parity of the inputs (a phase) F(2, 2), 3
/// products for 4.
pub(super) struct Four;

impl Tile for Four {
    const IN: usize = 6;
    const TAPS: usize = 4;
    const STRIDE: usize = 2;
    const POINTS: usize = 3;
    const PHASES: usize = 2;

    #[inline(always)]
    fn input(d: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        for phase in 0..2 {
            let middle = d(2 + phase);
            out(phase, sub(d(phase), middle));
            out(2 + phase, middle);
            out(4 + phase, sub(d(4 + phase), middle));
        }
    }

    #[inline(always)]
    fn input_back(v: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        for phase in 0..2 {
            let (first, last) = (v(phase), v(4 + phase));
            out(phase, first);
            out(2 + phase, sub(sub(v(2 + phase), first), last));
            out(4 + phase, last);
        }
    }

    #[inline(always)]
    fn output(m: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, add(m(0), m(1)));
        out(1, add(m(1), m(2)));
    }

    #[inline(always)]
    fn output_back(y: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        out(0, y(0));
        out(1, add(y(0), y(1)));
        out(2, y(1));
    }

    #[inline(always)]
    fn filter(w: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        for phase in 0..2 {
            out(phase, w(phase));
            out(2 + phase, add(w(phase), w(2 + phase)));
            out(4 + phase, w(2 + phase));
        }
    }

    #[inline(always)]
    fn filter_back(u: impl Fn(usize) -> Lanes, mut out: impl FnMut(usize, Lanes)) {
        for phase in 0..2 {
            out(phase, add(u(phase), u(2 + phase)));
            out(2 + phase, add(u(2 + phase), u(4 + phase)));
        }
    }
}
