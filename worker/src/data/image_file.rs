//! The training images of a dataset, or samples, read a few at a time.

use std::ops::Range;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::de::IgnoredAny;

use super::images::Images;
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
    /// Opens what a `dataset` or a stage that draws left in `folder`.
    ///
    /// # Errors
    /// When it is neither, is damaged, or has no images.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let data = folder.join(dataset::FILE);
        let (path, name, drawn) = match data.exists() {
            true => (data, dataset::TRAIN, false),
            false => (folder.join(samples::FILE), samples::IMAGES, true),
        };
        let (_, file) = RowFile::open::<IgnoredAny>(&path)?;
        let found = file.find(name)?;
        let (array, shape) = found.ok_or_else(|| file.wrong(format!("it has no {name}")))?;
        if shape.contains(&0) {
            return Err(file.wrong("it has no images").into());
        }
        Ok(Self {
            file,
            name,
            array,
            shape,
            drawn,
        })
    }

    pub(crate) fn n(&self) -> usize {
        self.shape[0]
    }

    /// # Errors
    /// When there are no such images, or some of a dataset are not in [−1, 1].
    pub(crate) fn read(&self, images: Range<usize>) -> Result<Images, Failure> {
        let n = images.len();
        let data = if self.file.holds_bytes(self.array) {
            dataset::widened(&self.file.u8(self.array, images)?)
        } else {
            self.file.f32(self.array, images)?
        };
        if !self.drawn {
            let checked = dataset::check_pixels(self.name, &data);
            checked.map_err(|why| self.file.wrong(why))?;
        }
        let [_, channels, h, w] = self.shape;
        Ok(Images {
            n,
            channels,
            h,
            w,
            data,
        })
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
        dataset::write(&DatasetSpec::default(), None, digits).unwrap();
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
            assert_eq!(file.read(2..7).unwrap(), whole.range(2..7));
            assert!(file.read(whole.n..whole.n + 1).is_err());
        }
        let nothing = tempfile::tempdir().unwrap();
        let refused = ImageFile::open(nothing.path()).unwrap_err();
        assert!(refused.cause.contains(samples::FILE), "{refused:?}");
    }
}
