//! A layer (`nn::layer`): patches, a matrix product, bias and activation. The
//! patches are made again on the way back, and some images at a time, so that
//! the graph keeps input and output alone.

use candle_core::{Result, Tensor};

use super::{TEMPORARY, above_zero, column_sums, node, patches};
use crate::nn::act::{Act, SLOPE};
use crate::nn::unfold::Unfold;

/// What is linear in a layer.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) enum Map {
    /// A matrix, `[in, out]`.
    Linear,
    Window(Window),
}

/// A convolution, or a transposed one. As in `nn::sides`, its window slides
/// over the wide side and stops at the sites of the narrow one.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Window {
    pub(in crate::nn) unfold: Unfold,
    pub(in crate::nn) images: usize,
    pub(in crate::nn) transposed: bool,
}

/// act(map(x) + bias): rows → rows.
///
/// # Errors
/// When the shapes are not those of the map.
pub(in crate::nn) fn layer(map: Map, act: Act, args: [&Tensor; 3]) -> Result<Tensor> {
    let [x, weight, bias] = args.map(Tensor::detach);
    let y = map.forward(&x, &weight)?.broadcast_add(&bias)?;
    let y = activate(act, y)?;
    node::three("layer", args, y, move |[x, weight, bias], y, grad| {
        let grad = slope(act, y, grad)?;
        let gb = column_sums(&grad)?.reshape(bias.shape())?;
        let want = x.track_op();
        let [gx, gw] = map.back(&x.detach(), &weight.detach(), &grad, want)?;
        Ok([gx, gw, Some(gb)])
    })
}

fn activate(act: Act, y: Tensor) -> Result<Tensor> {
    match act {
        Act::None => Ok(y),
        // Not `relu`, which would turn a NaN into a zero.
        Act::Relu => &y * above_zero(&y)?,
        Act::LeakyRelu => &y * leak(&y)?,
        Act::Tanh => y.tanh(),
    }
}

/// The gradient before the activation.
fn slope(act: Act, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    match act {
        Act::None => Ok(grad.clone()),
        Act::Relu => grad * above_zero(y)?,
        Act::LeakyRelu => grad * leak(y)?,
        Act::Tanh => grad * y.sqr()?.affine(-1.0, 1.0)?,
    }
}

fn leak(y: &Tensor) -> Result<Tensor> {
    let slope = f64::from(SLOPE);
    above_zero(y)?.affine(1.0 - slope, slope)
}

impl Map {
    fn forward(self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let window = match self {
            Self::Linear => return x.matmul(&matrix(weight)?),
            Self::Window(window) => window,
        };
        let weight = window.matrices(weight)?;
        let mut parts = Vec::new();
        for (start, n) in window.parts() {
            let part = window.of(n);
            parts.push(if window.transposed {
                part.to_wide(&window.narrow(x, start, n)?, &weight)?
            } else {
                merge(&part.patches(&window.wide(x, start, n)?)?.matmul(&weight)?)?
            });
        }
        join(parts)
    }

    /// Gradients of the input, if wanted, and of the weight.
    fn back(
        self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        want: bool,
    ) -> Result<[Option<Tensor>; 2]> {
        let window = match self {
            Self::Linear => {
                let matrix = matrix(weight)?;
                let gx = want.then(|| grad.matmul(&matrix.t()?)).transpose()?;
                let gw = x.t()?.matmul(grad)?.reshape(weight.shape())?;
                return Ok([gx, Some(gw)]);
            }
            Self::Window(window) => window,
        };
        let matrices = window.matrices(weight)?;
        let (wide, narrow) = if window.transposed {
            (grad, x)
        } else {
            (x, grad)
        };
        let mut gx = Vec::new();
        let mut gw: Option<Tensor> = None;
        for (start, n) in window.parts() {
            let part = window.of(n);
            let patches = part.patches(&window.wide(wide, start, n)?)?;
            let narrow = window.narrow(narrow, start, n)?;
            let split = part.split(&narrow)?;
            let product = if window.transposed {
                split.transpose(1, 2)?.matmul(&patches)?
            } else {
                patches.transpose(1, 2)?.matmul(&split)?
            };
            gw = Some(match gw {
                Some(sum) => (sum + product)?,
                None => product,
            });
            if want {
                gx.push(if window.transposed {
                    merge(&patches.matmul(&matrices)?)?
                } else {
                    part.to_wide(&narrow, &matrices)?
                });
            }
        }
        let gx = want.then(|| join(gx)).transpose()?;
        let gw = gw.map(|gw| gw.reshape(weight.shape())).transpose()?;
        Ok([gx, gw])
    }
}

/// `[in, out]`, of a convolution that sees one site too.
fn matrix(weight: &Tensor) -> Result<Tensor> {
    weight.flatten_to(weight.rank() - 2)
}

impl Window {
    fn of(self, images: usize) -> Self {
        Self { images, ..self }
    }

    /// First image and number of images of each part.
    fn parts(self) -> impl Iterator<Item = (usize, usize)> {
        let Unfold { groups, .. } = self.unfold;
        let image = self.unfold.sites() * self.unfold.patch() * groups;
        let step = (TEMPORARY / image.max(1)).max(1);
        let starts = (0..self.images).step_by(step);
        starts.map(move |start| (start, step.min(self.images - start)))
    }

    /// Rows of some images.
    fn wide(self, rows: &Tensor, start: usize, n: usize) -> Result<Tensor> {
        let sites = self.unfold.h * self.unfold.w;
        rows.narrow(0, start * sites, n * sites)
    }

    fn narrow(self, rows: &Tensor, start: usize, n: usize) -> Result<Tensor> {
        let sites = self.unfold.sites();
        rows.narrow(0, start * sites, n * sites)
    }

    /// `[groups, patch, narrow/groups]`.
    fn matrices(self, weight: &Tensor) -> Result<Tensor> {
        let (groups, patch) = (self.unfold.groups, self.unfold.patch());
        let narrow = weight.elem_count() / (groups * patch).max(1);
        if self.transposed {
            weight.reshape((groups, narrow, patch))?.transpose(1, 2)
        } else {
            weight.reshape((groups, patch, narrow))
        }
    }

    /// `[groups, rows, patch]`.
    fn patches(self, wide: &Tensor) -> Result<Tensor> {
        patches::gather(self.unfold, self.images, wide)
    }

    fn to_wide(self, narrow: &Tensor, matrices: &Tensor) -> Result<Tensor> {
        let patches = self.split(narrow)?.matmul(&matrices.transpose(1, 2)?)?;
        patches::scatter(self.unfold, self.images, &patches)
    }

    /// `[rows, c]` → `[groups, rows, c/groups]`.
    fn split(self, narrow: &Tensor) -> Result<Tensor> {
        let (rows, channels) = narrow.dims2()?;
        let groups = self.unfold.groups;
        if groups == 1 {
            return narrow.unsqueeze(0);
        }
        let split = narrow.reshape((rows, groups, channels / groups))?;
        split.transpose(0, 1)?.contiguous()
    }
}

/// `[groups, rows, c/groups]` → `[rows, c]`.
fn merge(split: &Tensor) -> Result<Tensor> {
    let (groups, rows, channels) = split.dims3()?;
    if groups == 1 {
        return split.squeeze(0);
    }
    let merged = split.transpose(0, 1)?.contiguous()?;
    merged.reshape((rows, groups * channels))
}

fn join(mut parts: Vec<Tensor>) -> Result<Tensor> {
    match parts.len() {
        1 => Ok(parts.swap_remove(0)),
        _ => Tensor::cat(&parts, 0),
    }
}
