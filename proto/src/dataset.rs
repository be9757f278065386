//! Imported data sets: what lies in the store of one, and its identity.
//!
//! Pixels are packed into shards, each of images of one split that follow each
//! other: their pixels, `[n, c, h, w]` u8, then their labels, `[n]` u32,
//! little-endian. Shards are named by the blake3 of their bytes. The digest of
//! a data set covers shape, labels and every pixel, but not how it is cut into
//! shards, what it is called, or where it came from.

use serde::{Deserialize, Serialize};

/// Of `meta.json` and of names.
pub const DATASET_VERSION: u32 = 1;

/// Largest object that says what a name stands for.
pub const MAX_NAMED_BYTES: u64 = 64 << 10;
/// Largest `meta.json`, in bytes.
pub const MAX_META_BYTES: u64 = 64 << 20;
/// Largest shard, in bytes.
pub const MAX_SHARD_BYTES: u64 = 1 << 30;
/// Most elements of an image.
const MAX_IMAGE: usize = 1 << 26;
const MAX_NAME: usize = 60;

/// The data set that every worker has in itself.
pub const DIGITS: &str = "digits";

/// A part of a data set that its source keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Test,
}

/// What a data set is, whatever it is cut into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub version: u32,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub train: Content,
    /// None, or at least one image.
    pub test: Option<Content>,
    /// Names of the labels 0, 1, …; empty where the source has none.
    pub labels: Vec<String>,
}

/// The images of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    pub images: u64,
    /// blake3 over each image's pixels and then its label (u32 LE), in order.
    pub blake3: String,
}

/// `meta.json` of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the description.
    pub digest: String,
    #[serde(flatten)]
    pub description: Description,
    /// In the order of the images; those of `train` first.
    pub shards: Vec<Shard>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    pub split: Split,
    pub images: u64,
    pub bytes: u64,
    pub blake3: String,
}

/// Where a data set came from, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    pub format: String,
    pub path: String,
    /// What was done to the images.
    pub changes: String,
    /// How many could not be read.
    pub broken: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub version: u32,
    pub name: String,
    pub digest: String,
}

impl Description {
    /// Elements of an image, which are bytes.
    pub fn image_bytes(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The identity of the data set: blake3 over the description as JSON.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self);
        let json = json.unwrap_or_else(|e| unreachable!("a description serialises: {e}"));
        let mut hasher = blake3::Hasher::new_derive_key("ablate data set v1");
        hasher.update(&json);
        hasher.finalize().to_hex().to_string()
    }

    pub fn images(&self, split: Split) -> usize {
        let images = match split {
            Split::Train => self.train.images,
            Split::Test => self.test.as_ref().map_or(0, |test| test.images),
        };
        // `Meta::check` has seen that it fits.
        usize::try_from(images).unwrap_or(usize::MAX)
    }
}

impl Meta {
    /// Reads `meta.json` of the data set with this digest.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(digest: &str, json: &[u8]) -> Result<Self, String> {
        let meta: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        meta.check()?;
        if meta.digest != digest {
            return Err(format!("it describes the data set {}", short(&meta.digest)));
        }
        Ok(meta)
    }

    fn check(&self) -> Result<(), String> {
        let known = &self.description;
        if known.version != DATASET_VERSION {
            let version = known.version;
            return Err(format!(
                "it has format {version}, and this release reads {DATASET_VERSION}"
            ));
        }
        let (c, h, w) = (known.channels, known.height, known.width);
        let size = c.checked_mul(h).and_then(|n| n.checked_mul(w));
        let size = size.filter(|size| (1..=MAX_IMAGE).contains(size));
        let size = size.ok_or_else(|| format!("it claims images of {c}×{h}×{w}"))? as u64;
        for shard in &self.shards {
            let bytes = (size + 4).checked_mul(shard.images);
            if bytes != Some(shard.bytes) || shard.bytes > MAX_SHARD_BYTES || shard.images == 0 {
                let (images, bytes) = (shard.images, shard.bytes);
                return Err(format!(
                    "a shard of {images} images claims to have {bytes} bytes"
                ));
            }
            if !is_digest(&shard.blake3) {
                return Err("a shard is not named by a blake3 digest".to_owned());
            }
        }
        for split in [Split::Train, Split::Test] {
            let shards = self.shards.iter().filter(|shard| shard.split == split);
            let images: u64 = shards.map(|shard| shard.images).sum();
            if images != known.images(split) as u64 {
                return Err(format!("its shards hold {images} images of {split:?}"));
            }
        }
        if !self.shards.is_sorted_by_key(|shard| shard.split) || known.train.images == 0 {
            return Err("it has no training images, or not in front".to_owned());
        }
        if known.digest() != self.digest {
            return Err("its digest is not that of what it describes".to_owned());
        }
        Ok(())
    }
}

/// The beginning of a digest, as people are shown it.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A blake3 digest in hex, as it is written here.
pub fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == 64 && text.bytes().all(hex)
}

/// Whether a data set can be called so: letters, digits, `-`, `_`, `.`, not
/// starting with `.`.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}

/// Where the well-known data sets are found, by how their names begin.
const SITES: &[(&str, &str)] = &[
    (
        "fashionmnist",
        "github.com/zalandoresearch/fashion-mnist (the four IDX files)",
    ),
    ("mnist", "yann.lecun.com/exdb/mnist (the four IDX files)"),
    (
        "cifar10",
        "www.cs.toronto.edu/~kriz/cifar.html (\"binary version\")",
    ),
    ("imagenet", "www.image-net.org (after signing up there)"),
    (
        "celebahq",
        "github.com/tkarras/progressive_growing_of_gans (CelebA-HQ)",
    ),
    ("lsun", "www.yf.io/p/lsun (exported as image files)"),
];

/// What to do about a data set that a store does not have, in one sentence.
pub fn how_to_get(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let site = SITES.iter().find(|(begin, _)| plain.starts_with(begin));
    let get = match site {
        Some((_, site)) => format!("get it from {site} and import it"),
        None => "import it".to_owned(),
    };
    format!("the data set `{name}` is not in the store; {get}: ablate data import {name} PATH")
}

#[cfg(test)]
mod tests;
