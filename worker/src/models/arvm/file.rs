//! The artefact of a γ-ARVM: `model.safetensors` (architecture, codebook and,
//! unless the table itself is the prior, the network) and the table of counts.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use ablate_proto::stage::{ArvmSpec, Prior, StageSpec, Tie, Unseen, Window};
use serde::{Deserialize, Serialize};

use super::net;
use super::table::Table;
use super::window::Windows;
use crate::data::tokens::Tokens;
use crate::models::family;
use crate::nn::layer::{Layer, Plan};
use crate::nn::params::{self, Named};
use crate::runner::failure::OrFail as _;

/// Grids are smaller by far.
const MAX_SIDE: usize = 1024;

pub(crate) const FAMILY: &str = "arvm";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    /// Sites along one side of a grid.
    pub(crate) side: usize,
    /// Bits per token.
    pub(crate) bits: usize,
    pub(crate) gamma: usize,
    pub(crate) window: Window,
    pub(crate) tie: Tie,
    pub(crate) prior: Prior,
    pub(crate) unseen: Unseen,
    pub(crate) hidden: Vec<usize>,
    /// Sorted distinct tokens; an id is a place in it.
    pub(crate) codebook: Vec<u32>,
    /// Whether the head is the chain of a token's bits, not the codebook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bit_chain: bool,
}

impl Arch {
    /// # Errors
    /// When no spec and no tokens give this: the file it is from is damaged.
    pub(crate) fn check(&self) -> Result<(), String> {
        let spec = ArvmSpec {
            gamma: self.gamma,
            window: self.window,
            hidden: self.hidden.clone(),
            ..ArvmSpec::default()
        };
        let valid = StageSpec::from(spec).validate();
        valid.map_err(|e| format!("its architecture: {e}"))?;
        if !(1..=MAX_SIDE).contains(&self.side) || !(1..=32).contains(&self.bits) {
            let (side, bits) = (self.side, self.bits);
            return Err(format!(
                "its architecture: grids of side {side} with {bits} bits a token"
            ));
        }
        let last = self.codebook.last().copied().map(u64::from);
        let sorted = self.codebook.is_sorted_by(|a, b| a < b);
        if !sorted || last.is_none_or(|last| last >> self.bits > 0) {
            return Err("its codebook is not a sorted list of its tokens".to_owned());
        }
        Ok(())
    }

    pub(crate) fn windows(&self) -> Windows {
        Windows::new(self.window, self.gamma, self.side)
    }

    pub(crate) fn per_site(&self) -> bool {
        self.tie == Tie::PerSite
    }

    /// Inputs of the network: S·(NoD + 1), the sites if they matter, and 2·NoD
    /// for the bits of a token so far.
    pub(crate) fn features(&self) -> usize {
        let sites = if self.per_site() {
            self.side * self.side
        } else {
            0
        };
        let chain = if self.bit_chain { 2 * self.bits } else { 0 };
        self.windows().slots() * (self.bits + 1) + sites + chain
    }

    /// Outputs of the network: K, or both values of a bit.
    pub(crate) fn outputs(&self) -> usize {
        if self.bit_chain {
            2
        } else {
            self.codebook.len()
        }
    }

    /// Ids of tokens; that of a token which no training image has is K.
    pub(crate) fn ids(&self, tokens: &[u32]) -> Vec<i32> {
        ids(&self.codebook, tokens)
    }

    /// Layers to train; none when the table is the prior.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        match self.prior {
            Prior::Net => net::plans(self),
            Prior::Table => Vec::new(),
        }
    }
}

/// Places of tokens in a codebook of K; K of a token that is not in it.
pub(crate) fn ids(book: &[u32], tokens: &[u32]) -> Vec<i32> {
    let place = |token: &u32| book.binary_search(token).unwrap_or(book.len());
    let places = tokens.iter().map(place);
    places
        .map(|id| i32::try_from(id).unwrap_or(i32::MAX))
        .collect()
}

#[derive(Debug)]
pub(crate) struct Arvm {
    pub(crate) arch: Arch,
    pub(crate) table: Table,
    pub(crate) layers: Vec<Layer>,
    pub(crate) named: Named,
}

impl Arvm {
    /// A fresh model on counted contexts.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn fresh(arch: Arch, table: Table, seed: u64) -> Result<Self, Failure> {
        let plans = arch.plans();
        let values = plans.iter().flat_map(|plan| params::initial(plan, seed));
        Self::build(arch, table, values.collect())
    }

    fn build(
        arch: Arch,
        table: Table,
        mut values: BTreeMap<String, params::Values>,
    ) -> Result<Self, Failure> {
        let mut named = Vec::new();
        let layers = params::layers(&arch.plans(), &mut values, &mut named);
        Ok(Self {
            layers: layers.or_bug("building a prior")?,
            arch,
            table,
            named,
        })
    }

    /// Contexts in these grids that no training image has.
    pub(crate) fn unseen(&self, tokens: &Tokens) -> u64 {
        let windows = self.arch.windows();
        let ids = self.arch.ids(&tokens.data);
        let of_grid = |grid: &[i32]| {
            let sites = 0..grid.len();
            let unseen = |site: &usize| {
                let context = windows.context(grid, *site);
                self.table.get(*site, &context).is_none()
            };
            sites.filter(unseen).count() as u64
        };
        ids.chunks_exact(tokens.sites().max(1)).map(of_grid).sum()
    }

    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let values = params::export(&self.named).or_bug("copying parameters")?;
        family::write(folder, FAMILY, &self.arch, values)?;
        self.table.write(folder, self.arch.windows().slots())
    }

    /// # Errors
    /// When a file is absent or does not hold exactly such a model.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let (arch, mut file) = family::read::<Arch>(folder, FAMILY)?;
        arch.check().map_err(|why| file.wrong(why))?;
        let table = Table::read(folder, arch.windows().slots())?;
        if !table.names_up_to(arch.codebook.len()) {
            return Err(file
                .wrong("its counts name tokens that are not in its codebook")
                .into());
        }
        let values = file.parameters(&params::shapes(&arch.plans()))?;
        file.finish()?;
        Self::build(arch, table, values)
    }
}
