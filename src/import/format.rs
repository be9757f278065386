//! What lies at a path. To add a format: a file with its `Images`, and a line
//! here.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::cifar::Cifar;
use super::folder::Folder;
use super::idx::Idx;
use super::{Error, Images, Wanted};

/// Sub folders in which others lay the files of a format.
const IDX_BELOW: &[&str] = &["", "raw", "MNIST/raw", "FashionMNIST/raw"];
const CIFAR_BELOW: &[&str] = &["", "cifar-10-batches-bin"];

/// Of the header of a tar archive.
const BLOCK: usize = 512;

/// Finds out what `wanted.path` is, by its content.
///
/// # Errors
/// It is nothing that can be imported, or is not whole.
pub(super) fn find(wanted: &Wanted) -> Result<Box<dyn Images>, Error> {
    let path = &wanted.path;
    let meta = std::fs::metadata(path).map_err(|e| Error::input(path, e))?;
    if !meta.is_dir() {
        return archive(wanted, meta.is_file());
    }
    for below in IDX_BELOW {
        let folder = path.join(below);
        if folder.is_dir()
            && let Some(idx) = Idx::find(&folder, wanted)?
        {
            return fixed(wanted, Box::new(idx));
        }
    }
    for below in CIFAR_BELOW {
        let folder = path.join(below);
        if folder.is_dir()
            && let Some(cifar) = Cifar::find(&folder, wanted)?
        {
            return fixed(wanted, Box::new(cifar));
        }
    }
    Ok(Box::new(Folder::find(path, wanted)?))
}

fn archive(wanted: &Wanted, plain_file: bool) -> Result<Box<dyn Images>, Error> {
    let path = &wanted.path;
    let refuse = |why| Err(Error::input(path, why));
    if !plain_file {
        return refuse("it is neither a folder nor a file");
    }
    let begin = begin(path).map_err(|e| Error::input(path, e))?;
    let gzip = begin.starts_with(&[0x1f, 0x8b]);
    let unpacked = if gzip {
        let mut block = Vec::new();
        let some = MultiGzDecoder::new(&begin[..]).take(BLOCK as u64);
        // Less than a block of a file that goes on may still be one.
        let _ = { some }.read_to_end(&mut block);
        block
    } else {
        begin
    };
    if unpacked.starts_with(&[0, 0, 8]) {
        return refuse("it is one IDX file: give the folder with images and labels");
    }
    if unpacked.get(257..262) != Some(b"ustar") {
        return refuse(
            "a file that is imported must be an archive of CIFAR-10's binary version \
             (cifar-10-binary.tar.gz); for other formats give a folder",
        );
    }
    match Cifar::unpack(path, gzip, wanted)? {
        Some(cifar) => fixed(wanted, Box::new(cifar)),
        None => refuse(
            "the archive has no data_batch_1.bin in it: if it is CIFAR-10's Python version, get \
             the \"binary version\"; archives of images have to be unpacked first",
        ),
    }
}

/// The beginning of a file, enough for a header, packed or not.
fn begin(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    let file = File::open(path)?;
    file.take(64 << 10).read_to_end(&mut begin)?;
    Ok(begin)
}

/// Images of these formats have a size of their own.
fn fixed(wanted: &Wanted, images: Box<dyn Images>) -> Result<Box<dyn Images>, Error> {
    let shape = images.shape();
    let own = (shape.height, shape.width);
    match wanted.size.map(|size| size as usize) {
        Some(size) if own != (size, size) => {
            let (h, w) = own;
            let why = format!(
                "its images have {h}×{w} pixels, and keep them: leave out --size (the stage \
                 `dataset` can enlarge images and fill them up to another size)"
            );
            Err(Error::input(&wanted.path, why))
        }
        _ => Ok(images),
    }
}
