//! `pixelcnn`: trains a PixelCNN on the training images' tokens.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use candle_core::{Device, Result as Tensors, Tensor};

use super::training::{self, Batch, Group, Objective, Plan};
use super::{parameters, spec};
use crate::data::tokens::Tokens;
use crate::models::file::Model;
use crate::models::pixelcnn::{Arch, PixelCnn};
use crate::nn::layer::Rows;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

/// Curves are measured on at most so many grids, the first ones.
const CURVE_GRIDS: usize = 256;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Pixelcnn);
    let tokens = Tokens::read(context.input("codes")?)?;
    let arch = Arch {
        side: tokens.side,
        bits: tokens.bits,
        width: spec.width,
    };
    let model = Model::<PixelCnn>::fresh(arch, context.seed())?;
    let objective = Likelihood::new(&model, &tokens).or_bug("preparing the tokens")?;
    let plan = Plan {
        steps: spec.steps,
        batch: spec.batch,
        examples: tokens.n,
        full_batches: false,
        learning_rate: spec.learning_rate,
        schedule: spec.schedule,
        log_every: spec.log_every,
        average: None,
    };
    training::train(context, plan, &objective)?;
    model.write(context.out())?;
    let mut rows = objective.curves()?;
    rows.push(parameters(model.count()));
    Ok(rows)
}

/// The cross-entropy of tokens under what stands before them.
struct Likelihood<'a> {
    model: &'a Model<PixelCnn>,
    group: [Group; 1],
    /// `[n, sites·bits]`, ±1, and `[n, sites]`, u32.
    bits: Tensor,
    tokens: Tensor,
}

impl<'a> Likelihood<'a> {
    fn new(model: &'a Model<PixelCnn>, tokens: &Tokens) -> Tensors<Self> {
        let (n, latents) = (tokens.n, tokens.unpack());
        let shape = (n, latents.size());
        Ok(Self {
            group: [Group::all(model.parameters.clone())],
            bits: Tensor::from_vec(latents.data, shape, &Device::Cpu)?,
            tokens: Tensor::from_slice(&tokens.data, (n, tokens.sites()), &Device::Cpu)?,
            model,
        })
    }

    /// In nats a token.
    fn entropy(&self, bits: &Tensor, tokens: &Tensor) -> Tensors<Tensor> {
        let (side, n) = (self.model.arch.side, bits.dim(0)?);
        let rows = Rows {
            data: bits.reshape((n * side * side, self.model.arch.bits))?,
            n,
            h: side,
            w: side,
        };
        let tokens: Vec<u32> = tokens.flatten_all()?.to_vec1()?;
        self.model.net.loss(&rows, tokens.into())
    }
}

impl Objective for Likelihood<'_> {
    fn groups(&self) -> &[Group] {
        &self.group
    }

    fn loss(&self, _: usize, _: u64, batch: &Batch) -> Tensors<Tensor> {
        self.entropy(&batch.of(&self.bits)?, &batch.of(&self.tokens)?)
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        let measure = || -> Tensors<(usize, f32)> {
            let n = CURVE_GRIDS.min(self.bits.dim(0)?);
            let (bits, tokens) = (self.bits.narrow(0, 0, n)?, self.tokens.narrow(0, 0, n)?);
            let entropy = self.entropy(&bits, &tokens)?;
            Ok((n, entropy.to_scalar()?))
        };
        let (n, entropy) = measure().or_bug("measuring the model")?;
        let (name, unit) = ("nll", "nats a token");
        let row = MetricRow::scalar(name, unit, Direction::Down, entropy.into());
        Ok(vec![row.over(n)])
    }
}
