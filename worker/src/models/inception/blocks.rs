//! What the network consists of, before it has weights: blocks of branches
//! that see the same map and whose outputs stand side by side.

use crate::nn::layer::{Act, Kind, Plan, Window};

/// A convolution, or whatever stands for one: its batch norm and ReLU belong
/// to it.
#[derive(Debug, Clone)]
pub(super) enum Step<C> {
    Conv(C),
    /// Two that see the same map; their outputs stand side by side.
    Both(C, C),
    /// 3×3 of stride 1, of the sites inside of the image.
    Average,
    /// 3×3 of this stride; of stride 1 with padding.
    Maximum {
        stride: usize,
    },
}

pub(super) type Branch<C> = Vec<Step<C>>;

#[derive(Debug, Clone)]
pub(super) struct Block<C> {
    pub(super) branches: Vec<Branch<C>>,
}

impl<C> Block<C> {
    /// The same block of other convolutions, in their order.
    pub(super) fn map<D, E>(self, mut each: impl FnMut(C) -> Result<D, E>) -> Result<Block<D>, E> {
        let mut step = |step| {
            Ok(match step {
                Step::Conv(a) => Step::Conv(each(a)?),
                Step::Both(a, b) => Step::Both(each(a)?, each(b)?),
                Step::Average => Step::Average,
                Step::Maximum { stride } => Step::Maximum { stride },
            })
        };
        let branch = |branch: Branch<C>| branch.into_iter().map(&mut step).collect();
        let branches = self.branches.into_iter().map(branch);
        Ok(Block {
            branches: branches.collect::<Result<_, E>>()?,
        })
    }
}

/// The blocks from the image, `[3, 299, 299]`, to the map of 2,048 channels,
/// and the names that PyTorch's files give to their convolutions.
pub(super) fn blocks() -> Vec<Block<Plan>> {
    let stem =
        |name, inputs, outputs, window| alone(vec![conv("", name, [inputs, outputs], window)]);
    let shrink = || alone(vec![Step::Maximum { stride: 2 }]);
    vec![
        stem("Conv2d_1a_3x3", 3, 32, Window::square(3, 2, 0)),
        stem("Conv2d_2a_3x3", 32, 32, Window::square(3, 1, 0)),
        stem("Conv2d_2b_3x3", 32, 64, SAME),
        shrink(),
        stem("Conv2d_3b_1x1", 64, 80, ONE),
        stem("Conv2d_4a_3x3", 80, 192, Window::square(3, 1, 0)),
        shrink(),
        a("Mixed_5b", 192, 32),
        a("Mixed_5c", 256, 64),
        a("Mixed_5d", 288, 64),
        b("Mixed_6a", 288),
        c("Mixed_6b", 128),
        c("Mixed_6c", 160),
        c("Mixed_6d", 160),
        c("Mixed_6e", 192),
        d("Mixed_7a", 768),
        e("Mixed_7b", 1280, Step::Average),
        // As the network was published, against its paper's text.
        e("Mixed_7c", 2048, Step::Maximum { stride: 1 }),
    ]
}

const ONE: Window = Window::square(1, 1, 0);
const SAME: Window = Window::square(3, 1, 1);

/// A window along one side that keeps the sides.
const fn line(kernel: [usize; 2]) -> Window {
    Window {
        kernel,
        padding: [kernel[0] / 2, kernel[1] / 2],
        ..ONE
    }
}

fn alone(branch: Branch<Plan>) -> Block<Plan> {
    Block {
        branches: vec![branch],
    }
}

fn plan(block: &str, name: &str, [inputs, outputs]: [usize; 2], window: Window) -> Plan {
    let dot = if block.is_empty() { "" } else { "." };
    let kind = if window == ONE {
        Kind::Linear
    } else {
        Kind::Conv(window)
    };
    Plan {
        name: format!("{block}{dot}{name}"),
        kind,
        inputs,
        outputs,
        act: Act::Relu,
    }
}

fn conv(block: &str, name: &str, channels: [usize; 2], window: Window) -> Step<Plan> {
    Step::Conv(plan(block, name, channels, window))
}

/// Convolutions one behind the other, from `inputs` channels on.
fn chain(block: &str, inputs: usize, layers: &[(&str, usize, Window)]) -> Branch<Plan> {
    let mut width = inputs;
    let layers = layers.iter().map(|(name, outputs, window)| {
        let from = std::mem::replace(&mut width, *outputs);
        conv(block, name, [from, *outputs], *window)
    });
    layers.collect()
}

fn pooled(block: &str, pool: Step<Plan>, inputs: usize, outputs: usize) -> Branch<Plan> {
    vec![pool, conv(block, "branch_pool", [inputs, outputs], ONE)]
}

fn a(name: &str, inputs: usize, pool: usize) -> Block<Plan> {
    let five = Window::square(5, 1, 2);
    let double = [
        ("branch3x3dbl_1", 64, ONE),
        ("branch3x3dbl_2", 96, SAME),
        ("branch3x3dbl_3", 96, SAME),
    ];
    Block {
        branches: vec![
            chain(name, inputs, &[("branch1x1", 64, ONE)]),
            chain(
                name,
                inputs,
                &[("branch5x5_1", 48, ONE), ("branch5x5_2", 64, five)],
            ),
            chain(name, inputs, &double),
            pooled(name, Step::Average, inputs, pool),
        ],
    }
}

fn b(name: &str, inputs: usize) -> Block<Plan> {
    let half = Window::square(3, 2, 0);
    let double = [
        ("branch3x3dbl_1", 64, ONE),
        ("branch3x3dbl_2", 96, SAME),
        ("branch3x3dbl_3", 96, half),
    ];
    Block {
        branches: vec![
            chain(name, inputs, &[("branch3x3", 384, half)]),
            chain(name, inputs, &double),
            vec![Step::Maximum { stride: 2 }],
        ],
    }
}

fn c(name: &str, width: usize) -> Block<Plan> {
    const INPUTS: usize = 768;
    let (across, down) = (line([1, 7]), line([7, 1]));
    let seven = [
        ("branch7x7_1", width, ONE),
        ("branch7x7_2", width, across),
        ("branch7x7_3", 192, down),
    ];
    let double = [
        ("branch7x7dbl_1", width, ONE),
        ("branch7x7dbl_2", width, down),
        ("branch7x7dbl_3", width, across),
        ("branch7x7dbl_4", width, down),
        ("branch7x7dbl_5", 192, across),
    ];
    Block {
        branches: vec![
            chain(name, INPUTS, &[("branch1x1", 192, ONE)]),
            chain(name, INPUTS, &seven),
            chain(name, INPUTS, &double),
            pooled(name, Step::Average, INPUTS, 192),
        ],
    }
}

fn d(name: &str, inputs: usize) -> Block<Plan> {
    let half = Window::square(3, 2, 0);
    let three = [("branch3x3_1", 192, ONE), ("branch3x3_2", 320, half)];
    let seven = [
        ("branch7x7x3_1", 192, ONE),
        ("branch7x7x3_2", 192, line([1, 7])),
        ("branch7x7x3_3", 192, line([7, 1])),
        ("branch7x7x3_4", 192, half),
    ];
    Block {
        branches: vec![
            chain(name, inputs, &three),
            chain(name, inputs, &seven),
            vec![Step::Maximum { stride: 2 }],
        ],
    }
}

fn e(name: &str, inputs: usize, pool: Step<Plan>) -> Block<Plan> {
    let both = |one: &str, other: &str| {
        let part = |part: &str, kernel| plan(name, part, [384, 384], line(kernel));
        Step::Both(part(one, [1, 3]), part(other, [3, 1]))
    };
    let double = [("branch3x3dbl_1", 448, ONE), ("branch3x3dbl_2", 384, SAME)];
    let mut three = chain(name, inputs, &[("branch3x3_1", 384, ONE)]);
    three.push(both("branch3x3_2a", "branch3x3_2b"));
    let mut double = chain(name, inputs, &double);
    double.push(both("branch3x3dbl_3a", "branch3x3dbl_3b"));
    Block {
        branches: vec![
            chain(name, inputs, &[("branch1x1", 320, ONE)]),
            three,
            double,
            pooled(name, pool, inputs, 192),
        ],
    }
}
