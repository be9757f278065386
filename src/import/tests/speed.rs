//! How fast images are imported, beside the decoder alone.

use std::time::Instant;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use object_store::local::LocalFileSystem;
use rayon::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::*;

const IMAGES: usize = 4000;
const SIDE: u16 = 256;

/// A photograph's sizes, about: smooth, with some noise.
fn write(path: &Path, seed: u64) {
    let mut state = seed + 1;
    let mut noise = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 60) as u8
    };
    let side = usize::from(SIDE);
    let pixels: Vec<u8> = (0..side * side * 3)
        .map(|i| {
            let (x, y) = (i / 3 % side, i / 3 / side);
            let wave = ((x * (i % 3 + 1) + y * 2 + seed as usize * 7) / 3 % 200) as u8;
            wave + noise()
        })
        .collect();
    let mut encoder = Encoder::new_file(path, 90).unwrap();
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.encode(&pixels, SIDE, SIDE, ColorType::Rgb).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; run it with --ignored --nocapture"]
async fn images_are_imported_as_fast_as_they_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(format!("{n}.jpg"));
    (0..IMAGES)
        .into_par_iter()
        .for_each(|n| write(&path(n), n as u64));
    let bytes: u64 = (0..IMAGES)
        .map(|n| std::fs::metadata(path(n)).unwrap().len())
        .sum();
    let say = |what: &str, begun: Instant| {
        let rate = IMAGES as f64 / begun.elapsed().as_secs_f64();
        eprintln!(
            "{what}: {rate:.0} images of {} bytes a second",
            bytes / IMAGES as u64
        );
    };
    let begun = Instant::now();
    (0..IMAGES).into_par_iter().for_each(|n| {
        let content = std::fs::read(path(n)).unwrap();
        let pixels = JpegDecoder::new(ZCursor::new(&content[..]))
            .decode()
            .unwrap();
        assert_eq!(pixels.len(), usize::from(SIDE) * usize::from(SIDE) * 3);
    });
    say("decoder alone", begun);
    for size in [256, 64] {
        let place = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(place.path()).unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(store.with_fsync(true));
        let wanted = Wanted {
            size: Some(size),
            ..wanted(folder.path())
        };
        let begun = Instant::now();
        let imported = import(&store, wanted, Box::new(|_, _| ())).await.unwrap();
        say(&format!("imported at {size}"), begun);
        assert_eq!(imported.meta.description.images(Split::Train), IMAGES);
    }
}
