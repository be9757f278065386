//! Features of a fixed random network (science.md §5, FD-rand): three 3×3
//! convolutions of stride 2 with leaky ReLUs, averaged over sites. It was
//! never trained, so what it sees depends on no data set.

use ablate_proto::failure::Failure;

use super::linear::{Features, site_means};
use crate::data::pictures::{Pictures, pieces};
use crate::models::autoencoder::CHUNK;
use crate::nn::build::Build;
use crate::nn::layer::{Act, Kind, Layer, Window, through};
use crate::runner::failure::OrFail as _;
use crate::runner::pulse;

/// Part of the definition: other weights are another metric.
const SEED: u64 = 0;
const WIDTHS: [usize; 3] = [32, 64, 128];

/// `[n, 128]` of images.
///
/// # Errors
/// None is expected.
pub(super) fn of_images(images: &dyn Pictures) -> Result<Features, Failure> {
    let doing = "computing random features";
    let [n, channels, ..] = images.shape();
    let layers = network(channels).or_bug(doing)?;
    let mut data = Vec::with_capacity(n * WIDTHS[2]);
    for chunk in pieces(n, CHUNK) {
        let maps = images
            .read(chunk)?
            .rows()
            .and_then(|rows| through(&layers, &rows));
        data.extend(site_means(&maps.or_bug(doing)?).or_bug(doing)?);
        pulse::beat();
    }
    Ok(Features {
        n,
        width: WIDTHS[2],
        data,
    })
}

fn network(channels: usize) -> candle_core::Result<Vec<Layer>> {
    let mut build = Build::seeded(SEED);
    let mut inputs = channels;
    let mut layers = Vec::new();
    for (index, width) in WIDTHS.into_iter().enumerate() {
        let kind = Kind::Conv(Window::square(3, 2, 1));
        let name = format!("random.{index}");
        layers.push(build.layer(&name, kind, [inputs, width], Act::LeakyRelu)?);
        inputs = width;
    }
    Ok(layers)
}
