//! Named arrays in safetensors files, with a JSON header of their own under
//! one metadata key, so that equal contents have equal bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use ablate_proto::failure::Failure;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::nn::params::Values;

/// The metadata key of the header.
pub(super) const HEADER: &str = "ablate";

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{doing} {path}: {source}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} cannot be used: {why}")]
    Format { path: PathBuf, why: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { .. } => Self::transient(error.to_string()),
            Error::Format { .. } => Self::data(error.to_string()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U8(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

impl Array {
    pub(crate) fn f32(shape: &[usize], data: Vec<f32>) -> Self {
        Self {
            shape: shape.to_vec(),
            data: Data::F32(data),
        }
    }

    pub(crate) fn u32(shape: &[usize], data: Vec<u32>) -> Self {
        Self {
            shape: shape.to_vec(),
            data: Data::U32(data),
        }
    }

    pub(crate) fn i32(shape: &[usize], data: Vec<i32>) -> Self {
        Self {
            shape: shape.to_vec(),
            data: Data::I32(data),
        }
    }

    pub(crate) fn u8(shape: &[usize], data: Vec<u8>) -> Self {
        Self {
            shape: shape.to_vec(),
            data: Data::U8(data),
        }
    }

    fn bytes(&self) -> (Dtype, Cow<'_, [u8]>) {
        match &self.data {
            Data::F32(v) => (Dtype::F32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::U32(v) => (Dtype::U32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::I32(v) => (Dtype::I32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::U8(v) => (Dtype::U8, Cow::Borrowed(v)),
        }
    }

    fn parse(view: &TensorView<'_>) -> Option<Self> {
        if view.dtype() == Dtype::U8 {
            return Some(Self::u8(view.shape(), view.data().to_vec()));
        }
        let (words, rest) = view.data().as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        let data = match view.dtype() {
            Dtype::F32 => Data::F32(words.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            Dtype::U32 => Data::U32(words.iter().map(|b| u32::from_le_bytes(*b)).collect()),
            Dtype::I32 => Data::I32(words.iter().map(|b| i32::from_le_bytes(*b)).collect()),
            _ => return None,
        };
        Some(Self {
            shape: view.shape().to_vec(),
            data,
        })
    }
}

/// The arrays of a file. What is taken must be what is expected; `finish`
/// refuses what is left over.
#[derive(Debug)]
pub(crate) struct Arrays {
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
}

/// The bytes of a file of arrays.
///
/// # Errors
/// When a shape does not fit its data.
pub(crate) fn to_bytes<H: Serialize>(
    path: &Path,
    header: &H,
    arrays: &BTreeMap<String, Array>,
) -> Result<Vec<u8>, Error> {
    let format = |why: String| Error::Format {
        path: path.to_owned(),
        why,
    };
    let header = serde_json::to_string(header).map_err(|e| format(e.to_string()))?;
    let bytes: Vec<_> = arrays
        .iter()
        .map(|(name, a)| (name, a, a.bytes()))
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, array, (dtype, bytes)) in &bytes {
        let view = TensorView::new(*dtype, array.shape.clone(), bytes);
        views.push((*name, view.map_err(|e| format(format!("{name}: {e}")))?));
    }
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| format(e.to_string()))
}

/// Writes a file of arrays.
///
/// # Errors
/// When the file cannot be written or a shape does not fit its data.
pub(crate) fn write<H: Serialize>(
    path: &Path,
    header: &H,
    arrays: &BTreeMap<String, Array>,
) -> Result<(), Error> {
    let bytes = to_bytes(path, header, arrays)?;
    std::fs::write(path, bytes).map_err(|source| Error::Io {
        doing: "writing",
        path: path.to_owned(),
        source,
    })
}

/// Reads a file of arrays and its header.
///
/// # Errors
/// When it cannot be read, is not of the format, or has another header.
pub(crate) fn read<H: DeserializeOwned>(path: &Path) -> Result<(H, Arrays), Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        doing: "reading",
        path: path.to_owned(),
        source,
    })?;
    from_bytes(path, &bytes)
}

/// Reads the bytes of a file of arrays; `path` is for messages.
///
/// # Errors
/// When they are not of the format, or have another header.
pub(crate) fn from_bytes<H: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<(H, Arrays), Error> {
    let path = path.to_owned();
    match parse(bytes) {
        Ok((header, arrays)) => Ok((header, Arrays { path, arrays })),
        Err(why) => Err(Error::Format { path, why }),
    }
}

fn parse<H: DeserializeOwned>(bytes: &[u8]) -> Result<(H, BTreeMap<String, Array>), String> {
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let damaged = |e| format!("it is cut short or damaged ({e})");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get(HEADER));
    let header = header.ok_or("it has no header of ours")?;
    let header = serde_json::from_str(header).map_err(|e| format!("its header: {e}"))?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut arrays = BTreeMap::new();
    for (name, view) in file.iter() {
        let array = Array::parse(&view)
            .ok_or_else(|| format!("{name} has the unknown type {:?}", view.dtype()))?;
        arrays.insert(name.to_owned(), array);
    }
    Ok((header, arrays))
}

impl Arrays {
    pub(crate) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Format {
            path: self.path.clone(),
            why: why.into(),
        }
    }

    fn take(&mut self, name: &str) -> Result<Array, Error> {
        let array = self.arrays.remove(name);
        array.ok_or_else(|| self.wrong(format!("it has no {name}")))
    }

    /// An array of floats of rank `R`, with its shape.
    pub(crate) fn f32<const R: usize>(
        &mut self,
        name: &str,
    ) -> Result<([usize; R], Vec<f32>), Error> {
        match self.take(name)? {
            Array {
                shape,
                data: Data::F32(data),
            } => Ok((self.rank(name, &shape)?, data)),
            _ => Err(self.wrong(format!("{name} is not of type F32"))),
        }
    }

    pub(crate) fn u32<const R: usize>(
        &mut self,
        name: &str,
    ) -> Result<([usize; R], Vec<u32>), Error> {
        match self.take(name)? {
            Array {
                shape,
                data: Data::U32(data),
            } => Ok((self.rank(name, &shape)?, data)),
            _ => Err(self.wrong(format!("{name} is not of type U32"))),
        }
    }

    pub(crate) fn i32<const R: usize>(
        &mut self,
        name: &str,
    ) -> Result<([usize; R], Vec<i32>), Error> {
        match self.take(name)? {
            Array {
                shape,
                data: Data::I32(data),
            } => Ok((self.rank(name, &shape)?, data)),
            _ => Err(self.wrong(format!("{name} is not of type I32"))),
        }
    }

    pub(crate) fn u8<const R: usize>(
        &mut self,
        name: &str,
    ) -> Result<([usize; R], Vec<u8>), Error> {
        match self.take(name)? {
            Array {
                shape,
                data: Data::U8(data),
            } => Ok((self.rank(name, &shape)?, data)),
            _ => Err(self.wrong(format!("{name} is not of type U8"))),
        }
    }

    /// Whether an array is of type U8.
    pub(crate) fn holds_bytes(&self, name: &str) -> bool {
        let array = self.arrays.get(name);
        array.is_some_and(|array| matches!(array.data, Data::U8(_)))
    }

    fn rank<const R: usize>(&self, name: &str, shape: &[usize]) -> Result<[usize; R], Error> {
        <[usize; R]>::try_from(shape)
            .map_err(|_| self.wrong(format!("{name} has shape {shape:?}, not rank {R}")))
    }

    /// Parameters with exactly these shapes, all of them finite.
    pub(crate) fn parameters(
        &mut self,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<BTreeMap<String, Values>, Error> {
        let mut out = BTreeMap::new();
        for (name, expected) in shapes {
            let Array { shape, data } = self.take(name)?;
            let Data::F32(data) = data else {
                return Err(self.wrong(format!("{name} is not of type F32")));
            };
            if shape != *expected {
                let why = format!("{name} has shape {shape:?}, but {expected:?} is expected");
                return Err(self.wrong(why));
            }
            if let Some(value) = data.iter().find(|value| !value.is_finite()) {
                let why = format!("{name} holds {value}: its training went astray");
                return Err(self.wrong(why));
            }
            out.insert(name.clone(), Values { shape, data });
        }
        Ok(out)
    }

    /// Refuses arrays that nothing took.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.arrays.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.wrong(format!("it has an unexpected {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BTreeMap<String, Array> {
        BTreeMap::from([
            ("a".to_owned(), Array::f32(&[2, 1], vec![1.5, -2.0])),
            ("b".to_owned(), Array::i32(&[1], vec![-1])),
        ])
    }

    #[test]
    fn files_round_trip_and_equal_contents_have_equal_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        write(&path, &7, &sample()).unwrap();
        let (header, mut arrays) = read::<u32>(&path).unwrap();
        assert_eq!(header, 7);
        assert_eq!(arrays.f32("a").unwrap(), ([2, 1], vec![1.5, -2.0]));
        assert_eq!(arrays.i32("b").unwrap(), ([1], vec![-1]));
        arrays.finish().unwrap();
        assert_eq!(
            to_bytes(&path, &7, &sample()).unwrap(),
            std::fs::read(&path).unwrap()
        );
    }

    #[test]
    fn what_is_not_as_expected_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        write(&path, &7, &sample()).unwrap();
        assert!(matches!(read::<String>(&path), Err(Error::Format { .. })));
        let (_, mut arrays) = read::<u32>(&path).unwrap();
        assert!(arrays.f32::<2>("b").is_err(), "another type");
        assert!(arrays.f32::<1>("a").is_err(), "another rank");
        assert!(arrays.f32::<1>("c").is_err(), "absent");
        let (_, arrays) = read::<u32>(&path).unwrap();
        assert!(arrays.finish().is_err(), "left over");
        std::fs::write(&path, b"not a model").unwrap();
        assert!(matches!(read::<u32>(&path), Err(Error::Format { .. })));
    }
}
