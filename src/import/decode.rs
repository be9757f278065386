//! One image file to one square of pixels. Files come from anywhere: what
//! they claim is bounded before it is believed.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image_webp::WebPDecoder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Bytes of a file.
const MAX_FILE: u64 = 256 << 20;
const MAX_PIXELS: u64 = 1 << 27;
const MAX_SIDE: usize = 1 << 16;
/// What a decoder may take.
const MAX_MEMORY: usize = 1 << 30;

/// Above these, images are decoded one at a time, whatever the threads.
const LARGE_FILE: u64 = 32 << 20;
const LARGE_PIXELS: u64 = 1 << 24;

/// How images become squares, in words.
pub(super) const CHANGES: &str = "centre square, resized by the Catmull-Rom filter (bicubic, \
    a = -0.5; antialiased: its support grows with the reduction), as 8-bit RGB without alpha; \
    orientation tags are not applied";

pub(super) struct Decoder {
    size: u32,
    large: Mutex<()>,
}

impl Decoder {
    pub(super) fn new(size: u32) -> Self {
        let large = Mutex::new(());
        Self { size, large }
    }

    /// The pixels of a file as `[3, size, size]`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let meta = file.metadata().map_err(|e| e.to_string())?;
        let bytes = meta.len();
        if !meta.is_file() {
            return Err("it is no plain file".to_owned());
        }
        if bytes == 0 {
            return Err("it is empty".to_owned());
        }
        if bytes > MAX_FILE {
            return Err(format!("it has {bytes} bytes, and {MAX_FILE} are possible"));
        }
        let held = (bytes > LARGE_FILE).then(|| self.turn());
        let mut content = Vec::new();
        let read = file.take(MAX_FILE).read_to_end(&mut content);
        read.map_err(|e| format!("reading it: {e}"))?;
        // Decoders are other people's, and files anybody's.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decode(&content, held.is_some())));
        decoded.unwrap_or_else(|_| Err("its decoder broke on it".to_owned()))
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, content: &[u8], alone: bool) -> Result<Vec<u8>, String> {
        let turn = |pixels: u64| (pixels > LARGE_PIXELS && !alone).then(|| self.turn());
        let image = if content.starts_with(&[0xff, 0xd8, 0xff]) {
            jpeg(content, turn)
        } else if content.starts_with(b"\x89PNG") {
            png(content, turn)
        } else if content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP") {
            webp(content, turn)
        } else {
            Err("it is neither JPEG, nor PNG, nor WebP".to_owned())
        };
        self.square(&image?).map_err(|e| e.to_string())
    }

    /// Cuts the centre out, and resizes it.
    fn square(&self, image: &Rgb) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let (w, h) = (image.w, image.h);
        let side = w.min(h);
        let size = self.size;
        if (w, h) == (size, size) {
            return Ok(planes(&image.data));
        }
        let mut small = Image::new(size, size, PixelType::U8x3);
        let (left, top) = ((w - side) / 2, (h - side) / 2);
        let filter = ResizeAlg::Convolution(FilterType::CatmullRom);
        let options = ResizeOptions::new().resize_alg(filter);
        let whole = ImageRef::new(w, h, &image.data, PixelType::U8x3)?;
        // Not the crop of the resizer, whose filter reaches beyond it.
        let centre = CroppedImage::new(&whole, left, top, side, side)?;
        Resizer::new().resize(&centre, &mut small, &options)?;
        Ok(planes(small.buffer()))
    }
}

/// `[h, w, 3]` → `[3, h, w]`.
fn planes(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut planes = Vec::with_capacity(3 * pixels.len());
    for channel in 0..3 {
        planes.extend(pixels.iter().map(|pixel| pixel[channel]));
    }
    planes
}

/// An image, three bytes a pixel.
struct Rgb {
    w: u32,
    h: u32,
    data: Vec<u8>,
}

impl Rgb {
    /// From so many channels: grey, grey and alpha, colours, or those and
    /// alpha.
    fn of(w: u32, h: u32, channels: usize, data: Vec<u8>) -> Result<Self, String> {
        let pixels = w as usize * h as usize;
        if data.len() != pixels * channels {
            return Err(format!("its decoder made {} bytes of it", data.len()));
        }
        let data = match channels {
            3 => data,
            1 | 2 => data
                .chunks_exact(channels)
                .flat_map(|p| [p[0]; 3])
                .collect(),
            4 => data
                .chunks_exact(4)
                .flat_map(|p| [p[0], p[1], p[2]])
                .collect(),
            _ => return Err(format!("it has {channels} channels")),
        };
        Ok(Self { w, h, data })
    }
}

/// How many pixels an image claims, if that is possible.
fn pixels(w: u32, h: u32) -> Result<u64, String> {
    let pixels = u64::from(w) * u64::from(h);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!(
            "it claims {w}×{h} pixels, and {MAX_PIXELS} are possible"
        ));
    }
    Ok(pixels)
}

fn jpeg<T>(content: &[u8], turn: impl Fn(u64) -> T) -> Result<Rgb, String> {
    if !jpeg_ends(content) {
        return Err("it is cut short".to_owned());
    }
    // As other programs do, small mistakes in a file are passed over.
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(content), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let (w, h) = decoder.dimensions().ok_or("it has no size")?;
    let fits = |side| u32::try_from(side).map_err(|_| "it has no size".to_owned());
    let (w, h) = (fits(w)?, fits(h)?);
    let _turn = turn(pixels(w, h)?);
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (space, channels) = if grey {
        (ColorSpace::Luma, 1)
    } else {
        (ColorSpace::RGB, 3)
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let data = decoder.decode().map_err(|e| e.to_string())?;
    Rgb::of(w, h, channels, data)
}

fn png<T>(content: &[u8], turn: impl Fn(u64) -> T) -> Result<Rgb, String> {
    let limits = png::Limits { bytes: MAX_MEMORY };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(|e| e.to_string())?;
    let (w, h) = (header.width, header.height);
    let _turn = turn(pixels(w, h)?);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let bytes = reader.output_buffer_size();
    let bytes = bytes
        .filter(|bytes| *bytes <= MAX_MEMORY)
        .ok_or("it is too large")?;
    let mut data = vec![0; bytes];
    let frame = reader.next_frame(&mut data).map_err(|e| e.to_string())?;
    data.truncate(frame.buffer_size());
    Rgb::of(frame.width, frame.height, frame.color_type.samples(), data)
}

/// Of an animation, the first picture.
fn webp<T>(content: &[u8], turn: impl Fn(u64) -> T) -> Result<Rgb, String> {
    let mut decoder = WebPDecoder::new(Cursor::new(content)).map_err(|e| e.to_string())?;
    decoder.set_memory_limit(MAX_MEMORY);
    let (w, h) = decoder.dimensions();
    let _turn = turn(pixels(w, h)?);
    let bytes = decoder.output_buffer_size().ok_or("it is too large")?;
    let mut data = vec![0; bytes];
    decoder.read_image(&mut data).map_err(|e| e.to_string())?;
    Rgb::of(w, h, if decoder.has_alpha() { 4 } else { 3 }, data)
}

/// Whether there is an end of image behind the last scan: the decoder fills
/// up what is missing. Neither marker can occur in the data of a scan.
fn jpeg_ends(content: &[u8]) -> bool {
    let last = |marker: u8| content.windows(2).rposition(|pair| pair == [0xff, marker]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) => end > scan,
        _ => false,
    }
}
