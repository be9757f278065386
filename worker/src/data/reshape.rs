//! Enlarging images, and giving them another size around their centre.

use ablate_proto::stage::{DatasetSpec, Upsampling};

/// What pixels are made of.
pub(crate) trait Pixel: Copy {
    /// Fills what is beside an image.
    const BLACK: Self;

    /// A mean of pixels, rounded to what there is.
    fn rounded(mean: f32) -> Self;

    fn value(self) -> f32;
}

impl Pixel for f32 {
    const BLACK: Self = -1.0;

    fn rounded(mean: f32) -> Self {
        mean
    }

    fn value(self) -> f32 {
        self
    }
}

impl Pixel for u8 {
    const BLACK: Self = 0;

    fn rounded(mean: f32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is one")]
        #[expect(clippy::cast_sign_loss, reason = "a mean of bytes is one")]
        let byte = (mean + 0.5) as u8;
        byte
    }

    fn value(self) -> f32 {
        f32::from(self)
    }
}

/// Images `[n, c, h, w]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pixels<T> {
    pub(crate) n: usize,
    pub(crate) channels: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) data: Vec<T>,
}

impl<T: Pixel> Pixels<T> {
    /// What the spec says, in its order: enlarged, then another size.
    pub(crate) fn reshaped(self, spec: &DatasetSpec) -> Self {
        let enlarged = match (spec.upsample, spec.upsampling) {
            (0 | 1, _) => self,
            (k, Upsampling::Nearest) => {
                self.planes(self.h * k, self.w * k, |plane, y, x| plane.at(y / k, x / k))
            }
            (k, Upsampling::Bilinear) => {
                let (rows, columns) = (between(self.h, k), between(self.w, k));
                self.planes(self.h * k, self.w * k, |plane, y, x| {
                    let ((top, bottom, down), (left, right, across)) = (rows[y], columns[x]);
                    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
                    let row = |y| {
                        let (l, r) = (plane.at(y, left).value(), plane.at(y, right).value());
                        mix(l, r, across)
                    };
                    T::rounded(mix(row(top), row(bottom), down))
                })
            }
        };
        match spec.size {
            0 => enlarged,
            size => enlarged.centred(size),
        }
    }

    fn centred(self, size: usize) -> Self {
        let (h, w) = (self.h, self.w);
        // From a pixel of the new image to one of the old, if there is one.
        let place = |at: usize, old: usize| {
            let moved = at + old.saturating_sub(size) / 2;
            let moved = moved.checked_sub(size.saturating_sub(old) / 2)?;
            (moved < old).then_some(moved)
        };
        self.planes(size, size, |plane, y, x| match (place(y, h), place(x, w)) {
            (Some(y), Some(x)) => plane.at(y, x),
            _ => T::BLACK,
        })
    }

    fn planes(&self, h: usize, w: usize, pixel: impl Fn(Plane<'_, T>, usize, usize) -> T) -> Self {
        let size = (self.h * self.w).max(1);
        let mut data = Vec::with_capacity(self.n * self.channels * h * w);
        for plane in self.data.chunks_exact(size) {
            let plane = Plane {
                data: plane,
                w: self.w,
            };
            data.extend(
                (0..h)
                    .flat_map(|y| (0..w).map(move |x| (y, x)))
                    .map(|(y, x)| pixel(plane, y, x)),
            );
        }
        Self {
            n: self.n,
            channels: self.channels,
            h,
            w,
            data,
        }
    }
}

/// One channel of one image.
#[derive(Clone, Copy)]
struct Plane<'a, T> {
    data: &'a [T],
    w: usize,
}

impl<T: Copy> Plane<'_, T> {
    fn at(&self, y: usize, x: usize) -> T {
        self.data[y * self.w + x]
    }
}

/// For each new place: the old ones before and behind it, and how far it is
/// from the former. Pixels are squares: the centre of the first new one lies
/// at (1/k − 1)/2.
fn between(old: usize, k: usize) -> Vec<(usize, usize, f32)> {
    let place = |new: usize| {
        let at = (new as f32 + 0.5) / k as f32 - 0.5;
        let at = at.clamp(0.0, (old - 1) as f32);
        #[expect(clippy::cast_possible_truncation, reason = "at least 0, below `old`")]
        #[expect(clippy::cast_sign_loss, reason = "at least 0, below `old`")]
        let before = at as usize;
        (before, (before + 1).min(old - 1), at - before as f32)
    };
    (0..old * k).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reshaped(spec: &DatasetSpec) -> Pixels<u8> {
        let data = vec![0, 100, 40, 200];
        let (n, channels, h, w) = (2, 1, 1, 2);
        let images = Pixels {
            n,
            channels,
            h,
            w,
            data,
        };
        images.reshaped(spec)
    }

    #[test]
    fn pixels_are_repeated_or_mixed() {
        let mut spec = DatasetSpec {
            upsample: 2,
            ..DatasetSpec::default()
        };
        let nearest = reshaped(&spec);
        assert_eq!((nearest.n, nearest.h, nearest.w), (2, 2, 4));
        assert_eq!(nearest.data[..8], [0, 0, 100, 100, 0, 0, 100, 100]);
        spec.upsampling = Upsampling::Bilinear;
        // PyTorch: interpolate([0, 100], scale_factor=2, mode="bilinear").
        assert_eq!(reshaped(&spec).data[..8], [0, 25, 75, 100, 0, 25, 75, 100]);
    }

    #[test]
    fn other_sizes_keep_the_centre() {
        let mut spec = DatasetSpec {
            size: 4,
            ..DatasetSpec::default()
        };
        let grown = reshaped(&spec).data;
        assert_eq!(grown[..8], [0, 0, 0, 0, 0, 0, 100, 0]);
        assert_eq!(grown[16 + 4..16 + 8], [0, 40, 200, 0]);
        (spec.upsample, spec.size) = (3, 2);
        let cut = reshaped(&spec);
        assert_eq!((cut.h, cut.w), (2, 2));
        assert_eq!(cut.data[..4], [0, 100, 0, 100]);
    }
}
