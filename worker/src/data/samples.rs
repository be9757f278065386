//! The artefact of `sample`, `samples.safetensors`: `images` `[n, c, h, w]` in
//! [−1, 1] and the `tokens` `[n, side, side]` they were decoded from.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::{Deserialize, Serialize};

use super::arrays::{self, Array};
use super::images::Images;
use super::tokens::Tokens;

pub(crate) const FILE: &str = "samples.safetensors";

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    bits: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    pub(crate) images: Images,
    pub(crate) tokens: Tokens,
}

impl Samples {
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let (images, tokens) = (&self.images, &self.tokens);
        let arrays = BTreeMap::from([
            (
                "images".to_owned(),
                Array::f32(&images.shape(), images.data.clone()),
            ),
            (
                "tokens".to_owned(),
                Array::u32(&tokens.shape(), tokens.data.clone()),
            ),
        ]);
        let header = Header { bits: tokens.bits };
        Ok(arrays::write(&folder.join(FILE), &header, &arrays)?)
    }

    /// # Errors
    /// When the file is absent or broken.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let (header, mut file) = arrays::read::<Header>(&folder.join(FILE))?;
        let ([n, channels, h, w], images) = file.f32("images")?;
        let ([grids, side, width], tokens) = file.u32("tokens")?;
        if n == 0 || grids != n || side != width {
            return Err(file
                .wrong("its images and tokens do not belong together")
                .into());
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
            tokens: Tokens {
                n,
                side,
                bits: header.bits,
                data: tokens,
            },
        })
    }
}
