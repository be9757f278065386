//! DDPM (Ho et al.; science.md §3.2): noise is mixed into images in `T` steps,
//! x_t = √ᾱ_t·x + √(1 − ᾱ_t)·ε, and a network learns to tell ε.

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::denoiser::{self, Denoiser};
use super::file::Family;
use crate::nn::build::Build;
use crate::nn::device::device;
use crate::nn::layer::Rows;
use crate::nn::mode::Mode;
use crate::nn::narrow;

const TIMESTEPS_MAX: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    pub(crate) net: denoiser::Arch,
    /// T, and β at both ends, linear between.
    pub(crate) timesteps: usize,
    pub(crate) beta_start: f64,
    pub(crate) beta_end: f64,
}

#[derive(Debug)]
pub(crate) struct Diffusion {
    net: Denoiser,
    /// β_t and ᾱ_t, for t from 0 to T − 1.
    betas: Vec<f64>,
    kept: Vec<f64>,
}

impl Family for Diffusion {
    const NAME: &'static str = "diffusion";
    type Arch = Arch;

    fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        let (steps, start, end) = (arch.timesteps, arch.beta_start, arch.beta_end);
        let fits = start > 0.0 && start <= end && end < 1.0;
        if !(1..=TIMESTEPS_MAX).contains(&steps) || !fits {
            bail!("{steps} timesteps with β from {start} to {end}");
        }
        let rise = (end - start) / (steps - 1).max(1) as f64;
        let betas: Vec<f64> = (0..steps).map(|t| start + rise * t as f64).collect();
        let product = |kept: &mut f64, beta: &f64| {
            *kept *= 1.0 - beta;
            Some(*kept)
        };
        Ok(Self {
            net: Denoiser::build(build, &arch.net)?,
            kept: betas.iter().scan(1.0, product).collect(),
            betas,
        })
    }
}

impl Diffusion {
    pub(crate) fn timesteps(&self) -> usize {
        self.betas.len()
    }

    /// The mean squared error of the noise found in images `[n·h·w, c]` that
    /// were mixed with standard normal `noise` of their shape, up to a
    /// timestep each.
    ///
    /// # Errors
    /// When there is not a timestep below T for each image, or shapes differ.
    pub(crate) fn loss(
        &self,
        images: &Rows,
        steps: &[u32],
        noise: &Tensor,
        mode: Mode,
    ) -> Result<Tensor> {
        let mixed = self.mix(images, steps, noise)?;
        self.net.loss(&mixed, steps, noise, mode)
    }

    fn mix(&self, images: &Rows, steps: &[u32], noise: &Tensor) -> Result<Rows> {
        let mut shares = [vec![], vec![]];
        for step in steps {
            let Some(kept) = self.kept.get(*step as usize) else {
                bail!("timestep {step} of {}", self.kept.len());
            };
            shares[0].push(narrow(kept.sqrt()));
            shares[1].push(narrow((1.0 - kept).sqrt()));
        }
        let scaled = |values: &Tensor, shares: Vec<f32>| {
            let shares = Tensor::from_vec(shares, (steps.len(), 1), &device())?;
            let images = values.reshape((steps.len(), ()))?;
            images.broadcast_mul(&shares)
        };
        let [image, added] = shares;
        let mixed = (scaled(&images.data, image)? + scaled(noise, added)?)?;
        Ok(Rows {
            data: mixed.reshape(images.data.shape())?,
            ..*images
        })
    }

    /// From images at timestep t to those at t − 1 (Ho et al., Algorithm 2,
    /// with the image found on the way cut to [−1, 1]): all at one timestep;
    /// `noise` is standard normal, of their shape, and not used at t = 0.
    ///
    /// # Errors
    /// When there is no such timestep, or shapes differ.
    pub(crate) fn denoise(&self, x: &Rows, step: usize, noise: &[f32]) -> Result<Rows> {
        let Some((beta, kept)) = self.betas.get(step).zip(self.kept.get(step)) else {
            bail!("timestep {step} of {}", self.kept.len());
        };
        let before = step.checked_sub(1).map_or(1.0, |t| self.kept[t]);
        let of = u32::try_from(step).map_err(candle_core::Error::wrap)?;
        let found = self.net.forward(x, &vec![of; x.n], Mode::Eval)?;
        let (found, mixed) = (values(&found.data)?, values(&x.data)?);
        // The posterior mean of x at t − 1, given the image and x at t.
        let of_image = before.sqrt() * beta / (1.0 - kept);
        let of_mixed = (1.0 - beta).sqrt() * (1.0 - before) / (1.0 - kept);
        let deviation = if step == 0 { 0.0 } else { beta.sqrt() };
        let all = mixed.iter().zip(&found).zip(noise);
        let next = all.map(|((x, found), noise)| {
            let (x, found, noise) = (f64::from(*x), f64::from(*found), f64::from(*noise));
            let image = (x - (1.0 - kept).sqrt() * found) / kept.sqrt();
            narrow(of_image * image.clamp(-1.0, 1.0) + of_mixed * x + deviation * noise)
        });
        let next: Vec<f32> = next.collect();
        Ok(Rows {
            data: Tensor::from_vec(next, x.data.shape(), &device())?,
            ..*x
        })
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::super::unet;
    use super::*;
    use crate::nn::rng::stream;

    fn small(timesteps: usize) -> Diffusion {
        let arch = Arch {
            net: denoiser::Arch::Unet(unet::Arch {
                channels: 1,
                side: 4,
                base: 4,
                multiples: vec![1, 2],
                blocks: 1,
                attention: vec![2],
                groups: 2,
                dropout: 0.0,
            }),
            timesteps,
            beta_start: 1e-4,
            beta_end: 0.02,
        };
        Diffusion::build(&mut Build::seeded(0), &arch).unwrap()
    }

    #[test]
    fn the_schedule_is_that_of_ho() {
        let net = small(1000);
        assert_eq!(net.timesteps(), 1000);
        let (first, last) = (net.betas[0], net.betas[999]);
        assert!((first - 1e-4).abs() < 1e-15 && (last - 0.02).abs() < 1e-15);
        // Π (1 − β_t) by logarithms.
        let log: f64 = net.betas.iter().map(|b| libm::log1p(-b)).sum();
        assert!((net.kept[999].ln() - log).abs() < 1e-10);
        assert!(net.kept[999] < 5e-5, "hardly an image is left");
    }

    #[test]
    fn mixing_keeps_the_variance_and_single_timesteps_their_image() {
        let net = small(50);
        let mut rng = stream(0, "test", 0);
        let mut draw = |n: usize| Tensor::from_vec(rng.normals(n * 16), (n * 16, 1), &device());
        let data = draw(200).unwrap();
        let noise = draw(200).unwrap();
        let images = Rows {
            data,
            n: 200,
            h: 4,
            w: 4,
        };
        let mixed = net.mix(&images, &vec![30; 200], &noise).unwrap();
        let variance = mixed.data.sqr().unwrap().mean_all().unwrap();
        assert!((variance.to_scalar::<f32>().unwrap() - 1.0).abs() < 0.05);
        assert!(net.mix(&images, &vec![50; 200], &noise).is_err());
        assert!(net.mix(&images, &[0; 3], &noise).is_err());
    }

    /// If the network were right about the noise, the last step would give
    /// the image back.
    #[test]
    fn the_last_step_is_the_image_that_the_noise_leaves() {
        let net = small(50);
        let data = Tensor::from_vec(vec![0.25f32; 16], (16, 1), &device()).unwrap();
        let x = Rows {
            data,
            n: 1,
            h: 4,
            w: 4,
        };
        let found = values(&net.net.forward(&x, &[0], Mode::Eval).unwrap().data).unwrap();
        let image = values(&net.denoise(&x, 0, &[9.0; 16]).unwrap().data).unwrap();
        for (image, found) in image.iter().zip(found) {
            let kept = 1.0 - 1e-4f64;
            let expected = (0.25 - (1.0 - kept).sqrt() * f64::from(found)) / kept.sqrt();
            assert!((f64::from(*image) - expected.clamp(-1.0, 1.0)).abs() < 1e-6);
        }
        assert!(net.denoise(&x, 50, &[0.0; 16]).is_err());
    }
}
