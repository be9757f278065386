//! Values and gradients of layers against PyTorch in f64 (fixtures/README.md).

use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::layer::{Act, Kind, Layer, Plan, Rows, Window};

struct Case {
    name: &'static str,
    kind: Kind,
}

const fn window(kernel: usize, stride: usize, padding: usize) -> Window {
    Window {
        kernel,
        stride,
        padding,
    }
}

const CASES: &[Case] = &[
    Case {
        name: "linear",
        kind: Kind::Linear,
    },
    Case {
        name: "conv_1x1",
        kind: Kind::Linear,
    },
    Case {
        name: "conv_k3s1p1",
        kind: Kind::Conv(window(3, 1, 1)),
    },
    Case {
        name: "conv_k4s2p1",
        kind: Kind::Conv(window(4, 2, 1)),
    },
    Case {
        name: "conv_k3s2p1_odd",
        kind: Kind::Conv(window(3, 2, 1)),
    },
    Case {
        name: "convT_k3s1p1",
        kind: Kind::Transposed(window(3, 1, 1)),
    },
    Case {
        name: "convT_k4s2p1",
        kind: Kind::Transposed(window(4, 2, 1)),
    },
    Case {
        name: "convT_k4s2p1_h5w7",
        kind: Kind::Transposed(window(4, 2, 1)),
    },
];

/// `[n, c, h, w]` → `[n·h·w, c]`; `[…, c]` → `[n, c]`.
fn to_rows(t: &Tensor) -> Rows {
    let Ok((n, c, h, w)) = t.dims4() else {
        let data = t.flatten_to(t.rank() - 2).unwrap();
        let n = data.dim(0).unwrap();
        return Rows {
            data,
            n,
            h: 1,
            w: 1,
        };
    };
    let data = t.permute((0, 2, 3, 1)).unwrap().reshape((n * h * w, c));
    Rows {
        data: data.unwrap().contiguous().unwrap(),
        n,
        h,
        w,
    }
}

/// PyTorch's weight layout → ours.
fn to_weight(kind: Kind, t: &Tensor) -> Tensor {
    let t = match kind {
        Kind::Linear => t.flatten_from(1).unwrap().t(),
        Kind::Conv(_) => t.permute((2, 3, 1, 0)),
        Kind::Transposed(_) => t.permute((0, 2, 3, 1)),
    };
    t.unwrap().contiguous().unwrap()
}

fn assert_close(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (got, expected) in flat(got).iter().zip(flat(expected)) {
        let bound = 2e-4 * expected.abs().max(1.0);
        assert!((got - expected).abs() < bound, "{what}: {got} {expected}");
    }
}

#[test]
fn layers_agree_with_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn/fixtures");
    for case in CASES {
        let path = folder.join(format!("{}.safetensors", case.name));
        let t = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let x = to_rows(&t["in0"]);
        let weight = to_weight(case.kind, &t["in1"]);
        let (inputs, outputs) = (x.data.dim(1).unwrap(), *weight.dims().last().unwrap());
        let bias = t.get("in2").cloned();
        let bias =
            bias.unwrap_or_else(|| Tensor::zeros(outputs, weight.dtype(), &Device::Cpu).unwrap());
        let var = |t: &Tensor| Var::from_tensor(t).unwrap();
        let (xv, wv, bv) = (var(&x.data), var(&weight), var(&bias));
        let plan = Plan {
            name: case.name.to_owned(),
            kind: case.kind,
            inputs,
            outputs,
            act: Act::None,
        };
        assert_eq!(plan.weight_shape(), weight.dims(), "{}", case.name);
        let layer = Layer {
            plan,
            weight: wv.as_tensor().clone(),
            bias: bv.as_tensor().clone(),
        };
        let input = Rows {
            data: xv.as_tensor().clone(),
            ..x
        };
        let y = layer.forward(&input).unwrap();
        let expected = to_rows(&t["y"]);
        assert_eq!((y.h, y.w), (expected.h, expected.w), "{}", case.name);
        assert_close(case.name, &y.data, &expected.data);

        let g = to_rows(&t["g"]).data;
        let grads = (y.data * g).unwrap().sum_all().unwrap().backward().unwrap();
        assert_close(case.name, grads.get(&xv).unwrap(), &to_rows(&t["d0"]).data);
        let dw = to_weight(case.kind, &t["d1"]);
        assert_close(case.name, grads.get(&wv).unwrap(), &dw);
        if let Some(db) = t.get("d2") {
            assert_close(case.name, grads.get(&bv).unwrap(), db);
        }
    }
}

/// The activations' gradients, by central differences.
#[test]
fn activations_have_the_slope_of_their_values() {
    for act in [Act::None, Act::Relu, Act::LeakyRelu, Act::Tanh] {
        let layer = |bias: f32| Layer {
            plan: Plan {
                name: "a".to_owned(),
                kind: Kind::Linear,
                inputs: 1,
                outputs: 1,
                act,
            },
            weight: Tensor::new(&[[0.7f32]], &Device::Cpu).unwrap(),
            bias: Tensor::new(&[bias], &Device::Cpu).unwrap(),
        };
        for x in [-1.3f32, 0.8] {
            let at = |x: f32| {
                let x = Tensor::new(&[[x]], &Device::Cpu).unwrap();
                let y = super::layer::linear(&layer(0.1), &x).unwrap();
                y.sum_all().unwrap().to_scalar::<f32>().unwrap()
            };
            let var = Var::new(&[[x]], &Device::Cpu).unwrap();
            let y = super::layer::linear(&layer(0.1), var.as_tensor()).unwrap();
            let grads = y.sum_all().unwrap().backward().unwrap();
            let grad = grads.get(&var).unwrap().sum_all().unwrap();
            let numeric = (at(x + 1e-2) - at(x - 1e-2)) / 2e-2;
            let grad = grad.to_scalar::<f32>().unwrap();
            assert!(
                (grad - numeric).abs() < 1e-3,
                "{act:?} {x}: {grad} {numeric}"
            );
        }
    }
}
