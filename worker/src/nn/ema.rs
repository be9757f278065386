//! Exponential moving average of parameters: what a diffusion model samples
//! with. After each step, average = decay·average + (1 − decay)·parameter.

use candle_core::{Result, Tensor, bail};

use super::composed::optimiser::follow;
use super::narrow;
use super::params::Named;

#[derive(Debug, Clone)]
pub(crate) struct Ema {
    decay: f64,
    /// In the order of the parameters, and where they are.
    averages: Vec<Tensor>,
}

impl Ema {
    /// Starts at the parameters' values.
    ///
    /// # Errors
    /// When a parameter is not of f32.
    pub(crate) fn new(decay: f64, parameters: &Named) -> Result<Self> {
        let values = |(_, var): &(String, candle_core::Var)| var.as_detached_tensor().copy();
        Ok(Self {
            decay,
            averages: parameters.iter().map(values).collect::<Result<_>>()?,
        })
    }

    /// A copy of the averages: all there is to store.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn export(&self) -> Result<Vec<Vec<f32>>> {
        let copy = |average: &Tensor| average.flatten_all()?.to_vec1();
        self.averages.iter().map(copy).collect()
    }

    /// Puts averages in place of its own.
    ///
    /// # Errors
    /// When they are not those of as many values.
    pub(crate) fn import(&mut self, averages: Vec<Vec<f32>>) -> Result<()> {
        for (own, average) in self.averages.iter_mut().zip(averages) {
            *own = Tensor::from_vec(average, own.shape(), own.device())?;
        }
        Ok(())
    }

    /// Takes in the parameters after a step.
    ///
    /// # Errors
    /// When they are not those that it began with.
    pub(crate) fn update(&mut self, parameters: &Named) -> Result<()> {
        self.check(parameters)?;
        let new = narrow(1.0 - self.decay);
        for ((_, var), average) in parameters.iter().zip(&self.averages) {
            follow(average, var.as_tensor(), new)?;
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
            var.set(average)?;
        }
        Ok(())
    }

    fn check(&self, parameters: &Named) -> Result<()> {
        let shapes = parameters.iter().map(|(_, var)| var.shape());
        if shapes.ne(self.averages.iter().map(Tensor::shape)) {
            bail!("averages of other parameters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::nn::device::device;

    #[test]
    fn averages_follow_the_recurrence_and_go_on_when_stored() {
        let var = Var::new(&[1f32, -2.0], &device()).unwrap();
        let named = vec![("p".to_owned(), var.clone())];
        let mut ema = Ema::new(0.9, &named).unwrap();
        let mut expected = [1f64, -2.0];
        let mut halfway = None;
        for step in 0..20u8 {
            let value = f32::from(step);
            var.set(&Tensor::new(&[value, 3.0 - value], &device()).unwrap())
                .unwrap();
            ema.update(&named).unwrap();
            if let Some(stored) = &mut halfway {
                Ema::update(stored, &named).unwrap();
            }
            if step == 9 {
                let averages = ema.export().unwrap();
                let mut restored = Ema::new(0.9, &named).unwrap();
                restored.import(averages).unwrap();
                halfway = Some(restored);
            }
            for (e, v) in expected.iter_mut().zip([value, 3.0 - value]) {
                *e = 0.9 * *e + 0.1 * f64::from(v);
            }
        }
        let halfway = halfway.map(|stored| stored.export().unwrap());
        assert_eq!(halfway, Some(ema.export().unwrap()));
        ema.write_to(&named).unwrap();
        let got: Vec<f32> = var.as_tensor().to_vec1().unwrap();
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (f64::from(*got) - expected).abs() < 1e-5,
                "{got} {expected}"
            );
        }
        let other = vec![("q".to_owned(), Var::new(&[1f32], &device()).unwrap())];
        assert!(ema.update(&other).is_err());
    }

    #[cfg(feature = "cuda")]
    #[test]
    #[ignore = "needs a GPU"]
    fn gpu_averages_are_the_same() {
        crate::nn::cuda::tests::on_gpu(averages_follow_the_recurrence_and_go_on_when_stored);
    }
}
