//! The kernels' index arithmetic, compiled for the CPU by the C compiler that
//! building needs anyway, against the im2col that layers on the CPU use.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// Images of `side`, with whatever stands at the end of no window.
fn patches(side: [usize; 2], channels: usize, groups: usize, window: [[usize; 2]; 4]) -> Patches {
    let [kernel, stride, padding, dilation] = window;
    let stops = |axis: usize| {
        let reach = dilation[axis] * (kernel[axis] - 1) + 1;
        (side[axis] + 2 * padding[axis] - reach) / stride[axis] + 1
    };
    let unfold = Unfold {
        h: side[0],
        w: side[1],
        channels,
        groups,
        kernel,
        stride,
        padding,
        dilation,
        out_h: stops(0),
        out_w: stops(1),
    };
    Patches {
        unfold,
        images: 2,
        back: false,
    }
}

#[test]
fn kernels_read_and_write_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("indices");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let compiled = Command::new(compiler)
        .arg("-I")
        .arg(source.join("cuda"))
        .arg(source.join("composed/patches/indices.c"))
        .arg("-o")
        .arg(&program)
        .status();
    assert!(compiled.unwrap().success());
    for op in [
        patches([5, 7], 6, 1, [[3, 3], [1, 1], [1, 1], [1, 1]]),
        patches([8, 6], 4, 1, [[4, 4], [2, 2], [1, 1], [1, 1]]),
        patches([7, 8], 4, 2, [[3, 3], [2, 2], [1, 1], [1, 1]]),
        patches([9, 7], 6, 3, [[3, 2], [1, 3], [2, 1], [2, 2]]),
        patches([1, 12], 2, 2, [[1, 5], [1, 3], [0, 3], [1, 2]]),
        patches([6, 6], 1, 1, [[2, 2], [3, 4], [0, 0], [1, 1]]),
    ] {
        agree(&program, &op);
    }
}

fn agree(program: &Path, op: &Patches) {
    let u = op.unfold;
    let [pixels, elements] = op.shapes().map(|shape| shape.elem_count());
    let geometry = op.geometry(1);
    let words = geometry.iter().chain([&pixels, &elements]);
    let words: Vec<String> = words.map(ToString::to_string).collect();
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(words.join(" ").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<i64> = said
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    let taps = u.kernel[0] * u.kernel[1];
    assert_eq!(said.len(), elements + pixels * taps);
    let (sources, places) = said.split_at(elements);

    // Each pixel holds its own number, from 1 on; 0 is the padding.
    let images: Vec<f32> = (1u16..).take(pixels).map(f32::from).collect();
    let mut columns = vec![0.0; elements];
    u.gather(&images, 0..op.count(), &mut columns);
    let mut expected = vec![-1i64; pixels * taps];
    for (element, (value, source)) in columns.iter().zip(sources).enumerate() {
        assert_eq!(*value, (*source + 1) as f32, "{u:?}: element {element}");
        if let Ok(pixel) = usize::try_from(*source) {
            let tap = element / (u.channels / u.groups) % taps;
            expected[pixel * taps + tap] = i64::try_from(element).unwrap();
        }
    }
    assert_eq!(places, expected, "{u:?}");
}
