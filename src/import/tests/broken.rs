//! What is cut short, empty, or claims what cannot be: an error each, and no
//! panic.

use std::fs;
use std::path::Path;

use super::*;

#[track_caller]
fn refused(wanted: &Wanted, expected: &str) {
    let why = take(wanted).unwrap_err();
    assert!(why.contains(expected), "{why}");
}

fn idx(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
    fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    folder
}

#[test]
fn idx_files_are_held_to_what_they_claim() {
    let images = files::idx_images(3, 4, 5, 0, 3);
    let labels = files::idx_labels(3, 3);
    let check = |images: &[u8], labels: &[u8], expected: &str| {
        refused(&wanted(idx(images, labels).path()), expected);
    };
    assert!(take(&wanted(idx(&images, &labels).path())).is_ok());
    check(&images[..70], &labels, "cut short: it ends in item 2 of 3");
    check(&images[..7], &labels, "in its header");
    check(&images, &labels[..9], "cut short");
    check(&images, &files::idx_labels(4, 4), "4 labels for 3 images");
    let mut long = images.clone();
    long.push(0);
    check(&long, &labels, "more in it than it says");
    let huge = files::idx_images(u32::MAX, 4, 5, 0, 3);
    check(&huge, &labels, "claims to have 4294967295 images");
    let none = files::idx_images(0, 4, 5, 0, 0);
    check(&none, &labels, "claims to have 0 images");
    let mut wide = images.clone();
    wide[8..16].fill(0xff);
    check(&wide, &labels, "claims to have 3 images of");
    // As many as are possible, of which there are three.
    let many = files::idx_images(10_000_000, 4, 5, 0, 3);
    check(&many, &files::idx_labels(10_000_000, 3), "cut short");
    let alone = idx(&images, &labels);
    fs::remove_file(alone.path().join("train-labels-idx1-ubyte")).unwrap();
    refused(&wanted(alone.path()), "labels are missing");
    refused(
        &wanted(&alone.path().join("train-images-idx3-ubyte")),
        "one IDX file",
    );
    let sized = Wanted {
        size: Some(32),
        ..wanted(idx(&images, &labels).keep().as_path())
    };
    refused(&sized, "leave out --size");
    fs::remove_dir_all(&sized.path).unwrap();
}

#[test]
fn no_cut_of_a_packed_file_is_taken_for_the_whole() {
    let whole = tempfile::tempdir().unwrap();
    files::idx(whole.path(), 3, 1, true);
    let name = "train-images-idx3-ubyte.gz";
    let bytes = fs::read(whole.path().join(name)).unwrap();
    for cut in 0..bytes.len() {
        fs::write(whole.path().join(name), &bytes[..cut]).unwrap();
        assert!(take(&wanted(whole.path())).is_err(), "{cut}");
    }
    for at in (0..bytes.len()).step_by(3) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        fs::write(whole.path().join(name), flipped).unwrap();
        // Fields of the header that mean nothing may be anything.
        let _ = take(&wanted(whole.path()));
    }
}

#[test]
fn cifar_is_held_to_its_records() {
    let folder = tempfile::tempdir().unwrap();
    files::cifar(folder.path());
    let path = folder.path().join("data_batch_2.bin");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    refused(&wanted(folder.path()), "is it cut short?");
    fs::write(&path, b"").unwrap();
    refused(&wanted(folder.path()), "it has 0 bytes");
    let mut odd = bytes;
    odd[3073] = 10;
    fs::write(&path, odd).unwrap();
    refused(&wanted(folder.path()), "image 7 has the label 10");
    let python = tempfile::tempdir().unwrap();
    fs::write(python.path().join("data_batch_1"), b"x").unwrap();
    refused(&wanted(python.path()), "Python version");
}

#[test]
fn archives_are_held_to_what_they_claim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tar.gz");
    files::cifar_archive(&path, true);
    let bytes = fs::read(&path).unwrap();
    for part in 0..40 {
        fs::write(&path, &bytes[..bytes.len() * part / 40]).unwrap();
        assert!(take(&wanted(&path)).is_err(), "{part}");
    }
    let mut header = tar::Header::new_ustar();
    header.set_path("x/data_batch_1.bin").unwrap();
    header.set_size(3073 << 40);
    header.set_cksum();
    fs::write(&path, header.as_bytes()).unwrap();
    refused(&wanted(&path), "which CIFAR-10 does not have");
    let mut empty = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    empty.append_data(&mut header, "a.txt", &b"hi"[..]).unwrap();
    fs::write(&path, empty.into_inner().unwrap()).unwrap();
    refused(&wanted(&path), "no data_batch_1.bin");
    fs::write(&path, b"not an archive").unwrap();
    refused(&wanted(&path), "must be an archive");
    refused(&wanted(&folder.path().join("nowhere")), "No such file");
}

fn good(folder: &Path, count: u8) {
    for n in 0..count {
        files::png(&folder.join(format!("{n:03}.png")), 4, 4, [n; 3]);
    }
}

fn squares(folder: &Path) -> Wanted {
    Wanted {
        size: Some(4),
        ..wanted(folder)
    }
}

#[test]
fn one_broken_image_in_a_hundred_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), 200);
    let broken = folder.path().join("broken.jpg");
    fs::write(&broken, b"no image").unwrap();
    let taken = take(&squares(folder.path())).unwrap();
    assert_eq!((taken.images.len(), taken.meta.origin.broken), (200, 1));
    assert!(
        taken.broken[0].starts_with("broken.jpg: "),
        "{:?}",
        taken.broken
    );
    // Where there is a limit, the next takes its place.
    let some = Wanted {
        limit: Some(199),
        ..squares(folder.path())
    };
    assert_eq!(take(&some).unwrap().images.len(), 199);
    fs::write(folder.path().join("b.jpg"), b"").unwrap();
    fs::write(folder.path().join("c.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    refused(&squares(folder.path()), "3 of 203 images cannot be read");
    refused(&squares(folder.path()), "b.jpg: it is empty");
}

#[test]
fn images_that_claim_or_lack_something_are_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jpg");
    files::jpeg(&path, 64, 48, [9, 99, 200]);
    let jpeg = fs::read(&path).unwrap();
    let png_path = folder.path().join("y.png");
    files::png(&png_path, 64, 48, [9, 99, 200]);
    let png = fs::read(&png_path).unwrap();
    fs::remove_file(&png_path).unwrap();
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        take(&squares(folder.path())).map(|taken| taken.images.len())
    };
    assert_eq!(check(&jpeg), Ok(1));
    assert_eq!(check(&png), Ok(1), "the content tells, not the ending");
    for cut in (0..jpeg.len() - 1).step_by(7) {
        assert!(check(&jpeg[..cut]).is_err(), "{cut} of the JPEG");
    }
    for cut in (0..png.len() - 12).step_by(5) {
        assert!(check(&png[..cut]).is_err(), "{cut} of the PNG");
    }
    let mut large = png;
    large[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let sum = crc(&large[12..29]);
    large[29..33].copy_from_slice(&sum.to_be_bytes());
    let why = check(&large).unwrap_err();
    assert!(why.contains("65535×65535"), "{why}");
    for at in 0..jpeg.len() {
        let mut flipped = jpeg.clone();
        flipped[at] ^= 0xff;
        let _ = check(&flipped);
    }
    refused(&wanted(folder.path()), "say their side");
    let none = tempfile::tempdir().unwrap();
    refused(&wanted(none.path()), "nothing here can be imported");
}

/// Of a chunk of a PNG file.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    }) ^ !0
}

#[test]
fn splits_of_a_folder_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    for (split, images) in [("train", 5), ("val", 3), ("other", 1)] {
        for label in ["a", "b"] {
            good(&folder.path().join(split).join(label), images);
        }
    }
    let taken = take(&squares(folder.path())).unwrap();
    let known = &taken.meta.description;
    assert_eq!(
        (known.images(Split::Train), known.images(Split::Test)),
        (10, 6)
    );
    assert_eq!(known.labels, ["a", "b"]);
    assert_eq!(taken.left_out, 2);
}
