//! What a checkpoint holds: parameters `p.*`, Adam's moments `m.*` and `v.*`,
//! buffers `b.*`, moving averages `e.*`.

use std::collections::BTreeMap;

use ablate_proto::failure::Failure;
use candle_core::{Device, Tensor, Var};

use super::Player;
use crate::data::arrays::Array;
use crate::nn::ema::Ema;
use crate::nn::params::{self, Values};
use crate::runner::checkpoint::Saved;
use crate::runner::failure::OrFail as _;

type Vars = [(String, Var)];

pub(super) fn of(
    buffers: &Vars,
    players: &[Player<'_>],
    average: Option<&Ema>,
) -> Result<BTreeMap<String, Array>, Failure> {
    let mut arrays = BTreeMap::new();
    let mut copy = |which: &str, vars: &Vars| {
        let values = params::export(vars).or_bug("copying parameters")?;
        arrays.extend(values.into_iter().map(|(name, values)| {
            let array = Array::f32(&values.shape, values.data);
            (format!("{which}.{name}"), array)
        }));
        Ok::<_, Failure>(())
    };
    copy("b", buffers)?;
    for player in players {
        copy("p", &player.group.parameters)?;
    }
    let mut put = |which: &str, (name, var): &(String, Var), data: &[f32]| {
        let array = Array::f32(var.dims(), data.to_vec());
        arrays.insert(format!("{which}.{name}"), array);
    };
    for player in players {
        for (named, moments) in player.group.parameters.iter().zip(&player.adam.moments) {
            put("m", named, &moments.m);
            put("v", named, &moments.v);
        }
    }
    if let (Some(average), Some(first)) = (average, players.first()) {
        for (named, average) in first.group.parameters.iter().zip(&average.averages) {
            put("e", named, average);
        }
    }
    Ok(arrays)
}

/// Puts a checkpoint back, once all of it is known to be right; returns its
/// step.
///
/// # Errors
/// When it does not hold exactly the state of such a training.
pub(super) fn restore(
    mut saved: Saved,
    steps: u64,
    buffers: &Vars,
    players: &mut [Player<'_>],
    average: &mut Option<Ema>,
) -> Result<u64, Failure> {
    if saved.step > steps {
        let why = format!("it is of step {}, and the last is {steps}", saved.step);
        return Err(saved.arrays.wrong(why).into());
    }
    let mut expected = BTreeMap::new();
    let mut expect = |which: &str, vars: &Vars| {
        let shape = |(name, var): &(String, Var)| (format!("{which}.{name}"), var.dims().to_vec());
        expected.extend(vars.iter().map(shape));
    };
    expect("b", buffers);
    for player in players.iter() {
        for which in ["p", "m", "v"] {
            expect(which, &player.group.parameters);
        }
    }
    if let (Some(_), Some(first)) = (&average, players.first()) {
        expect("e", &first.group.parameters);
    }
    let mut all = saved.arrays.parameters(&expected)?;
    saved.arrays.finish()?;
    set("b", buffers, &mut all)?;
    for player in players.iter_mut() {
        let parameters = &player.group.parameters;
        set("p", parameters, &mut all)?;
        for ((name, _), moments) in parameters.iter().zip(&mut player.adam.moments) {
            moments.m = take("m", name, &mut all);
            moments.v = take("v", name, &mut all);
        }
    }
    if let (Some(average), Some(first)) = (average, players.first()) {
        let names = first.group.parameters.iter().zip(&mut average.averages);
        names.for_each(|((name, _), average)| *average = take("e", name, &mut all));
    }
    Ok(saved.step)
}

fn set(which: &str, vars: &Vars, all: &mut BTreeMap<String, Values>) -> Result<(), Failure> {
    let doing = "restoring parameters";
    for (name, var) in vars {
        let data = take(which, name, all);
        let values = Tensor::from_vec(data, var.dims(), &Device::Cpu).or_bug(doing)?;
        var.set(&values).or_bug(doing)?;
    }
    Ok(())
}

/// The values that were checked to be there.
fn take(which: &str, name: &str, all: &mut BTreeMap<String, Values>) -> Vec<f32> {
    let values = all.remove(&format!("{which}.{name}"));
    values.map(|v| v.data).unwrap_or_default()
}
