//! Sets of images of one size, in memory or in a file, read some at a time:
//! what is measured of many images never has all of them in memory.

use std::borrow::Cow;
use std::ops::Range;

use ablate_proto::failure::Failure;

use super::images::Images;

/// `[n, c, h, w]` f32 in [−1, 1].
pub(crate) trait Pictures: Sync {
    fn shape(&self) -> [usize; 4];

    /// The values of some images, one after another.
    ///
    /// # Errors
    /// When they cannot be read.
    fn values(&self, images: Range<usize>) -> Result<Cow<'_, [f32]>, Failure>;

    fn n(&self) -> usize {
        self.shape()[0]
    }

    /// Elements of one image.
    fn size(&self) -> usize {
        self.shape()[1..].iter().product()
    }

    /// Some images, as a set of their own.
    ///
    /// # Errors
    /// As [`Self::values`].
    fn read(&self, images: Range<usize>) -> Result<Images, Failure> {
        let [_, channels, h, w] = self.shape();
        Ok(Images {
            n: images.len(),
            channels,
            h,
            w,
            data: self.values(images)?.into_owned(),
        })
    }
}

impl Pictures for Images {
    fn shape(&self) -> [usize; 4] {
        self.shape()
    }

    fn values(&self, images: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        let size = self.size();
        Ok(self.data[images.start * size..images.end * size].into())
    }
}

/// Ranges of at most `at_once` (at least 1) that cover `0..n`.
pub(crate) fn pieces(n: usize, at_once: usize) -> impl Iterator<Item = Range<usize>> {
    let at_once = at_once.max(1);
    (0..n)
        .step_by(at_once)
        .map(move |start| start..n.min(start + at_once))
}

/// Bytes of images that are in memory at a time.
const AT_ONCE: usize = 256 << 20;

/// How many images of so many elements are in memory at a time; at least 1.
pub(crate) fn at_once(size: usize) -> usize {
    (AT_ONCE / (size_of::<f32>() * size.max(1))).max(1)
}
