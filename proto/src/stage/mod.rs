//! The stage kinds and every hyper-parameter of each. To add a kind: a file
//! here and one line in `stages!`.
//!
//! A spec is plain data with defaults. `StageKind::info` says what goes in,
//! whether the seed matters, and the recipe version, which is raised whenever
//! the code of a stage changes its results.

mod arvm;
mod autoencoder;
mod command;
mod count;
mod dataset;
mod decoder;
mod diffusion;
mod encode;
mod evaluate;
mod features;
mod gan;
mod gather;
mod generate;
mod likelihood;
mod neighbours;
mod noise;
mod noop;
mod pixelcnn;
mod resample;
mod sample;
mod schedule;
pub mod shard;
mod vae;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use arvm::{ArvmSpec, Head, Prior, Tie, Unseen, Weighting, Window};
pub use autoencoder::{AutoencoderNet, AutoencoderSpec, LatentAct};
pub use command::{CommandSpec, MAX_FILE_BYTES, MAX_FILES, MAX_FILES_BYTES, is_inside, is_name};
pub use count::CountSpec;
pub use dataset::{DIGITS_COUNT, DIGITS_DIGEST, DatasetSpec, HeldOutFrom, Upsampling};
pub use decoder::DecoderSpec;
pub use diffusion::{DiffusionNet, DiffusionSpec};
pub use encode::EncodeSpec;
pub use evaluate::{EvaluateSpec, FidMode, Nearness, Shown};
pub use features::FeaturesSpec;
pub use gan::GanSpec;
pub use gather::GatherSpec;
pub use generate::GenerateSpec;
pub use likelihood::LikelihoodSpec;
pub use neighbours::NeighboursSpec;
pub use noise::{Exponent, Noise, NoiseSpec};
pub use noop::NoopSpec;
pub use pixelcnn::PixelcnnSpec;
pub use resample::{Part, ResampleSpec};
pub use sample::SampleSpec;
pub use schedule::Schedule;
pub use vae::{Likelihood, Reading, VaeSpec};

/// What the planner and the scheduler know of a stage kind.
#[derive(Debug)]
pub struct KindInfo {
    pub name: &'static str,
    /// One line for `--help` and the report.
    pub summary: &'static str,
    /// Raised when the stage's code changes its results.
    pub recipe: u32,
    /// Whether it draws random numbers. If not, replicates share its tasks.
    pub seeded: bool,
    pub inputs: &'static [InputInfo],
    /// Hidden kinds serve tests and benchmarks and stay out of help texts.
    pub hidden: bool,
}

/// A role a parent can play.
#[derive(Debug)]
pub struct InputInfo {
    pub role: &'static str,
    pub accepts: &'static [StageKind],
    pub required: bool,
}

impl InputInfo {
    pub(crate) const fn required(role: &'static str, accepts: &'static [StageKind]) -> Self {
        Self {
            role,
            accepts,
            required: true,
        }
    }

    pub(crate) const fn optional(role: &'static str, accepts: &'static [StageKind]) -> Self {
        Self {
            role,
            accepts,
            required: false,
        }
    }
}

/// What each spec says of itself.
pub(crate) trait Spec: Serialize + DeserializeOwned + Default {
    const INFO: KindInfo;

    /// Checks ranges and combinations. The planner calls it for every task,
    /// before anything runs.
    fn validate(&self) -> Result<(), InvalidField>;

    /// Parameters that came after results were kept: each with its default, at
    /// which it is left out of the spec's JSON, so that keys stay as they were.
    fn added() -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// blake3 of the raw data that this stage reads from outside the store's
    /// tasks.
    fn data_digest(&self) -> Option<&str> {
        None
    }
}

/// A parameter with a value that cannot be used, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {why}")]
pub struct InvalidField {
    pub field: &'static str,
    pub why: String,
}

impl InvalidField {
    pub(crate) fn check(
        holds: bool,
        field: &'static str,
        why: impl FnOnce() -> String,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self { field, why: why() })
        }
    }
}

/// Why parameters do not make a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("unknown parameter `{field}` of a stage of kind `{kind}`")]
    UnknownField {
        kind: StageKind,
        field: String,
        nearest: Option<String>,
    },
    #[error("parameter `{field}`: {why}")]
    WrongType { field: String, why: String },
    #[error(transparent)]
    Invalid(#[from] InvalidField),
}

/// A name that is not a stage kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage kind `{0}`")]
pub struct UnknownKind(pub String);

macro_rules! stages {
    ($($kind:ident => $spec:ident),* $(,)?) => {
        /// A kind of stage.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum StageKind { $($kind),* }

        /// Every hyper-parameter of one stage.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StageSpec { $($kind($spec)),* }

        impl StageKind {
            pub const ALL: &'static [StageKind] = &[$(StageKind::$kind),*];

            pub fn info(self) -> &'static KindInfo {
                match self {
                    $(Self::$kind => const { &<$spec as Spec>::INFO }),*
                }
            }

            /// The spec with every parameter at its default.
            pub fn defaults(self) -> StageSpec {
                match self {
                    $(Self::$kind => StageSpec::$kind($spec::default())),*
                }
            }

            fn added(self) -> Vec<(&'static str, Value)> {
                match self {
                    $(Self::$kind => $spec::added()),*
                }
            }

            fn parse(self, parameters: &Map<String, Value>) -> Result<StageSpec, SpecError> {
                match self {
                    $(Self::$kind => parse::<$spec>(self, parameters).map(StageSpec::$kind)),*
                }
            }
        }

        impl StageSpec {
            pub fn kind(&self) -> StageKind {
                match self {
                    $(Self::$kind(_) => StageKind::$kind),*
                }
            }

            /// All parameters, defaults included.
            pub fn parameters(&self) -> Map<String, Value> {
                let value = match self {
                    $(Self::$kind(spec) => serde_json::to_value(spec)),*
                };
                match value {
                    Ok(Value::Object(map)) => map,
                    other => unreachable!("specs serialise to objects, not {other:?}"),
                }
            }

            pub fn validate(&self) -> Result<(), InvalidField> {
                match self {
                    $(Self::$kind(spec) => spec.validate()),*
                }
            }

            pub fn data_digest(&self) -> Option<&str> {
                match self {
                    $(Self::$kind(spec) => spec.data_digest()),*
                }
            }
        }

        $(impl From<$spec> for StageSpec {
            fn from(spec: $spec) -> Self {
                Self::$kind(spec)
            }
        })*
    };
}

stages! {
    Dataset => DatasetSpec,
    Autoencoder => AutoencoderSpec,
    Decoder => DecoderSpec,
    Encode => EncodeSpec,
    Count => CountSpec,
    Arvm => ArvmSpec,
    Pixelcnn => PixelcnnSpec,
    Sample => SampleSpec,
    Vae => VaeSpec,
    Gan => GanSpec,
    Diffusion => DiffusionSpec,
    Generate => GenerateSpec,
    Resample => ResampleSpec,
    Features => FeaturesSpec,
    Evaluate => EvaluateSpec,
    Likelihood => LikelihoodSpec,
    Command => CommandSpec,
    Noop => NoopSpec,
    Gather => GatherSpec,
    Neighbours => NeighboursSpec,
}

impl StageKind {
    /// Whether the names of parameters and roles are the author's: then any
    /// stage can play a role, and parameters stand in the table `params`.
    pub fn is_open(self) -> bool {
        self == Self::Command
    }

    /// The default of a parameter.
    pub fn default_of(self, field: &str) -> Option<Value> {
        let added = self.added().into_iter();
        let mut added = added.filter_map(|(name, value)| (name == field).then_some(value));
        let known = || self.defaults().parameters().remove(field);
        added.next().or_else(known)
    }

    /// The names of its parameters, sorted.
    pub fn fields(self) -> Vec<String> {
        self.field_names().to_vec()
    }

    /// Every spec that is built asks for them.
    fn field_names(self) -> &'static [String] {
        static NAMES: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
            let names = |kind: &StageKind| {
                let added = kind.added().into_iter().map(|(name, _)| name.to_owned());
                let known = kind.defaults().parameters();
                let mut names: Vec<String> = known.keys().cloned().chain(added).collect();
                names.sort();
                names
            };
            StageKind::ALL.iter().map(names).collect()
        });
        // `ALL` has the kinds in the order of the enum.
        &NAMES[self as usize]
    }
}

impl StageSpec {
    /// Builds a spec from parameters; what is left out has its default.
    ///
    /// # Errors
    /// Names the first parameter that is unknown (with the nearest known
    /// one), of a wrong type, or out of range.
    pub fn build(kind: StageKind, parameters: &Map<String, Value>) -> Result<Self, SpecError> {
        let fields = kind.field_names();
        for field in parameters.keys() {
            if !fields.contains(field) {
                return Err(SpecError::UnknownField {
                    kind,
                    field: field.clone(),
                    nearest: nearest(field, fields.iter().map(String::as_str)),
                });
            }
        }
        let spec = kind.parse(parameters)?;
        spec.validate()?;
        Ok(spec)
    }
}

fn parse<S: Spec>(kind: StageKind, parameters: &Map<String, Value>) -> Result<S, SpecError> {
    // Mostly there is nothing to explain.
    if let Ok(spec) = S::deserialize(parameters) {
        return Ok(spec);
    }
    serde_path_to_error::deserialize(Value::Object(parameters.clone())).map_err(|e| {
        SpecError::WrongType {
            field: match e.path().to_string().as_str() {
                "." => kind.to_string(),
                path => path.to_owned(),
            },
            why: e.into_inner().to_string(),
        }
    })
}

/// The candidate that `name` was most likely meant to be, if any is close.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        .filter(|(distance, c)| *distance <= 1 + name.len().max(c.len()) / 3)
        .min()
        .map(|(_, c)| c.to_owned())
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl FromStr for StageKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.info().name == name)
            .ok_or_else(|| UnknownKind(name.chars().take(80).collect()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagged {
    kind: String,
    parameters: Map<String, Value>,
}

impl Serialize for StageSpec {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Tagged {
            kind: self.kind().to_string(),
            parameters: self.parameters(),
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for StageSpec {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let tagged = Tagged::deserialize(d)?;
        let kind = tagged.kind.parse().map_err(serde::de::Error::custom)?;
        Self::build(kind, &tagged.parameters).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
