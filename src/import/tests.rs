//! Files in each format, whole and broken, and what becomes of them.

mod broken;
mod files;
mod speed;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

pub(super) fn wanted(path: &Path) -> Wanted {
    Wanted {
        name: "mine".to_owned(),
        path: path.to_owned(),
        size: None,
        limit: None,
        seed: 0,
        threads: 0,
        replace: false,
    }
}

/// All images of what lies at a path, without a store.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) meta: Meta,
    pub(super) images: Vec<(Split, Vec<u8>, u32)>,
    pub(super) broken: Vec<String>,
    pub(super) left_out: u64,
}

pub(super) fn take(wanted: &Wanted) -> Result<Taken, String> {
    let (sender, mut receiver) = mpsc::channel(1000);
    let progress: Progress = Box::new(|done, of| assert!(done <= of));
    let read = read(wanted, sender, &progress);
    let (shape, contents, losses) = read.map_err(|e| e.to_string())?;
    let size = shape.channels * shape.height * shape.width;
    let mut images = Vec::new();
    let mut shards = Vec::new();
    while let Ok(packed) = receiver.try_recv() {
        let n = usize::try_from(packed.images).unwrap();
        for i in 0..n {
            let label = &packed.bytes[n * size + 4 * i..][..4];
            let label = u32::from_le_bytes(label.try_into().unwrap());
            let pixels = packed.bytes[i * size..(i + 1) * size].to_vec();
            images.push((packed.split, pixels, label));
        }
        shards.push(Shard {
            split: packed.split,
            images: packed.images,
            bytes: packed.bytes.len() as u64,
            blake3: blake3::hash(&packed.bytes).to_hex().to_string(),
        });
    }
    let meta = meta(&wanted.path, shape, contents, shards, losses.count);
    let json = serde_json::to_vec(&meta).unwrap();
    Meta::parse(&meta.digest, &json).unwrap();
    Ok(Taken {
        meta,
        images,
        broken: losses.broken,
        left_out: losses.left_out,
    })
}

#[test]
fn idx_files_are_read_plain_and_packed_and_are_the_same() {
    let plain = tempfile::tempdir().unwrap();
    files::idx(plain.path(), 30, 10, false);
    let taken = take(&wanted(plain.path())).unwrap();
    let known = &taken.meta.description;
    assert_eq!((known.channels, known.height, known.width), (1, 4, 5));
    assert_eq!(
        (known.images(Split::Train), known.images(Split::Test)),
        (30, 10)
    );
    assert_eq!(known.labels.len(), 10);
    let (split, pixels, label) = &taken.images[13];
    assert_eq!(
        (*split, &pixels[..3], *label),
        (Split::Train, &[13, 14, 15][..], 3)
    );
    let (split, pixels, _) = &taken.images[31];
    assert_eq!((*split, pixels[0]), (Split::Test, 101));
    let packed = tempfile::tempdir().unwrap();
    let inner = packed.path().join("raw");
    std::fs::create_dir(&inner).unwrap();
    files::idx(&inner, 30, 10, true);
    let again = take(&wanted(packed.path())).unwrap();
    assert_eq!(again.meta.digest, taken.meta.digest);
}

#[test]
fn cifar_is_read_from_its_folder_and_from_its_archive_and_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    files::cifar(folder.path());
    let taken = take(&wanted(folder.path())).unwrap();
    let known = &taken.meta.description;
    assert_eq!((known.channels, known.height, known.width), (3, 32, 32));
    assert_eq!(
        (known.images(Split::Train), known.images(Split::Test)),
        (12, 3)
    );
    assert_eq!(known.labels[9], "truck");
    // The second image of the second batch.
    let (_, pixels, label) = &taken.images[7];
    assert_eq!((pixels[0], pixels[1024], *label), (21, 22, 1));
    for gzip in [false, true] {
        let archive = folder.path().join(if gzip { "c.tar.gz" } else { "c.tar" });
        files::cifar_archive(&archive, gzip);
        let again = take(&wanted(&archive)).unwrap();
        assert_eq!(again.meta.digest, taken.meta.digest);
    }
    let few = Wanted {
        limit: Some(5),
        ..wanted(folder.path())
    };
    let few = take(&few).unwrap();
    assert_eq!(few.images.len(), 5 + 3);
    assert!(few.images.iter().all(|image| taken.images.contains(image)));
}

#[test]
fn folders_of_images_become_squares_with_labels() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    files::jpeg(&root.join("cats/a.jpg"), 40, 20, [200, 30, 30]);
    files::jpeg(&root.join("cats/more/b.JPEG"), 16, 16, [30, 200, 30]);
    files::png(&root.join("dogs/c.png"), 20, 60, [30, 30, 200]);
    files::webp(&root.join("dogs/d.webp"), 16, 16, [90, 90, 90]);
    files::grey(&root.join("dogs/e.png"), 77);
    files::alpha(&root.join("dogs/f.png"), [10, 20, 30, 0]);
    files::cmyk(&root.join("dogs/g.jpg"));
    files::grey_jpeg(&root.join("dogs/h.jpg"), 150);
    std::fs::write(root.join("readme.txt"), "no image").unwrap();
    std::fs::write(root.join("cats/._a.jpg"), "not one either").unwrap();
    let wanted = Wanted {
        size: Some(16),
        ..wanted(root)
    };
    let taken = take(&wanted).unwrap();
    assert_eq!(taken.meta.description.labels, ["cats", "dogs"]);
    assert_eq!((taken.images.len(), taken.left_out), (8, 2));
    let labels: Vec<u32> = taken.images.iter().map(|(_, _, label)| *label).collect();
    assert_eq!(labels, [0, 0, 1, 1, 1, 1, 1, 1]);
    let middle = |image: usize| {
        let pixels = &taken.images[image].1;
        [0, 1, 2].map(|channel| pixels[channel * 256 + 8 * 16 + 8])
    };
    let close = |image, expected: [u8; 3]| {
        let near = |(a, b): (u8, u8)| a.abs_diff(b) < 6;
        let got = middle(image);
        assert!(got.into_iter().zip(expected).all(near), "{image}: {got:?}");
    };
    close(0, [200, 30, 30]);
    close(1, [30, 200, 30]);
    close(2, [30, 30, 200]);
    close(3, [90, 90, 90]);
    close(4, [77, 77, 77]);
    close(5, [10, 20, 30]);
    // Half the ink of cyan on white.
    close(6, [127, 255, 255]);
    close(7, [150, 150, 150]);
}

#[test]
fn the_centre_is_what_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    // Columns 0 to 9 black, 10 to 19 white, 20 to 29 black.
    let row = (0..30).map(|x| if (10..20).contains(&x) { 255 } else { 0 });
    let pixels: Vec<u8> = row.cycle().take(300).collect();
    files::png_of(&path, 30, 10, png::ColorType::Grayscale, &pixels);
    let wanted = Wanted {
        size: Some(5),
        ..wanted(folder.path())
    };
    let taken = take(&wanted).unwrap();
    assert!(taken.images[0].1.iter().all(|pixel| *pixel == 255));
    assert!(taken.meta.description.labels.is_empty());
}

#[test]
fn threads_and_seeds_choose_as_they_should() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..60u8 {
        let path = folder.path().join(format!("{}/{n}.png", n % 3));
        files::png(&path, 12, 9, [n * 4, 255 - n, 7]);
    }
    let wanted = |limit, seed| Wanted {
        size: Some(8),
        limit,
        seed,
        ..wanted(folder.path())
    };
    let digest = |threads, wanted: &Wanted| {
        let wanted = Wanted {
            threads,
            ..wanted.clone()
        };
        take(&wanted).unwrap().meta.digest
    };
    let some = wanted(Some(20), 1);
    assert_eq!(digest(1, &some), digest(4, &some));
    assert_ne!(digest(1, &some), digest(1, &wanted(Some(20), 2)));
    let (few, more) = (take(&some).unwrap(), take(&wanted(Some(40), 1)).unwrap());
    assert_eq!(few.images[..], more.images[..20]);
    let distinct: BTreeMap<_, _> = more.images.iter().map(|(_, p, _)| (p, ())).collect();
    assert_eq!(distinct.len(), 40);
    // A limit that does not bind changes nothing.
    let all = take(&wanted(None, 0)).unwrap();
    assert_eq!(
        take(&wanted(Some(60), 5)).unwrap().meta.digest,
        all.meta.digest
    );
}
