//! Values and gradients of layers against PyTorch in f64 (fixtures/README.md).

use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::layer::{Act, Kind, Layer, Plan, Rows, Window};
use super::layout::Layout;
use super::params::Values;

struct Case {
    name: &'static str,
    kind: Kind,
}

const fn case(name: &'static str, kind: Kind) -> Case {
    Case { name, kind }
}

const fn conv(kernel: usize, stride: usize, padding: usize) -> Kind {
    Kind::Conv(Window::square(kernel, stride, padding))
}

const fn transposed(kernel: usize, stride: usize, padding: usize) -> Kind {
    Kind::Transposed(Window::square(kernel, stride, padding))
}

const PLAIN: Window = Window::square(3, 1, 1);

const DILATED: Window = Window {
    dilation: [2; 2],
    ..Window::square(3, 1, 2)
};

/// A window over one row of sites.
const fn flat(kernel: usize, stride: usize, padding: usize) -> Window {
    Window {
        kernel: [1, kernel],
        stride: [1, stride],
        padding: [0, padding],
        ..PLAIN
    }
}

const CASES: &[Case] = &[
    case("linear", Kind::Linear),
    case("conv_1x1", conv(1, 1, 0)),
    case("conv_1x1_s2", conv(1, 2, 0)),
    case("conv_k3s1p1", conv(3, 1, 1)),
    case("conv_k4s2p1", conv(4, 2, 1)),
    case("conv_k3s2p1_even", conv(3, 2, 1)),
    case("conv_k3s2p1_odd", conv(3, 2, 1)),
    case("conv_k3s2p1_h7w8", conv(3, 2, 1)),
    case("conv_k3s2p1_h8w7", conv(3, 2, 1)),
    case("conv_dil2", Kind::Conv(DILATED)),
    case(
        "conv_dil2s2",
        Kind::Conv(Window {
            stride: [2; 2],
            ..DILATED
        }),
    ),
    case("conv_groups2", Kind::Conv(Window { groups: 2, ..PLAIN })),
    case("conv_depthwise", Kind::Conv(Window { groups: 4, ..PLAIN })),
    case(
        "conv_k1x3_p0",
        Kind::Conv(Window {
            kernel: [1, 3],
            padding: [0; 2],
            ..PLAIN
        }),
    ),
    case(
        "conv_k5x3_p2",
        Kind::Conv(Window {
            kernel: [5, 3],
            padding: [2; 2],
            ..PLAIN
        }),
    ),
    case("conv1d_k3p1", Kind::Conv(flat(3, 1, 1))),
    case("convT_k3s1p1", transposed(3, 1, 1)),
    case("convT_k4s2p1", transposed(4, 2, 1)),
    case("convT_k4s2p1_h5w7", transposed(4, 2, 1)),
    case(
        "convT_k3s2p1op1",
        Kind::Transposed(Window {
            output_padding: [1; 2],
            ..Window::square(3, 2, 1)
        }),
    ),
    case(
        "convT_k5s2p2op1",
        Kind::Transposed(Window {
            output_padding: [1; 2],
            ..Window::square(5, 2, 2)
        }),
    ),
    case(
        "convT_dil2",
        Kind::Transposed(Window {
            padding: [1; 2],
            ..DILATED
        }),
    ),
    case(
        "convT_groups2",
        Kind::Transposed(Window {
            groups: 2,
            ..Window::square(4, 2, 1)
        }),
    ),
    case("convT1d_k4s2p1", Kind::Transposed(flat(4, 2, 1))),
];

/// `[n, c, h, w]` → `[n·h·w, c]`, `[n, c, w]` with h = 1; of a linear layer
/// `[…, c]` → `[n, c]`.
fn to_rows(kind: Kind, t: &Tensor) -> Rows {
    let flat = t.rank() == 3 && kind != Kind::Linear;
    let t = if flat {
        t.unsqueeze(2).unwrap()
    } else {
        t.clone()
    };
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
    let (Kind::Conv(window) | Kind::Transposed(window)) = kind else {
        return t.t().unwrap().contiguous().unwrap();
    };
    let t = if t.rank() == 3 {
        t.unsqueeze(2).unwrap()
    } else {
        t.clone()
    };
    let (first, second, kh, kw) = t.dims4().unwrap();
    let grouped = (window.groups, first / window.groups, second, kh, kw);
    let t = t.reshape(grouped).unwrap();
    let t = match kind {
        Kind::Transposed(_) => t.permute((0, 1, 3, 4, 2)),
        _ => t.permute((0, 3, 4, 2, 1)),
    };
    let t = t.unwrap().contiguous().unwrap();
    if window.groups == 1 {
        t.squeeze(0).unwrap()
    } else {
        t
    }
}

/// To 1e-6 of the largest value.
fn assert_close(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let (got, expected) = (flat_values(got), flat_values(expected));
    let largest = expected.iter().fold(0f32, |top, v| top.max(v.abs()));
    for (got, expected) in got.iter().zip(expected) {
        let error = (got - expected).abs() / largest;
        assert!(error < 1e-6, "{what}: {got} {expected}");
    }
}

fn flat_values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// The weight goes back to where it came from; 1d windows are 2d ones of
/// height 1 here.
fn assert_exports_as(case: &Case, weight: &Tensor, expected: &Tensor) {
    let values = Values {
        shape: weight.dims().to_vec(),
        data: flat_values(weight),
    };
    let exported = Layout::of(case.kind).to_pytorch(values).unwrap();
    let mut shape = expected.dims().to_vec();
    if shape.len() == 3 {
        shape.insert(2, 1);
    }
    assert_eq!(exported.shape, shape, "{}", case.name);
    assert_eq!(exported.data, flat_values(expected), "{}", case.name);
}

#[test]
fn layers_agree_with_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn/fixtures");
    for case in CASES {
        let path = folder.join(format!("{}.safetensors", case.name));
        let t = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let x = to_rows(case.kind, &t["in0"]);
        let weight = to_weight(case.kind, &t["in1"]);
        assert_exports_as(case, &weight, &t["in1"]);
        let (inputs, outputs) = (x.data.dim(1).unwrap(), t["y"].dims());
        let outputs = if case.kind == Kind::Linear {
            outputs[outputs.len() - 1]
        } else {
            outputs[1]
        };
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
        let expected = to_rows(case.kind, &t["y"]);
        assert_eq!((y.h, y.w), (expected.h, expected.w), "{}", case.name);
        assert_close(case.name, &y.data, &expected.data);

        let g = to_rows(case.kind, &t["g"]).data;
        let grads = (y.data * g).unwrap().sum_all().unwrap().backward().unwrap();
        assert_close(
            case.name,
            grads.get(&xv).unwrap(),
            &to_rows(case.kind, &t["d0"]).data,
        );
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
