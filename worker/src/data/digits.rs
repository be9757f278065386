//! The embedded UCI handwritten digits (digits/README.md).

use std::io::Read as _;

use ablate_proto::failure::Failure;
use ablate_proto::stage::{DIGITS_COUNT, DIGITS_DIGEST};
use flate2::read::GzDecoder;

const PACKED: &[u8] = include_bytes!("digits/digits.bin.gz");

/// Side of an image.
pub(crate) const SIDE: usize = 8;

/// Largest pixel value.
const MAX: u8 = 16;

/// Pixels in [−1, 1], `[1797, 1, 8, 8]`, and the labels.
pub(crate) struct Digits {
    pub(crate) pixels: Vec<f32>,
    pub(crate) labels: Vec<u8>,
}

/// Unpacks the digits.
///
/// # Errors
/// When the embedded bytes are not those of the digest in the contract.
pub(crate) fn load() -> Result<Digits, Failure> {
    let mut bytes = Vec::new();
    GzDecoder::new(PACKED)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::data(format!("unpacking the embedded digits: {e}")))?;
    let digest = blake3::hash(&bytes).to_hex();
    if digest.as_str() != DIGITS_DIGEST {
        let why = format!("the embedded digits have digest {digest}, not {DIGITS_DIGEST}");
        return Err(Failure::data(why));
    }
    let (pixels, labels) = bytes.split_at(DIGITS_COUNT * SIDE * SIDE);
    let half = f32::from(MAX) / 2.0;
    Ok(Digits {
        pixels: pixels.iter().map(|v| f32::from(*v) / half - 1.0).collect(),
        labels: labels.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_contract() {
        let digits = load().unwrap();
        assert_eq!(digits.pixels.len(), DIGITS_COUNT * SIDE * SIDE);
        assert_eq!(digits.labels.len(), DIGITS_COUNT);
        assert!(digits.pixels.iter().all(|v| (-1.0..=1.0).contains(v)));
        assert!(digits.pixels.contains(&-1.0) && digits.pixels.contains(&1.0));
        assert!(digits.labels.iter().all(|l| *l < 10));
        assert_eq!(digits.labels[..5], [0, 1, 2, 3, 4]);
    }
}
