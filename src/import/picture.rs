//! A contact sheet of a data set, as PNG.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use ablate_proto::dataset::Meta;
use ablate_proto::layout;
use anyhow::Context as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Images in a row, and rows.
const SIDE: usize = 8;
/// Small images are enlarged to about this side.
const CELL: usize = 64;
/// Width of the lines between images, and their grey.
const LINE: usize = 2;
const GREY: u8 = 96;

/// Draws the first training images to a file. Of the store, only they are
/// read.
///
/// # Errors
/// The images cannot be read, or the file cannot be written.
pub(crate) async fn write(
    store: &Arc<dyn ObjectStore>,
    meta: &Meta,
    file: &FilePath,
) -> anyhow::Result<usize> {
    let known = &meta.description;
    let size = known.image_bytes();
    let mut pixels = Vec::new();
    let mut count = 0;
    for shard in &meta.shards {
        let left = (SIDE * SIDE - count) as u64;
        if left == 0 || shard.split != meta.shards[0].split {
            break;
        }
        let images = left.min(shard.images);
        let range: Range<u64> = 0..images * size as u64;
        let path = Path::from(layout::dataset_shard(&shard.blake3));
        let some = store.get_range(&path, range.clone()).await;
        let some = some.with_context(|| format!("reading {path}"))?;
        anyhow::ensure!(some.len() as u64 == range.end, "{path} is cut short");
        pixels.extend_from_slice(&some);
        count += usize::try_from(images)?;
    }
    let (h, w) = (known.height, known.width);
    let scale = (CELL / h.max(w)).max(1);
    let colours = if known.channels == 3 { 3 } else { 1 };
    let columns = SIDE.min(count.max(1));
    let rows = count.div_ceil(columns);
    let extent = |cells: usize, size: usize| LINE + cells * (size * scale + LINE);
    let (height, width) = (extent(rows, h), extent(columns, w));
    let mut sheet = vec![GREY; height * width * colours];
    for (index, image) in pixels.chunks_exact(size.max(1)).enumerate() {
        let (top, left) = (extent(index / columns, h), extent(index % columns, w));
        for y in 0..h * scale {
            for x in 0..w * scale {
                for colour in 0..colours {
                    let from = (colour * h + y / scale) * w + x / scale;
                    sheet[((top + y) * width + left + x) * colours + colour] = image[from];
                }
            }
        }
    }
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let colour = match colours {
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Grayscale,
    };
    save(file, colour, (width, height), &sheet)
        .with_context(|| format!("writing {}", file.display()))?;
    Ok(count)
}

fn save(
    file: &FilePath,
    colour: png::ColorType,
    (width, height): (u32, u32),
    pixels: &[u8],
) -> anyhow::Result<()> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(file)?), width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    Ok(writer.finish()?)
}
