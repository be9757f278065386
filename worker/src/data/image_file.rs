//! The images of a dataset, or samples, read a few at a time.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::de::IgnoredAny;

use super::pictures::Pictures;
use super::rows::RowFile;
use super::{dataset, samples};

#[derive(Debug)]
pub(crate) struct ImageFile {
    file: RowFile,
    name: &'static str,
    array: usize,
    shape: [usize; 4],
    /// Of samples, not of a dataset.
    pub(crate) drawn: bool,
}

impl ImageFile {
    /// Opens what a `dataset` or a stage that draws left in `folder`: training
    /// images or samples.
    ///
    /// # Errors
    /// When it is neither, is damaged, or has no images.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        match folder.join(dataset::FILE).exists() {
            true => Self::train(folder),
            false => Self::samples(folder),
        }
    }

    /// The training images of the dataset in `folder`.
    ///
    /// # Errors
    /// When it is absent, damaged, or has none.
    pub(crate) fn train(folder: &Path) -> Result<Self, Failure> {
        Self::of(&folder.join(dataset::FILE), dataset::TRAIN)?.with_images()
    }

    /// The images that the dataset in `folder` keeps back, if it does.
    ///
    /// # Errors
    /// When it is absent or damaged.
    pub(crate) fn held_out(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = Self::of(&folder.join(dataset::FILE), dataset::HELD_OUT)?;
        Ok((!file.shape.contains(&0)).then_some(file))
    }

    /// The samples in `folder`.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub(crate) fn samples(folder: &Path) -> Result<Self, Failure> {
        let file = Self::of(&folder.join(samples::FILE), samples::IMAGES)?;
        let drawn = true;
        Self { drawn, ..file }.with_images()
    }

    fn of(path: &Path, name: &'static str) -> Result<Self, Failure> {
        let (_, file) = RowFile::open::<IgnoredAny>(path)?;
        let found = file.find(name)?;
        let (array, shape) = found.ok_or_else(|| file.wrong(format!("it has no {name}")))?;
        Ok(Self {
            file,
            name,
            array,
            shape,
            drawn: false,
        })
    }

    fn with_images(self) -> Result<Self, Failure> {
        match self.shape.contains(&0) {
            true => Err(self.file.wrong("it has no images").into()),
            false => Ok(self),
        }
    }
}

impl Pictures for ImageFile {
    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// # Errors
    /// When there are no such images, or some of a dataset are not in [−1, 1].
    fn values(&self, images: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        if self.file.holds_bytes(self.array) {
            let bytes = self.file.u8(self.array, images)?;
            return Ok(dataset::widened(&bytes).into());
        }
        let data = self.file.f32(self.array, images)?;
        if !self.drawn {
            let checked = dataset::check_pixels(self.name, &data);
            checked.map_err(|why| self.file.wrong(why))?;
        }
        Ok(data.into())
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::DatasetSpec;

    use super::*;
    use crate::data::packed;
    use crate::data::samples::Samples;

    #[test]
    fn images_in_pieces_are_those_of_the_whole() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [digits, imported, drawn] = folders.each_ref().map(|folder| folder.path());
        let some = DatasetSpec {
            held_out: 5,
            ..DatasetSpec::default()
        };
        dataset::write(&some, None, digits).unwrap();
        let source = tempfile::tempdir().unwrap();
        let spec = packed::tests::lay_out(source.path(), 20, 0, 6);
        dataset::write(&spec, Some(source.path()), imported).unwrap();
        let images = dataset::read(digits).unwrap().train.first(9);
        let tokens = None;
        let samples = Samples { images, tokens };
        samples.write(drawn).unwrap();
        let of_dataset = |folder: &Path| dataset::read(folder).unwrap().train;
        for (folder, whole, is_drawn) in [
            (digits, of_dataset(digits), false),
            (imported, of_dataset(imported), false),
            (drawn, samples.images, true),
        ] {
            let file = ImageFile::open(folder).unwrap();
            assert_eq!((file.n(), file.drawn), (whole.n, is_drawn));
            assert_eq!(file.read(2..7).unwrap(), whole.read(2..7).unwrap());
            assert!(file.read(whole.n..whole.n + 1).is_err());
        }
        for folder in [digits, imported] {
            let file = ImageFile::held_out(folder).unwrap();
            let kept = file.map(|file| file.read(0..file.n()).unwrap());
            assert_eq!(kept, dataset::read(folder).unwrap().held_out);
        }
        let nothing = tempfile::tempdir().unwrap();
        let refused = ImageFile::open(nothing.path()).unwrap_err();
        assert!(refused.cause.contains(samples::FILE), "{refused:?}");
        for open in [ImageFile::train, |f: &Path| {
            ImageFile::held_out(f).map(Option::unwrap)
        }] {
            let refused = open(nothing.path()).unwrap_err();
            assert!(refused.cause.contains(dataset::FILE), "{refused:?}");
        }
    }
}
