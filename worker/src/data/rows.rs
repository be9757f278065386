//! Arrays of a safetensors file as rows along their first axis, written and
//! read a few at a time: what is too large to be in memory as a whole. The
//! files are those of `arrays`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arrays::{Error, HEADER};
use crate::weights::{SafeFile, TensorInfo, header};

/// A file of f32 arrays that is being written.
#[derive(Debug)]
pub(crate) struct RowWriter {
    path: PathBuf,
    file: File,
    arrays: Vec<Place>,
}

/// Where the next rows of an array go, and where it ends, in bytes.
#[derive(Debug)]
struct Place {
    next: u64,
    end: u64,
}

impl RowWriter {
    /// Begins a file of arrays with these names, sorted, and shapes
    /// `[rows, width]`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create<H: Serialize>(
        path: &Path,
        own: &H,
        arrays: &[(&str, [usize; 2])],
    ) -> Result<Self, Error> {
        let format = |why: String| Error::Format {
            path: path.to_owned(),
            why,
        };
        let own = serde_json::to_string(own).map_err(|e| format(e.to_string()))?;
        let tensor = |(name, shape): &(&str, [usize; 2])| TensorInfo {
            name: (*name).to_owned(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
        };
        let tensors: Vec<TensorInfo> = arrays.iter().map(tensor).collect();
        let header = header(BTreeMap::from([(HEADER.to_owned(), own)]), &tensors);
        let header = header.map_err(format)?;
        let mut end = 8 + header.len() as u64;
        let begun = || {
            let file = File::create(path)?;
            file.write_all_at(&(header.len() as u64).to_le_bytes(), 0)?;
            file.write_all_at(&header, 8)?;
            Ok(file)
        };
        let file = begun().map_err(io("writing", path))?;
        let place = |tensor: &TensorInfo| {
            let next = end;
            end += tensor.bytes() as u64;
            Place { next, end }
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            arrays: tensors.iter().map(place).collect(),
        })
    }

    /// Writes the next rows of the array of this number.
    ///
    /// # Errors
    /// When they cannot be written, or there are more than was said.
    pub(crate) fn push(&mut self, array: usize, rows: &[f32]) -> Result<(), Error> {
        let place = &mut self.arrays[array];
        let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
        let next = place.next + bytes.len() as u64;
        if next > place.end {
            return Err(self.uneven());
        }
        let written = self.file.write_all_at(&bytes, place.next);
        written.map_err(io("writing", &self.path))?;
        place.next = next;
        Ok(())
    }

    /// # Errors
    /// When there were fewer rows than was said.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.arrays.iter().all(|place| place.next == place.end) {
            true => Ok(()),
            false => Err(self.uneven()),
        }
    }

    fn uneven(&self) -> Error {
        Error::Format {
            path: self.path.clone(),
            why: "it was given other numbers of rows than its header has".to_owned(),
        }
    }
}

/// A file of arrays, of which the header alone is in memory.
#[derive(Debug)]
pub(crate) struct RowFile {
    path: PathBuf,
    file: SafeFile,
    tensors: Vec<TensorInfo>,
}

impl RowFile {
    /// Opens a file with a header of our own.
    ///
    /// # Errors
    /// When it cannot be read, is not of the format, or has another header.
    pub(crate) fn open<H: DeserializeOwned>(path: &Path) -> Result<(H, Self), Error> {
        let format = |why: String| Error::Format {
            path: path.to_owned(),
            why,
        };
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) = opened.map_err(io("reading", path))?;
        if length == 0 {
            return Err(format("it is empty".to_owned()));
        }
        let (file, tensors) = SafeFile::open(file, length).map_err(format)?;
        let own = file.metadata.get(HEADER);
        let own = own.ok_or_else(|| format("it has no header of ours".to_owned()))?;
        let own = serde_json::from_str(own).map_err(|e| format(format!("its header: {e}")))?;
        let path = path.to_owned();
        let file = Self {
            path,
            file,
            tensors,
        };
        Ok((own, file))
    }

    pub(crate) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Format {
            path: self.path.clone(),
            why: why.into(),
        }
    }

    /// The number and the shape of the array of a name, if there is one.
    ///
    /// # Errors
    /// When it has another rank.
    pub(crate) fn find<const R: usize>(
        &self,
        name: &str,
    ) -> Result<Option<(usize, [usize; R])>, Error> {
        let Some(array) = self.tensors.iter().position(|tensor| tensor.name == name) else {
            return Ok(None);
        };
        let shape = &self.tensors[array].shape;
        let known = <[usize; R]>::try_from(&shape[..]);
        let known =
            known.map_err(|_| self.wrong(format!("{name} has shape {shape:?}, not rank {R}")))?;
        Ok(Some((array, known)))
    }

    pub(crate) fn holds_bytes(&self, array: usize) -> bool {
        self.tensors[array].dtype == Dtype::U8
    }

    /// Some rows of the array of a number, one after another.
    ///
    /// # Errors
    /// When it is of another type, has no such rows, or cannot be read.
    pub(crate) fn f32(
        &self,
        array: usize,
        rows: std::ops::Range<usize>,
    ) -> Result<Vec<f32>, Error> {
        let bytes = self.part(array, Dtype::F32, rows)?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    /// The same of bytes.
    ///
    /// # Errors
    /// As [`Self::f32`].
    pub(crate) fn u8(&self, array: usize, rows: std::ops::Range<usize>) -> Result<Vec<u8>, Error> {
        self.part(array, Dtype::U8, rows)
    }

    /// The same of numbers.
    ///
    /// # Errors
    /// As [`Self::f32`].
    pub(crate) fn u32(
        &self,
        array: usize,
        rows: std::ops::Range<usize>,
    ) -> Result<Vec<u32>, Error> {
        let bytes = self.part(array, Dtype::U32, rows)?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }

    fn part(
        &self,
        array: usize,
        dtype: Dtype,
        rows: std::ops::Range<usize>,
    ) -> Result<Vec<u8>, Error> {
        let tensor = &self.tensors[array];
        if tensor.dtype != dtype {
            let (name, found) = (&tensor.name, tensor.dtype);
            return Err(self.wrong(format!("{name} is of type {found:?}, not {dtype:?}")));
        }
        let all = tensor.shape.first().copied().unwrap_or(1);
        let row = tensor.bytes() / all.max(1);
        let read = self.file.part(array, rows.start * row, rows.len() * row);
        read.map_err(io("reading", &self.path))
    }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::arrays::{self, Array};

    #[test]
    fn files_in_pieces_are_those_of_whole_arrays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let mut file = RowWriter::create(&path, &7, &[("a", [3, 2]), ("b", [2, 1])]).unwrap();
        file.push(0, &[1.0, 2.0]).unwrap();
        file.push(1, &[-1.0, -2.0]).unwrap();
        file.push(0, &[3.0, 4.0, 5.0, 6.0]).unwrap();
        file.finish().unwrap();
        let (header, mut whole) = arrays::read::<u32>(&path).unwrap();
        assert_eq!(header, 7);
        assert_eq!(whole.f32("b").unwrap(), ([2, 1], vec![-1.0, -2.0]));
        let all = (1u8..=6).map(f32::from).collect();
        assert_eq!(whole.f32("a").unwrap(), ([3, 2], all));
        whole.finish().unwrap();

        let (header, rows) = RowFile::open::<u32>(&path).unwrap();
        assert_eq!(header, 7);
        let (a, shape) = rows.find::<2>("a").unwrap().unwrap();
        assert_eq!(shape, [3, 2]);
        assert_eq!(rows.f32(a, 1..3).unwrap(), [3.0, 4.0, 5.0, 6.0]);
        assert!(rows.f32(a, 1..1).unwrap().is_empty());
        assert!(rows.f32(a, 2..4).is_err(), "past its end");
        assert!(rows.u8(a, 0..1).is_err(), "another type");
        assert!(rows.find::<3>("a").is_err(), "another rank");
        assert!(rows.find::<2>("c").unwrap().is_none());

        let bytes = BTreeMap::from([("u".to_owned(), Array::u8(&[2, 2], vec![1, 2, 3, 4]))]);
        arrays::write(&path, &7, &bytes).unwrap();
        let (_, rows) = RowFile::open::<u32>(&path).unwrap();
        let (u, [_, _]) = rows.find("u").unwrap().unwrap();
        assert!(rows.holds_bytes(u));
        assert_eq!(rows.u8(u, 1..2).unwrap(), [3, 4]);
    }

    #[test]
    fn other_numbers_of_rows_and_damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let begin = || RowWriter::create(&path, &7, &[("a", [2, 2])]).unwrap();
        let mut file = begin();
        file.push(0, &[0.0; 2]).unwrap();
        assert!(file.push(0, &[0.0; 4]).is_err(), "too many");
        assert!(file.finish().is_err(), "too few");
        let mut file = begin();
        file.push(0, &[0.0; 4]).unwrap();
        file.finish().unwrap();
        assert!(RowFile::open::<String>(&path).is_err(), "another header");
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let refused = RowFile::open::<u32>(&path).unwrap_err();
            assert!(matches!(refused, Error::Format { .. }), "{cut}: {refused}");
        }
    }
}
