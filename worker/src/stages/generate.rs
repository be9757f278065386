//! `generate`: draws images from a VAE, a GAN or a diffusion model.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::GenerateSpec;
use candle_core::{Device, Result as Tensors, Tensor};

use super::spec;
use crate::data::images::Images;
use crate::data::samples::Samples;
use crate::models::autoencoder::CHUNK;
use crate::models::diffusion::Diffusion;
use crate::models::family;
use crate::models::file::{Family, Model};
use crate::models::gan::Gan;
use crate::models::vae::Vae;
use crate::nn::activation::Activation;
use crate::nn::layer::Rows;
use crate::nn::mode::Mode;
use crate::nn::narrow;
use crate::nn::rng::{Stream, stream};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Generate);
    let folder = context.input("model")?.to_owned();
    let family = family::name(&folder)?;
    let images = match family.as_str() {
        Vae::NAME => {
            let model = Model::<Vae>::read(&folder)?;
            drawn(context, &spec, |_, streams| of_vae(&model, &spec, streams))
        }
        Gan::NAME => {
            let model = Model::<Gan>::read(&folder)?;
            drawn(context, &spec, |_, streams| of_gan(&model, &spec, streams))
        }
        Diffusion::NAME => {
            let model = Model::<Diffusion>::read(&folder)?;
            drawn(context, &spec, |context, streams| {
                of_diffusion(&model, context, streams)
            })
        }
        other => {
            let why = format!("images cannot be drawn from a model of the family {other}");
            Err(Failure::config(why))
        }
    }?;
    let tokens = None;
    Samples { images, tokens }.write(context.out())?;
    Ok(Vec::new())
}

/// Draws all images, a chunk at a time, each from a stream of its own. Chunks
/// start at fixed indices: products of matrices may differ in their last bits
/// with the number of rows.
fn drawn(
    context: &mut Context,
    spec: &GenerateSpec,
    mut draw: impl FnMut(&Context, &mut [Stream]) -> Result<Images, Failure>,
) -> Result<Images, Failure> {
    let total = spec.count as u64;
    let mut all: Option<Images> = None;
    for first in (0..spec.count).step_by(CHUNK) {
        context.progress(first as u64, total, Vec::new())?;
        let chunk = first..spec.count.min(first + CHUNK);
        let streams = chunk.map(|i| stream(context.seed(), "generate", i as u64));
        let images = draw(context, &mut streams.collect::<Vec<_>>())?;
        context.check_stop(first as u64)?;
        match &mut all {
            None => all = Some(images),
            Some(all) => {
                all.n += images.n;
                all.data.extend(images.data);
            }
        }
    }
    context.progress(total, total, Vec::new())?;
    all.ok_or_else(|| Failure::config("no images were asked for"))
}

/// Standard normal values times a scale, `[streams, width]`.
fn normals(streams: &mut [Stream], width: usize, scale: f64) -> Tensors<Tensor> {
    let scaled = |rng: &mut Stream| {
        let values = rng.normals(width).into_iter();
        values.map(|v| narrow(scale) * v).collect::<Vec<f32>>()
    };
    let data: Vec<f32> = streams.iter_mut().flat_map(scaled).collect();
    Tensor::from_vec(data, (streams.len(), width), &Device::Cpu)
}

/// Images of logits `[n, pixels]`, as large as `like`.
pub(super) fn images(logits: &Tensor, like: &Images) -> Tensors<Images> {
    let units: Vec<f32> = Activation::Sigmoid
        .apply(logits)?
        .flatten_all()?
        .to_vec1()?;
    Ok(Images {
        n: logits.dim(0)?,
        data: units.iter().map(|p| 2.0 * p - 1.0).collect(),
        ..*like
    })
}

fn sized([channels, h, w]: [usize; 3]) -> Images {
    Images {
        n: 0,
        channels,
        h,
        w,
        data: Vec::new(),
    }
}

fn of_vae(
    model: &Model<Vae>,
    spec: &GenerateSpec,
    streams: &mut [Stream],
) -> Result<Images, Failure> {
    let mut draw = || {
        let latents = normals(streams, model.arch.latent, spec.latent_scale)?;
        images(&model.net.decode(&latents)?, &sized(model.arch.image))
    };
    draw().or_bug("drawing from a VAE")
}

fn of_gan(
    model: &Model<Gan>,
    spec: &GenerateSpec,
    streams: &mut [Stream],
) -> Result<Images, Failure> {
    let (arch, generator) = (&model.arch, &model.net.generator);
    let mut draw = || {
        let latents = if arch.components == 0 {
            normals(streams, arch.latent, spec.latent_scale)?
        } else {
            let component = |rng: &mut Stream| u32::try_from(rng.below(arch.components as u64));
            let components = streams.iter_mut().map(component);
            let components: Vec<u32> = components.collect::<Result<_, _>>().unwrap_or_default();
            let components = Tensor::from_vec(components, streams.len(), &Device::Cpu)?;
            generator.latents(&components, &normals(streams, arch.latent, 1.0)?)?
        };
        let images = generator.forward(&latents, Mode::Eval)?;
        Ok::<_, candle_core::Error>(Images {
            n: streams.len(),
            data: images.flatten_all()?.to_vec1()?,
            ..sized(arch.image)
        })
    };
    draw().or_bug("drawing from a GAN")
}

fn of_diffusion(
    model: &Model<Diffusion>,
    context: &Context,
    streams: &mut [Stream],
) -> Result<Images, Failure> {
    let doing = "drawing from a diffusion model";
    let (side, channels) = (model.arch.unet.side, model.arch.unet.channels);
    let (n, size) = (streams.len(), side * side * channels);
    let start = normals(streams, size, 1.0).and_then(|x| x.reshape((n * side * side, channels)));
    let mut rows = Rows {
        data: start.or_bug(doing)?,
        n,
        h: side,
        w: side,
    };
    for step in (0..model.net.timesteps()).rev() {
        context.check_stop(0)?;
        let noise: Vec<f32> = streams.iter_mut().flat_map(|s| s.normals(size)).collect();
        rows = model.net.denoise(&rows, step, &noise).or_bug(doing)?;
    }
    Images::from_rows(&rows).or_bug(doing)
}
