//! Searching images and importing them: the nearest of 10,000 samples among
//! 50,000 images beside the most that the processor can multiply and add, and
//! the import of JPEG files beside the decoder alone.
//!
//! One JSON line a measure.
//! `cargo bench --workspace --profile dev --bench images [-- nearest import]`

#[path = "images/fma.rs"]
mod fma;
#[path = "measure.rs"]
#[expect(dead_code, reason = "the peers are those of other benchmarks")]
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use ablate_worker::bench::Search;
use measure::{Bar, median, print};
use rayon::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SAMPLES: usize = 10_000;
const AMONG: usize = 50_000;
const TURNS: usize = 5;
/// Share of the peak that the search is to reach.
const OF_PEAK: f64 = 0.5;

const FILES: usize = 2000;
const SIDE: u16 = 256;
const ROUNDS: usize = 3;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    eprintln!("{} threads", rayon::current_num_threads());
    if runs("nearest") {
        nearest();
    }
    if runs("import") {
        import();
    }
}

/// A fifth of the samples at a time, by turns with the loop of multiply-adds;
/// the medians count.
fn nearest() {
    let search = Search::new(SAMPLES / TURNS, AMONG);
    let (mut ours, mut peak) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for _ in 0..TURNS {
        peak.push(fma::peak());
        let start = Instant::now();
        let mean = search.run();
        ours.push(search.operations() / start.elapsed().as_secs_f64() / 1e9);
        assert!(mean > 0.0, "random images are no copies");
    }
    eprintln!(
        "{ours:.0?} and {peak:.0?} GFLOP/s in {:.0?}",
        start.elapsed()
    );
    let (ours, peak) = (median(ours), median(peak));
    let peer = format!("independent multiply-adds in f32, {}", fma::kind());
    let bar = Bar::least(&peer, peak, OF_PEAK * peak);
    let measure = "nearest of 10,000 among 50,000 images of 3×32×32";
    print(measure, "GFLOP/s", ours, &bar);
}

/// Takes turns; the median of the rounds counts.
fn import() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = folder.path().join("images");
    let bytes = write(&images);
    eprintln!("{FILES} files, {:.1} MB", bytes as f64 / 1e6);
    let (mut ours, mut decoder) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        let pixels = decode(&images);
        decoder.push(FILES as f64 / start.elapsed().as_secs_f64());
        assert_eq!(pixels, FILES * usize::from(SIDE) * usize::from(SIDE) * 3);
        let store = folder.path().join(format!("store-{round}"));
        let start = Instant::now();
        ablate(&images, &store);
        ours.push(FILES as f64 / start.elapsed().as_secs_f64());
        std::fs::remove_dir_all(store).expect("the store goes");
    }
    eprintln!("{ours:.0?} and {decoder:.0?} images/s");
    let (ours, decoder) = (median(ours), median(decoder));
    let bar = Bar::least("zune-jpeg, of the same files", decoder, decoder);
    print(
        "import of 256×256 JPEG into a folder",
        "images/s",
        ours,
        &bar,
    );
}

/// `ablate data import`, from start to end.
fn ablate(images: &Path, store: &Path) {
    let built = env!("CARGO_BIN_EXE_ablate").to_owned();
    let mut command = Command::new(std::env::var("ABLATE_BIN").unwrap_or(built));
    let run = command
        .args(["data", "import", "measured", "--size", &SIDE.to_string()])
        .arg("--store")
        .arg(store)
        .arg(images)
        .env("ABLATE_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("ablate starts");
    assert!(run.success(), "the import ended with {run}");
}

fn path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{index:05}.jpg"))
}

/// Files with waves and grain, about as large as photographs; returns their
/// bytes.
fn write(folder: &Path) -> u64 {
    std::fs::create_dir(folder).expect("a folder");
    let one = |index: usize| {
        let side = usize::from(SIDE);
        let mut grain = u32::try_from(index).expect("few files") ^ 0x9e37_79b9;
        let mut pixels = Vec::with_capacity(side * side * 3);
        for i in 0..side * side {
            let (x, y) = ((i % side) as f32, (i / side) as f32);
            for channel in 0..3 {
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let phase = index as f32 * 0.37 + channel as f32;
                let wave = (x * 0.07 + phase).sin() * (y * 0.05 - phase).cos();
                let value = 128.0 + 90.0 * wave + (grain >> 27) as f32;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it lies between 38 and 250"
                )]
                pixels.push(value as u8);
            }
        }
        let file = path(folder, index);
        let encoder = jpeg_encoder::Encoder::new_file(&file, 90).expect("a file");
        let colours = jpeg_encoder::ColorType::Rgb;
        encoder
            .encode(&pixels, SIDE, SIDE, colours)
            .expect("an image");
        std::fs::metadata(file).expect("the file").len()
    };
    (0..FILES).into_par_iter().map(one).sum()
}

/// Reads and decodes all files on all threads; returns the bytes of their
/// pixels.
fn decode(folder: &Path) -> usize {
    let one = |index: usize| {
        let content = std::fs::read(path(folder, index)).expect("a file");
        let pixels = JpegDecoder::new(ZCursor::new(content)).decode();
        pixels.expect("an image").len()
    };
    (0..FILES).into_par_iter().map(one).sum()
}
