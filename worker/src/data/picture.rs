//! PNG sheets of images: cells in a grid, every pixel enlarged, thin lines
//! between the cells.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use ablate_proto::failure::Failure;

use crate::runner::failure::OrFail as _;

/// Screen pixels along one side of an image's pixel.
const SCALE: usize = 4;

/// Width of the lines between cells, and their grey.
const LINE: usize = 2;
const GREY: u8 = 96;

/// Rows of cells; each cell is an image of the given set. Rows may have
/// different lengths.
pub(crate) type Sheet<'a> = Vec<Vec<&'a [f32]>>;

/// Writes a sheet of cells, each with the size of images of `like`'s shape (one
/// channel: grey; three: RGB; others: their first channel).
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, sheet: &Sheet<'_>, like: [usize; 4]) -> Result<(), Failure> {
    let [_, channels, high, wide] = like;
    let (h, w) = (high * SCALE, wide * SCALE);
    let rows = sheet.len();
    let columns = sheet.iter().map(Vec::len).max().unwrap_or(0);
    let colours = if channels == 3 { 3 } else { 1 };
    let extent = |cells: usize, size: usize| LINE + cells * (size + LINE);
    let (height, width) = (extent(rows, h), extent(columns, w));
    let mut pixels = vec![GREY; height * width * colours];
    for (row, cells) in sheet.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            let (top, left) = (extent(row, h), extent(column, w));
            for y in 0..h {
                for x in 0..w {
                    for colour in 0..colours {
                        let from = (colour * high + y / SCALE) * wide + x / SCALE;
                        let at = ((top + y) * width + left + x) * colours + colour;
                        pixels[at] = level(cell[from]);
                    }
                }
            }
        }
    }
    let doing = "writing a picture";
    let file = BufWriter::new(File::create(path).or_transient(doing)?);
    let size = |n: usize| u32::try_from(n).or_bug("the size of a picture");
    let mut encoder = png::Encoder::new(file, size(width)?, size(height)?);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(if colours == 3 {
        png::ColorType::Rgb
    } else {
        png::ColorType::Grayscale
    });
    let mut writer = encoder.write_header().or_transient(doing)?;
    writer.write_image_data(&pixels).or_transient(doing)?;
    writer.finish().or_transient(doing)
}

/// [−1, 1] → 0…255.
fn level(value: f32) -> u8 {
    let scaled = (value.clamp(-1.0, 1.0) + 1.0) * 127.5 + 0.5;
    // Float casts saturate; the fraction is what rounding removes.
    #[expect(clippy::cast_possible_truncation, reason = "0.5 ≤ scaled ≤ 255.5")]
    #[expect(clippy::cast_sign_loss, reason = "0.5 ≤ scaled ≤ 255.5")]
    let level = scaled as u8;
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_where_they_belong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        let (a, b) = ([-1.0, 1.0], [1.0, -1.0]);
        write(&path, &vec![vec![&a, &b], vec![&b]], [1, 1, 1, 2]).unwrap();
        let decoder = png::Decoder::new(std::io::BufReader::new(File::open(&path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (2 + 2 * (8 + 2), 2 + 2 * (4 + 2));
        assert_eq!((info.width, info.height), (width, height));
        let at = |x: usize, y: usize| pixels[y * 22 + x];
        assert_eq!(at(0, 0), GREY);
        assert_eq!((at(2, 2), at(6, 2)), (0, 255));
        assert_eq!((at(12, 2), at(16, 2)), (255, 0));
        assert_eq!(at(12, 8), GREY, "a cell that is not there");
    }
}
