//! The artefact of `sample` and `generate`, `samples.safetensors`: `images`
//! `[n, c, h, w]` in [−1, 1] and, if they were decoded from some, their
//! `tokens` `[n, side, side]`.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::{Deserialize, Serialize};

use super::arrays::{self, Array};
use super::images::Images;
use super::rows::RowFile;
use super::tokens::Tokens;

pub(crate) const FILE: &str = "samples.safetensors";
/// The array of the images.
pub(super) const IMAGES: &str = "images";
const TOKENS: &str = "tokens";
const UNRELATED: &str = "its images and tokens do not belong together";

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Of a token; 0 when there are none.
    bits: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    pub(crate) images: Images,
    pub(crate) tokens: Option<Tokens>,
}

impl Samples {
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let images = Array::f32(&self.images.shape(), self.images.data.clone());
        let mut arrays = BTreeMap::from([(IMAGES.to_owned(), images)]);
        let mut bits = 0;
        if let Some(tokens) = &self.tokens {
            let array = Array::u32(&tokens.shape(), tokens.data.clone());
            arrays.insert(TOKENS.to_owned(), array);
            bits = tokens.bits;
        }
        let header = Header { bits };
        Ok(arrays::write(&folder.join(FILE), &header, &arrays)?)
    }

    /// Adds the samples that come next.
    ///
    /// # Errors
    /// When they are of another size.
    pub(crate) fn append(&mut self, next: Self) -> Result<(), Failure> {
        let [shape, other] = [&*self, &next].map(|samples| {
            let of_tokens = |tokens: &Tokens| (tokens.side, tokens.bits);
            let [_, image @ ..] = samples.images.shape();
            (image, samples.tokens.as_ref().map(of_tokens))
        });
        if shape != other {
            let why = format!("samples of {shape:?} cannot be put together with some of {other:?}");
            return Err(Failure::config(why));
        }
        self.images.n += next.images.n;
        self.images.data.extend(next.images.data);
        if let (Some(tokens), Some(next)) = (&mut self.tokens, next.tokens) {
            tokens.n += next.n;
            tokens.data.extend(next.data);
        }
        Ok(())
    }

    /// The tokens alone, without a look at the images.
    ///
    /// # Errors
    /// When the file is absent or broken.
    pub(crate) fn tokens(folder: &Path) -> Result<Option<Tokens>, Failure> {
        let (Header { bits }, file) = RowFile::open(&folder.join(FILE))?;
        if bits == 0 {
            return Ok(None);
        }
        let images = file.find::<4>(IMAGES)?.map(|(_, [n, ..])| n);
        match file.find(TOKENS)? {
            Some((array, [n, side, width])) if Some(n) == images && side == width => {
                Ok(Some(Tokens {
                    n,
                    side,
                    bits,
                    data: file.u32(array, 0..n)?,
                }))
            }
            _ => Err(file.wrong(UNRELATED).into()),
        }
    }

    /// # Errors
    /// When the file is absent or broken.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let (header, mut file) = arrays::read::<Header>(&folder.join(FILE))?;
        let ([n, channels, h, w], images) = file.f32(IMAGES)?;
        let bits = header.bits;
        let tokens = match bits {
            0 => None,
            _ => {
                let ([grids, side, width], data) = file.u32(TOKENS)?;
                if grids != n || side != width {
                    return Err(file.wrong(UNRELATED).into());
                }
                Some(Tokens {
                    n,
                    side,
                    bits,
                    data,
                })
            }
        };
        if n == 0 {
            return Err(file.wrong("it has no images").into());
        }
        file.finish()?;
        Ok(Self {
            images: Images {
                n,
                channels,
                h,
                w,
                data: images,
            },
            tokens,
        })
    }
}
