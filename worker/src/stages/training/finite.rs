//! What must stay finite, and where it first was not.

use ablate_proto::failure::Failure;
use candle_core::{Result as Tensors, Tensor};

use crate::nn::adam::Flaw;
use crate::nn::params::Named;

/// Some of candle's ops have no gradient, silently: every parameter must have
/// one, and a finite one.
pub(super) fn failure(name: &str, flaw: Flaw) -> Failure {
    Failure::bug(match flaw {
        Flaw::Missing => format!("{name} has no gradient: the loss does not reach it"),
        Flaw::NotFinite => format!("the gradient of {name} is not finite in the first step"),
    })
}

/// Where a loss that is not finite comes from, as far as parameters tell.
///
/// # Errors
/// None is expected.
pub(super) fn place(parameters: &Named) -> Tensors<String> {
    let mut most = ("", 0.0);
    for (name, var) in parameters {
        let value = largest(var.as_tensor())?;
        if !value.is_finite() {
            return Ok(format!(
                "{name} is the first parameter that is not finite; try a smaller learning rate"
            ));
        }
        if value >= most.1 {
            most = (name, value);
        }
    }
    let (name, value) = most;
    Ok(format!(
        "all parameters are finite, the largest is {value:e} in {name}; \
         try a smaller learning rate"
    ))
}

/// The largest absolute value; NaN if there is one.
fn largest(tensor: &Tensor) -> Tensors<f32> {
    let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    // `f32::max` would pass over a NaN.
    let larger = |most: f32, value: &f32| {
        let value = value.abs();
        if value > most || value.is_nan() {
            value
        } else {
            most
        }
    };
    Ok(values.iter().fold(0.0, larger))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::adam::Adam;

    fn named(values: &[(&str, [f32; 2])]) -> Named {
        let var = |values: &[f32; 2]| Var::new(values, &Device::Cpu).unwrap();
        let named = values.iter().map(|(n, v)| ((*n).to_owned(), var(v)));
        named.collect()
    }

    #[test]
    fn the_first_parameter_that_is_not_finite_is_named() {
        let place = |values: &[_]| super::place(&named(values)).unwrap();
        let broken = [
            ("a", [1.0, -2.0]),
            ("b", [f32::NAN, 9.0]),
            ("c", [f32::NAN; 2]),
        ];
        assert!(place(&broken).starts_with("b is the first"));
        assert!(place(&[("a", [f32::NEG_INFINITY, 1.0])]).starts_with("a is the first"));
        assert!(place(&[("a", [1.0, -2.0]), ("b", [0.5; 2])]).contains("2e0 in a"));
    }

    #[test]
    fn a_parameter_without_a_finite_gradient_is_named() {
        let parameters = named(&[("a", [1.0, 2.0]), ("b", [1.0, 0.0])]);
        let [a, b] = [0, 1].map(|i: usize| parameters[i].1.as_tensor());
        let check = |loss: Tensor| {
            let mut adam = Adam::new(&parameters).unwrap();
            match adam.descend(1, 0.0, &parameters, &loss, true).unwrap() {
                Some((index, flaw)) => Err(failure(&parameters[index].0, flaw).cause),
                None => Ok(()),
            }
        };
        assert_eq!(check((a + b).unwrap().sum_all().unwrap()), Ok(()));
        let without = check(a.sum_all().unwrap()).unwrap_err();
        assert!(without.contains("b has no gradient"), "{without}");
        let root = check((a + b.sqrt().unwrap()).unwrap().sum_all().unwrap()).unwrap_err();
        assert!(root.contains("of b is not finite"), "{root}");
    }
}
