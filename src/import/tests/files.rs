//! Writes files in each format.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image_webp::WebPEncoder;
use jpeg_encoder::{ColorType, Encoder};

fn write(path: &Path, bytes: &[u8], packed: bool) {
    if packed {
        let file = File::create(path.with_added_extension("gz")).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    } else {
        fs::write(path, bytes).unwrap();
    }
}

pub(super) fn idx_images(count: u32, height: u32, width: u32, first: u8, images: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend(
        [count, height, width]
            .into_iter()
            .flat_map(u32::to_be_bytes),
    );
    for image in 0..images {
        for pixel in 0..u8::try_from(height * width).unwrap() {
            bytes.push(first.wrapping_add(image).wrapping_add(pixel));
        }
    }
    bytes
}

pub(super) fn idx_labels(count: u32, labels: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend(count.to_be_bytes());
    bytes.extend((0..labels).map(|label| label % 10));
    bytes
}

/// Images of 4×5 pixels that count up from their number; test images from a
/// hundred more.
pub(super) fn idx(folder: &Path, train: u8, test: u8, packed: bool) {
    for (name, images, first) in [("train", train, 0), ("t10k", test, 100)] {
        let pixels = idx_images(images.into(), 4, 5, first, images);
        write(
            &folder.join(format!("{name}-images-idx3-ubyte")),
            &pixels,
            packed,
        );
        let labels = idx_labels(images.into(), images);
        write(
            &folder.join(format!("{name}-labels-idx1-ubyte")),
            &labels,
            packed,
        );
    }
}

/// Records with labels 0, 1, …; the planes of an image are its number and
/// what follows that.
fn batch(first: u8, images: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for image in 0..images {
        bytes.push(image);
        let red = first + image;
        for plane in 0..3 {
            bytes.extend([red + plane; 1024]);
        }
    }
    bytes
}

fn batches() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("test_batch.bin", batch(100, 3)),
        ("data_batch_2.bin", batch(20, 6)),
        ("data_batch_1.bin", batch(0, 6)),
        ("readme.html", b"<html>".to_vec()),
    ]
}

pub(super) fn cifar(folder: &Path) {
    for (name, bytes) in batches() {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

pub(super) fn cifar_archive(path: &Path, packed: bool) {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in batches() {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let name = format!("cifar-10-batches-bin/{name}");
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    if packed {
        write(&path.with_extension(""), &bytes, true);
    } else {
        fs::write(path, bytes).unwrap();
    }
}

fn parent(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
}

pub(super) fn jpeg(path: &Path, w: u16, h: u16, colour: [u8; 3]) {
    parent(path);
    let pixels = colour.repeat(usize::from(w) * usize::from(h));
    let encoder = Encoder::new_file(path, 90).unwrap();
    encoder.encode(&pixels, w, h, ColorType::Rgb).unwrap();
}

pub(super) fn cmyk(path: &Path) {
    parent(path);
    let pixels = [127, 0, 0, 0].repeat(16 * 16);
    let encoder = Encoder::new_file(path, 90).unwrap();
    encoder.encode(&pixels, 16, 16, ColorType::Cmyk).unwrap();
}

/// A PNG file of eight bits a sample.
pub(super) fn png_of(path: &Path, w: u32, h: u32, colour: png::ColorType, pixels: &[u8]) {
    parent(path);
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), w, h);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
}

pub(super) fn png(path: &Path, w: u32, h: u32, colour: [u8; 3]) {
    let pixels = colour.repeat((w * h) as usize);
    png_of(path, w, h, png::ColorType::Rgb, &pixels);
}

pub(super) fn webp(path: &Path, w: u32, h: u32, colour: [u8; 3]) {
    parent(path);
    let pixels = colour.repeat((w * h) as usize);
    let encoder = WebPEncoder::new(File::create(path).unwrap());
    let rgb = image_webp::ColorType::Rgb8;
    encoder.encode(&pixels, w, h, rgb).unwrap();
}

pub(super) fn grey(path: &Path, level: u8) {
    png_of(path, 16, 16, png::ColorType::Grayscale, &[level; 256]);
}

pub(super) fn grey_jpeg(path: &Path, level: u8) {
    parent(path);
    let encoder = Encoder::new_file(path, 90).unwrap();
    encoder
        .encode(&[level; 256], 16, 16, ColorType::Luma)
        .unwrap();
}

pub(super) fn alpha(path: &Path, colour: [u8; 4]) {
    png_of(path, 16, 16, png::ColorType::Rgba, &colour.repeat(256));
}
