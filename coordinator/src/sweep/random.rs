//! `[random]`: points drawn from distributions by a seed that stands in the
//! file, so that the same file is always the same points.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Number, Value};

use super::axes::canonical;
use super::error::{Fault, Hint, Origin, Problem};
use super::file::dotted;
use super::read::{Entry, only};

/// `count` points; every axis is drawn independently.
#[derive(Debug, Clone)]
pub(super) struct Random {
    pub(super) count: u64,
    pub(super) count_at: Origin,
    pub(super) seed: u64,
    pub(super) axes: Vec<Drawn>,
}

#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) name: String,
    pub(super) at: Origin,
    from: Distribution,
}

#[derive(Debug, Clone)]
enum Distribution {
    Uniform(f64, f64),
    LogUniform(f64, f64),
    /// Whole numbers, both bounds included.
    Integer(i64, i64),
    Choice(Vec<Value>),
}

const DISTRIBUTIONS: &[&str] = &["uniform", "log_uniform", "integer", "choice"];

pub(super) fn read(entry: &Entry<'_, '_>) -> Result<Random, Fault> {
    let fields = entry.entries()?;
    only(&fields, "[random]", &["count", "seed", "axes"])?;
    let missing = |key, example| {
        let section = "[random]".to_owned();
        Fault::new(
            entry.at,
            Problem::MissingKey {
                key,
                section,
                example,
            },
        )
    };
    let field = |key: &str| fields.iter().find(|field| field.key == key);
    let count = field("count").ok_or_else(|| missing("count", "count = 20"))?;
    let seed = field("seed").ok_or_else(|| missing("seed", "seed = 0"))?;
    let axes =
        field("axes").ok_or_else(|| missing("axes", "axes = { gamma = { choice = [3, 5] } }"))?;
    let is_stage = |table: &toml::de::DeTable<'_>| {
        !DISTRIBUTIONS.iter().any(|name| table.contains_key(*name))
            && table.values().all(|value| value.get_ref().is_table())
    };
    let mut drawn = dotted(axes.entries()?, is_stage)?
        .iter()
        .map(axis)
        .collect::<Result<Vec<_>, _>>()?;
    // The order of the keys in the file changes nothing.
    drawn.sort_by(|a, b| a.name.cmp(&b.name));
    let random = Random {
        count: count.whole()?,
        count_at: count.at,
        seed: seed.whole()?,
        axes: drawn,
    };
    if random.count == 0 {
        let problem = Problem::BadRandom("count is 0; draw at least one point".to_owned());
        return Err(Fault::new(count.at, problem));
    }
    if random.axes.is_empty() {
        return Err(missing("axes", "axes = { gamma = { choice = [3, 5] } }"));
    }
    Ok(random)
}

fn axis(entry: &Entry<'_, '_>) -> Result<Drawn, Fault> {
    let section = format!("the distribution of {}", entry.key);
    let inner = entry.entries()?;
    only(&inner, &section, DISTRIBUTIONS)?;
    let refuse = |why: &str| {
        let why = why.to_owned();
        let key = entry.key.clone();
        Fault::new(entry.at, Problem::BadValue { key, why })
    };
    let [given] = &inner[..] else {
        return Err(Fault::new(
            entry.at,
            Problem::UnknownKey {
                key: entry.key.clone(),
                section: "[random], which needs one distribution per axis".to_owned(),
                hint: Hint::known(DISTRIBUTIONS.iter().copied()),
            },
        ));
    };
    given.list()?;
    let Value::Array(values) = given.json()? else {
        unreachable!("a list is an array");
    };
    let floats = || match &values[..] {
        [a, b] => a.as_f64().zip(b.as_f64()).filter(|(a, b)| a < b),
        _ => None,
    };
    let bounds = "needs two bounds, the lower first, as in [0.1, 2.0]";
    let from = match given.key.as_str() {
        "uniform" => {
            let (a, b) = floats().ok_or_else(|| refuse(bounds))?;
            Distribution::Uniform(a, b)
        }
        "log_uniform" => {
            let (a, b) = floats().ok_or_else(|| refuse(bounds))?;
            if a <= 0.0 {
                return Err(refuse("needs bounds above 0 on a logarithmic scale"));
            }
            Distribution::LogUniform(a, b)
        }
        "integer" => match &values[..] {
            [a, b] => a
                .as_i64()
                .zip(b.as_i64())
                .filter(|(a, b)| a <= b)
                .map(|(a, b)| Distribution::Integer(a, b))
                .ok_or_else(|| refuse("needs two whole bounds, the lower first"))?,
            _ => return Err(refuse("needs two whole bounds, the lower first")),
        },
        _ if values.is_empty() => {
            let axis = entry.key.clone();
            return Err(Fault::new(entry.at, Problem::EmptyAxis { axis }));
        }
        _ => Distribution::Choice(values),
    };
    Ok(Drawn {
        name: entry.key.clone(),
        at: entry.at,
        from,
    })
}

impl Random {
    /// Draws the points: one row of values each, in the order of `axes`. All
    /// rows differ.
    ///
    /// # Errors
    /// The distributions do not hold so many different points.
    pub(super) fn draw(&self) -> Result<Vec<Vec<Value>>, Fault> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(seed);
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        let possible = self.axes.iter().try_fold(1u128, |product, axis| {
            product.checked_mul(axis.from.size()?)
        });
        // Enough to find the last of a known number of points; where there is
        // no number, repeats mean that the bounds are too narrow.
        let patience = possible.map_or(10_000, |possible| possible.saturating_mul(32));
        let mut repeats = 0;
        while (rows.len() as u64) < self.count {
            let few = possible.filter(|possible| *possible < u128::from(self.count));
            if few.is_some() || repeats > patience {
                return Err(self.too_few(few.unwrap_or(rows.len() as u128)));
            }
            let row: Vec<Value> = self.axes.iter().map(|a| a.from.draw(&mut rng)).collect();
            if seen.insert(row.iter().map(canonical).collect::<Vec<_>>()) {
                rows.push(row);
                repeats = 0;
            } else {
                repeats += 1;
            }
        }
        Ok(rows)
    }

    fn too_few(&self, possible: u128) -> Fault {
        let count = self.count;
        let problem = Problem::BadRandom(format!(
            "count is {count}, but there are only {possible} different points; \
             lower it, or widen a distribution"
        ));
        Fault::new(self.count_at, problem)
    }
}

impl Distribution {
    /// How many values there are, where they can be counted.
    fn size(&self) -> Option<u128> {
        match self {
            Self::Uniform(..) | Self::LogUniform(..) => None,
            Self::Integer(a, b) => Some(u128::from(b.abs_diff(*a)) + 1),
            Self::Choice(values) => {
                let distinct: HashSet<String> = values.iter().map(canonical).collect();
                Some(distinct.len() as u128)
            }
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Value {
        match self {
            Self::Uniform(a, b) => rounded(a + (b - a) * fraction(rng), *a, *b),
            Self::LogUniform(a, b) => {
                let (low, high) = (a.ln(), b.ln());
                rounded((low + (high - low) * fraction(rng)).exp(), *a, *b)
            }
            Self::Integer(a, b) => {
                let step = below(rng, u128::from(b.abs_diff(*a)) + 1);
                Value::from(a.wrapping_add_unsigned(step))
            }
            Self::Choice(values) => {
                let index = usize::try_from(below(rng, values.len() as u128));
                let value = index.ok().and_then(|index| values.get(index));
                value.cloned().unwrap_or_default()
            }
        }
    }
}

/// 53 random bits as a fraction in [0, 1).
fn fraction(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

impl Drawn {
    /// The values of a choice.
    pub(super) fn choices(&self) -> &[Value] {
        match &self.from {
            Distribution::Choice(values) => values,
            Distribution::Uniform(..)
            | Distribution::LogUniform(..)
            | Distribution::Integer(..) => &[],
        }
    }
}

/// A whole number below `bound`, which is at most 2^64.
fn below(rng: &mut ChaCha8Rng, bound: u128) -> u64 {
    let product = u128::from(rng.next_u64()) * bound;
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

/// Six significant digits, so that labels stay short, inside the bounds.
fn rounded(value: f64, low: f64, high: f64) -> Value {
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let inside = if (low..=high).contains(&short) {
        short
    } else {
        value.clamp(low, high)
    };
    Number::from_f64(inside).map_or(Value::Null, Value::Number)
}
