//! Weights, images and vectors that `record.py` computes too: nothing large
//! has to be kept, and nobody's weights are needed.

use crate::data::images::Images;
use crate::metrics::Features;
use crate::models::inception;
use crate::nn::narrow;
use crate::nn::params::Values;
use crate::weights::InceptionWeights;

/// Values in [0, 1) of 24 bits: splitmix64 of key·2³² + index.
pub(crate) fn hashed(key: u64, count: usize) -> impl Iterator<Item = f64> {
    (0..count as u64).map(move |index| {
        let z = (index + (key << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

fn signed(key: u64, count: usize) -> impl Iterator<Item = f64> {
    hashed(key, count).map(|x| 2.0 * x - 1.0)
}

/// Of each tensor, in the order of the network.
pub(crate) fn weights() -> InceptionWeights {
    let tensors = inception::expected().into_iter().zip(0..);
    let values = tensors.map(|((name, shape), key)| {
        let count: usize = shape.iter().product();
        let data: Vec<f32> = if name.ends_with("conv.weight") {
            let fan_in = (count / shape[0]) as f64;
            let scale = (6.0 / fan_in).sqrt();
            signed(key, count).map(|x| narrow(x * scale)).collect()
        } else if name == "fc.weight" {
            let scale = (3.0 / shape[1] as f64).sqrt();
            signed(key, count).map(|x| narrow(x * scale)).collect()
        } else if name.ends_with("bn.weight") || name.ends_with("running_var") {
            hashed(key, count).map(|x| narrow(0.75 + 0.5 * x)).collect()
        } else {
            signed(key, count).map(|x| narrow(0.2 * x)).collect()
        };
        (name, Values { shape, data })
    });
    InceptionWeights {
        values: values.collect(),
        unknown: Vec::new(),
        auxiliary: 0,
    }
}

/// Images of 8 bits, as the data sets give them: waves with noise.
pub(super) fn images(keys: impl IntoIterator<Item = u64>, side: usize) -> Images {
    let mut data = Vec::new();
    for key in keys {
        let mut noise = hashed(1000 + key, 3 * side * side);
        for c in 0..3 {
            for y in 0..side as u64 {
                for x in 0..side as u64 {
                    let wave = (x * (3 + key) + y * (5 + 2 * c) + 40 * c + 17 * key) % 256;
                    let noise = noise.next().map_or(0.0, |x| (64.0 * x).floor());
                    let level = narrow((wave as f64 + noise) % 256.0);
                    data.push(2.0 * level / 255.0 - 1.0);
                }
            }
        }
    }
    Images {
        n: data.len() / (3 * side * side),
        channels: 3,
        h: side,
        w: side,
        data,
    }
}

pub(super) fn vectors(key: u64, n: usize, width: usize, scale: f64, shift: f64) -> Features {
    let values = signed(2000 + key, n * width);
    let data = values.map(|x| narrow(x * scale + shift)).collect();
    Features { n, width, data }
}
