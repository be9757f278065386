//! Packs images into shards, and takes the digests of their content.

use ablate_proto::dataset::{Content, Split};
use bytes::Bytes;
use tokio::sync::mpsc;

/// A shard on its way to the store.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) split: Split,
    pub(super) images: u64,
    pub(super) bytes: Bytes,
}

/// What all images amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) train: Content,
    pub(super) test: Option<Content>,
}

pub(super) struct Packer {
    /// Bytes of an image.
    size: usize,
    /// Most images of a shard.
    most: usize,
    split: Split,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    train: Hash,
    test: Hash,
    shards: mpsc::Sender<Packed>,
}

#[derive(Default)]
struct Hash {
    images: u64,
    hasher: blake3::Hasher,
}

impl Hash {
    fn content(&self) -> Content {
        Content {
            images: self.images,
            blake3: self.hasher.finalize().to_hex().to_string(),
        }
    }
}

impl Packer {
    /// Shards of `shard_bytes` about, at least of one image.
    pub(super) fn new(size: usize, shard_bytes: usize, shards: mpsc::Sender<Packed>) -> Self {
        Self {
            size,
            most: (shard_bytes / (size + 4)).max(1),
            split: Split::Train,
            pixels: Vec::new(),
            labels: Vec::new(),
            train: Hash::default(),
            test: Hash::default(),
            shards,
        }
    }

    /// Adds an image; those of `Train` come first.
    ///
    /// # Errors
    /// Nobody takes shards any more, or the image is of another size.
    pub(super) fn push(&mut self, split: Split, pixels: &[u8], label: u32) -> Result<(), String> {
        if pixels.len() != self.size || split < self.split {
            let (got, size) = (pixels.len(), self.size);
            return Err(format!("an image of {got} bytes where {size} are expected"));
        }
        if split != self.split {
            self.flush()?;
            self.split = split;
        }
        let hash = match split {
            Split::Train => &mut self.train,
            Split::Test => &mut self.test,
        };
        hash.images += 1;
        hash.hasher.update(pixels);
        hash.hasher.update(&label.to_le_bytes());
        self.pixels.extend_from_slice(pixels);
        self.labels.extend_from_slice(&label.to_le_bytes());
        if self.labels.len() == 4 * self.most {
            self.flush()?;
        }
        Ok(())
    }

    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(mut self) -> Result<Contents, String> {
        self.flush()?;
        Ok(Contents {
            train: self.train.content(),
            test: (self.test.images > 0).then(|| self.test.content()),
        })
    }

    fn flush(&mut self) -> Result<(), String> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.pixels);
        let images = self.labels.len() / 4;
        bytes.append(&mut self.labels);
        let packed = Packed {
            split: self.split,
            images: images as u64,
            bytes: bytes.into(),
        };
        let sent = self.shards.blocking_send(packed);
        sent.map_err(|_| "storing its shards has failed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(shard_bytes: usize) -> (Contents, Vec<Packed>) {
        let (sender, mut receiver) = mpsc::channel(100);
        let mut packer = Packer::new(3, shard_bytes, sender);
        for n in 0..10u8 {
            let split = if n < 7 { Split::Train } else { Split::Test };
            packer.push(split, &[n; 3], n.into()).unwrap();
        }
        let contents = packer.finish().unwrap();
        let shards = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        (contents, shards)
    }

    #[test]
    fn the_content_is_the_same_however_it_is_cut() {
        let (whole, shards) = packed(1 << 20);
        assert_eq!(shards.len(), 2);
        assert_eq!(shards[1].bytes[..9], [7, 7, 7, 8, 8, 8, 9, 9, 9]);
        assert_eq!(shards[1].bytes[9..13], 7u32.to_le_bytes());
        let (cut, shards) = packed(15);
        assert_eq!((cut, shards.len()), (whole.clone(), 6));
        assert_eq!(packed(0).0, whole);
        assert_eq!((whole.train.images, whole.test.unwrap().images), (7, 3));
    }
}
