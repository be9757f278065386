//! Exponential moving average of parameters: what a diffusion model samples
//! with. After each step, average = decay·average + (1 − decay)·parameter.

use candle_core::{Device, Result, Tensor, bail};

use super::narrow;
use super::params::Named;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ema {
    decay: f64,
    /// In the order of the parameters: all there is to store.
    pub(crate) averages: Vec<Vec<f32>>,
}

impl Ema {
    /// Starts at the parameters' values.
    ///
    /// # Errors
    /// When a parameter is not of f32.
    pub(crate) fn new(decay: f64, parameters: &Named) -> Result<Self> {
        let values = |(_, var): &(String, candle_core::Var)| -> Result<Vec<f32>> {
            var.as_tensor().flatten_all()?.to_vec1()
        };
        Ok(Self {
            decay,
            averages: parameters.iter().map(values).collect::<Result<_>>()?,
        })
    }

    /// Takes in the parameters after a step.
    ///
    /// # Errors
    /// When they are not those that it began with.
    pub(crate) fn update(&mut self, parameters: &Named) -> Result<()> {
        self.check(parameters)?;
        let new = narrow(1.0 - self.decay);
        for ((_, var), average) in parameters.iter().zip(&mut self.averages) {
            super::layer::with_values(var.as_tensor(), |values| {
                for (average, value) in average.iter_mut().zip(values) {
                    *average += new * (value - *average);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Sets parameters to the averages.
    ///
    /// # Errors
    /// When they are not of the shapes that it began with.
    pub(crate) fn write_to(&self, parameters: &Named) -> Result<()> {
        self.check(parameters)?;
        for ((_, var), average) in parameters.iter().zip(&self.averages) {
            var.set(&Tensor::from_slice(average, var.shape(), &Device::Cpu)?)?;
        }
        Ok(())
    }

    fn check(&self, parameters: &Named) -> Result<()> {
        let sizes = parameters.iter().map(|(_, var)| var.elem_count());
        if sizes.ne(self.averages.iter().map(Vec::len)) {
            bail!("averages of other parameters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    #[test]
    fn averages_follow_the_recurrence_and_go_on_when_stored() {
        let var = Var::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let named = vec![("p".to_owned(), var.clone())];
        let mut ema = Ema::new(0.9, &named).unwrap();
        let mut expected = [1f64, -2.0];
        let mut halfway = None;
        for step in 0..20u8 {
            let value = f32::from(step);
            var.set(&Tensor::new(&[value, 3.0 - value], &Device::Cpu).unwrap())
                .unwrap();
            ema.update(&named).unwrap();
            if let Some(stored) = &mut halfway {
                Ema::update(stored, &named).unwrap();
            }
            if step == 9 {
                let averages = ema.averages.clone();
                let restored = Ema::new(0.9, &named).unwrap();
                halfway = Some(Ema {
                    averages,
                    ..restored
                });
            }
            for (e, v) in expected.iter_mut().zip([value, 3.0 - value]) {
                *e = 0.9 * *e + 0.1 * f64::from(v);
            }
        }
        assert_eq!(halfway, Some(ema.clone()));
        ema.write_to(&named).unwrap();
        let got: Vec<f32> = var.as_tensor().to_vec1().unwrap();
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (f64::from(*got) - expected).abs() < 1e-5,
                "{got} {expected}"
            );
        }
        let other = vec![("q".to_owned(), Var::new(&[1f32], &Device::Cpu).unwrap())];
        assert!(ema.update(&other).is_err());
    }
}
