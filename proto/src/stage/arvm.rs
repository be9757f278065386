//! `arvm`: counts the empirical conditional q of the tokens under an
//! observation window, and trains γ-ARVM on it by KL (science.md §1, F7).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::autoencoder::check_training;
use super::{InputInfo, InvalidField, KindInfo, Schedule, Spec, StageKind};

/// What the sites before the current one are seen through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The causal half of a γ×γ square.
    #[default]
    Square,
    /// The last γ tokens in raster order.
    Raster1d,
}

/// Whether sites have conditionals of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Tie {
    #[default]
    PerSite,
    Shared,
}

/// What is sampled from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// The trained network.
    #[default]
    Net,
    /// The counts themselves: the oracle.
    Table,
}

/// What answers for a context that no training image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Unseen {
    /// The network, as it comes (with `prior = "table"`: back off).
    #[default]
    Net,
    /// Drop the farthest slots until the context was seen.
    Backoff,
    Uniform,
}

/// w_c of F7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    #[default]
    Count,
    Uniform,
}

/// How a token comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The codebook, where it is no larger than a histogram can be.
    #[default]
    Auto,
    /// A histogram over the tokens of the training images: no other comes out.
    Codebook,
    /// The token's bits one at a time, each given the context and those before.
    Bits,
}

impl Head {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArvmSpec {
    /// γ, the side of the observation window: odd for a square.
    pub gamma: usize,
    pub window: Window,
    pub tie: Tie,
    pub prior: Prior,
    pub unseen: Unseen,
    #[serde(skip_serializing_if = "Head::is_auto")]
    pub head: Head,
    pub weighting: Weighting,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    pub steps: u64,
    /// Contexts per step; at most all of them are taken. Of the bits of tokens,
    /// each is one with those before it.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for ArvmSpec {
    fn default() -> Self {
        Self {
            gamma: 7,
            window: Window::Square,
            tie: Tie::PerSite,
            prior: Prior::Net,
            unseen: Unseen::Net,
            head: Head::Auto,
            weighting: Weighting::Count,
            hidden: vec![512, 512],
            steps: 10_000,
            batch: 1024,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl Spec for ArvmSpec {
    const INFO: KindInfo = KindInfo {
        name: "arvm",
        summary: "count the tokens' conditionals and train γ-ARVM on them",
        recipe: 3,
        seeded: true,
        inputs: &[
            InputInfo::required("codes", &[StageKind::Encode]),
            // Of `codes`: what another task counted.
            InputInfo::optional("counts", &[StageKind::Count]),
        ],
        hidden: false,
    };

    fn added() -> Vec<(&'static str, Value)> {
        vec![("head", "auto".into())]
    }

    fn validate(&self) -> Result<(), InvalidField> {
        check_window(self.gamma, self.window)?;
        let blind = self.gamma == 1 && self.window == Window::Square && self.tie == Tie::Shared;
        InvalidField::check(!blind, "gamma", || {
            "is 1, a window of no tokens, and with tie = \"shared\" sites look alike: there is \
             nothing to learn from; use tie = \"per_site\""
                .to_owned()
        })?;
        let widths = self.hidden.len() <= 8 && self.hidden.iter().all(|w| (1..=65_536).contains(w));
        InvalidField::check(widths, "hidden", || {
            "must hold at most 8 widths between 1 and 65536".to_owned()
        })?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}

pub(super) fn check_window(gamma: usize, window: Window) -> Result<(), InvalidField> {
    InvalidField::check((1..=511).contains(&gamma), "gamma", || {
        format!("is {gamma}, but an observation window has a side of 1 to 511")
    })?;
    let odd = gamma % 2 == 1 || window == Window::Raster1d;
    InvalidField::check(odd, "gamma", || {
        let (below, above) = (gamma - 1, gamma + 1);
        format!(
            "is {gamma}, but a square window centred on a site has an odd side: \
             use {below} or {above}, or window = \"raster1d\""
        )
    })
}
