//! Token grids (science.md §1, Token): the signs of a site's latents packed
//! LSB-first, t = Σ_k 2^k·[b_k > 0], and the artefact that holds those of the
//! training images, `codes.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use serde::{Deserialize, Serialize};

use super::arrays::{self, Array};
use crate::models::autoencoder::Latents;

pub(crate) const FILE: &str = "codes.safetensors";

/// Token grids of square latents, row by row, `[n, side, side]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) n: usize,
    pub(crate) side: usize,
    /// NoD, bits per token: 1 to 32.
    pub(crate) bits: usize,
    pub(crate) data: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    bits: usize,
}

impl Tokens {
    /// Bits that a token can have.
    pub(crate) const BITS_MAX: usize = 32;

    pub(crate) fn sites(&self) -> usize {
        self.side * self.side
    }

    pub(crate) fn shape(&self) -> [usize; 3] {
        [self.n, self.side, self.side]
    }

    pub(crate) fn grids(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.data.chunks_exact(self.sites().max(1))
    }

    /// Packs the signs of latents (z ≥ 0 is a one).
    pub(crate) fn pack(latents: &Latents) -> Self {
        let pack = |site: &[f32]| {
            let bits = site.iter().enumerate();
            bits.fold(0u32, |token, (k, z)| token | (u32::from(*z >= 0.0) << k))
        };
        Self {
            n: latents.n,
            side: latents.side,
            bits: latents.channels,
            data: latents
                .data
                .chunks_exact(latents.channels)
                .map(pack)
                .collect(),
        }
    }

    /// The ±1 latents of the tokens.
    pub(crate) fn unpack(&self) -> Latents {
        let mut data = Vec::with_capacity(self.data.len() * self.bits);
        data.extend(self.data.iter().flat_map(|t| signs(*t, self.bits)));
        Latents {
            n: self.n,
            side: self.side,
            channels: self.bits,
            data,
        }
    }

    /// Sorted distinct tokens: the dense id of a token is its place.
    pub(crate) fn codebook(&self) -> Vec<u32> {
        let mut book = self.data.clone();
        book.sort_unstable();
        book.dedup();
        book
    }

    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let tokens = Array::u32(&self.shape(), self.data.clone());
        let arrays = BTreeMap::from([("tokens".to_owned(), tokens)]);
        let header = Header { bits: self.bits };
        Ok(arrays::write(&folder.join(FILE), &header, &arrays)?)
    }

    /// # Errors
    /// When the file is absent or broken.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let (header, mut arrays) = arrays::read::<Header>(&folder.join(FILE))?;
        let ([n, side, width], data) = arrays.u32("tokens")?;
        let bits = header.bits;
        let fits = |t: &u32| bits == 32 || *t < 1 << bits;
        if side != width || n == 0 || !(1..=32).contains(&bits) || !data.iter().all(fits) {
            let why = format!("its tokens are not square grids of {bits} bits");
            return Err(arrays.wrong(why).into());
        }
        arrays.finish()?;
        Ok(Self {
            n,
            side,
            bits,
            data,
        })
    }
}

/// The bits of a token as ±1, least significant first.
pub(crate) fn signs(token: u32, bits: usize) -> impl Iterator<Item = f32> {
    (0..bits).map(move |k| if token >> k & 1 == 1 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_are_packed_least_significant_first() {
        let latents = Latents {
            n: 1,
            side: 1,
            channels: 4,
            data: vec![0.2, -0.3, 0.0, -1.0],
        };
        assert_eq!(Tokens::pack(&latents).data, [0b0101]);
    }

    proptest! {
        #[test]
        fn packing_undoes_unpacking(bits in 1usize..=32, seed: [u32; 8]) {
            let mask = if bits == 32 { u32::MAX } else { (1 << bits) - 1 };
            let data = seed.map(|t| t & mask).to_vec();
            let tokens = Tokens { n: 2, side: 2, bits, data };
            let latents = tokens.unpack();
            prop_assert_eq!(&Tokens::pack(&latents), &tokens);
            prop_assert_eq!(latents.binarised(), latents);
            let folder = tempfile::tempdir().unwrap();
            tokens.write(folder.path()).unwrap();
            prop_assert_eq!(Tokens::read(folder.path()).unwrap(), tokens);
        }
    }
}
