//! `generate`: draws images from a VAE, a GAN or a diffusion model.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::{GenerateSpec, Likelihood};
use candle_core::{Result as Tensors, Tensor};

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
use crate::nn::device::device;
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
            let draw = |steps: &mut Steps<'_>, streams: &mut [_]| {
                steps.add(streams.len())?;
                of_vae(&model, &spec, streams)
            };
            drawn(context, &spec, 1, draw)
        }
        Gan::NAME => {
            let model = Model::<Gan>::read(&folder)?;
            let draw = |steps: &mut Steps<'_>, streams: &mut [_]| {
                steps.add(streams.len())?;
                of_gan(&model, &spec, streams)
            };
            drawn(context, &spec, 1, draw)
        }
        Diffusion::NAME => {
            let model = Model::<Diffusion>::read(&folder)?;
            let draw =
                |steps: &mut Steps<'_>, streams: &mut [_]| of_diffusion(&model, steps, streams);
            drawn(context, &spec, model.net.timesteps(), draw)
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

/// How far drawing is: steps of all images together.
struct Steps<'a> {
    context: &'a mut Context,
    done: u64,
    total: u64,
}

impl Steps<'_> {
    /// So many images are a step further.
    fn add(&mut self, images: usize) -> Result<(), Failure> {
        self.done += images as u64;
        self.context.check_stop(self.done)?;
        self.context.progress(self.done, self.total, Vec::new())
    }
}

/// Draws all images, a chunk at a time, each from a stream of its own and in
/// `each` steps. Chunks start at fixed indices: products of matrices may
/// differ in their last bits with the number of rows.
fn drawn(
    context: &mut Context,
    spec: &GenerateSpec,
    each: usize,
    draw: impl Fn(&mut Steps<'_>, &mut [Stream]) -> Result<Images, Failure>,
) -> Result<Images, Failure> {
    let (seed, total) = (context.seed(), (spec.count * each) as u64);
    let done = 0;
    let mut steps = Steps {
        context,
        done,
        total,
    };
    let mut all: Option<Images> = None;
    for done in (0..spec.count).step_by(CHUNK) {
        let chunk = done..spec.count.min(done + CHUNK);
        let of = |i| stream(seed, "generate", (spec.first + i) as u64);
        let streams = chunk.map(of);
        let images = draw(&mut steps, &mut streams.collect::<Vec<_>>())?;
        match &mut all {
            None => all = Some(images),
            Some(all) => {
                all.n += images.n;
                all.data.extend(images.data);
            }
        }
    }
    all.ok_or_else(|| Failure::config("no images were asked for"))
}

/// Standard normal values times a scale, `[streams, width]`.
fn normals(streams: &mut [Stream], width: usize, scale: f64) -> Tensors<Tensor> {
    let scaled = |rng: &mut Stream| {
        let values = rng.normals(width).into_iter();
        values.map(|v| narrow(scale) * v).collect::<Vec<f32>>()
    };
    let data: Vec<f32> = streams.iter_mut().flat_map(scaled).collect();
    Tensor::from_vec(data, (streams.len(), width), &device())
}

/// Images of what a VAE decodes, `[n, pixels]`, as large as `like`.
pub(super) fn images(decoded: &Tensor, likelihood: Likelihood, like: &Images) -> Tensors<Images> {
    let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
    let data = match likelihood {
        Likelihood::Bernoulli => {
            let units = values(&Activation::Sigmoid.apply(decoded)?)?;
            units.iter().map(|p| 2.0 * p - 1.0).collect()
        }
        Likelihood::Gaussian => {
            let means = values(decoded)?;
            means.iter().map(|x| x.clamp(-1.0, 1.0)).collect()
        }
    };
    Ok(Images {
        n: decoded.dim(0)?,
        data,
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
        let arch = &model.arch;
        let latents = normals(streams, arch.latent, arch.prior * spec.latent_scale)?;
        let decoded = model.net.decode(&latents)?;
        images(&decoded, arch.likelihood, &sized(arch.image))
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
            let components = Tensor::from_vec(components, streams.len(), &device())?;
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
    steps: &mut Steps<'_>,
    streams: &mut [Stream],
) -> Result<Images, Failure> {
    let doing = "drawing from a diffusion model";
    let [channels, side] = model.arch.net.image();
    let (n, size) = (streams.len(), side * side * channels);
    let start = normals(streams, size, 1.0).and_then(|x| x.reshape((n * side * side, channels)));
    let mut rows = Rows {
        data: start.or_bug(doing)?,
        n,
        h: side,
        w: side,
    };
    for step in (0..model.net.timesteps()).rev() {
        steps.add(n)?;
        let noise: Vec<f32> = streams.iter_mut().flat_map(|s| s.normals(size)).collect();
        rows = model.net.denoise(&rows, step, &noise).or_bug(doing)?;
    }
    Images::from_rows(&rows).or_bug(doing)
}
