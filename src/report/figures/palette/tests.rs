//! Colours as readers see them who lack one kind of cone.

use super::super::marks;
use super::*;

type Rgb = (u8, u8, u8);
type Matrix = [[f64; 3]; 3];

/// Of Machado, Oliveira and Fernandes, "A Physiologically-based Model for
/// Simulation of Color Vision Deficiency" (2009), severity 1.0, for linear
/// sRGB; and the identity.
const VISIONS: [(&str, Matrix); 4] = [
    (
        "all cones",
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

/// From linear sRGB to XYZ, relative to the white of D65.
const TO_XYZ: Matrix = [
    [
        0.412_456_4 / 0.950_47,
        0.357_576_1 / 0.950_47,
        0.180_437_5 / 0.950_47,
    ],
    [0.212_672_9, 0.715_152_2, 0.072_175_0],
    [
        0.019_333_9 / 1.088_83,
        0.119_192_0 / 1.088_83,
        0.950_304_1 / 1.088_83,
    ],
];

/// A mode of the page, its ground, and the colours on it.
type Ground = (&'static str, Rgb, fn(&Hue) -> Rgb);

/// Grounds of a figure: `--card` of the page.
const GROUNDS: [Ground; 2] = [
    ("light", (0xff, 0xff, 0xff), |hue| hue.light),
    ("dark", (0x1d, 0x20, 0x24), |hue| hue.dark),
];

/// Of two series in one figure, in CIE Lab (ΔE*ab, 1976). A difference that
/// is just seen is about 2.3.
const APART: f64 = 20.0;

fn times(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
}

fn linear((r, g, b): Rgb) -> [f64; 3] {
    [r, g, b].map(|byte| {
        let value = f64::from(byte) / 255.0;
        match value <= 0.040_45 {
            true => value / 12.92,
            false => ((value + 0.055) / 1.055).powf(2.4),
        }
    })
}

/// L*, a*, b* of a colour as it is seen.
fn lab(colour: Rgb, vision: &Matrix) -> [f64; 3] {
    let seen = times(vision, linear(colour)).map(|v| v.clamp(0.0, 1.0));
    let [x, y, z] = times(&TO_XYZ, seen).map(|t| match t > (6.0_f64 / 29.0).powi(3) {
        true => t.cbrt(),
        false => t / (3.0 * (6.0_f64 / 29.0).powi(2)) + 4.0 / 29.0,
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(a: Rgb, b: Rgb, vision: &Matrix) -> f64 {
    let (a, b) = (lab(a, vision), lab(b, vision));
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The luminance of a colour beside that of its ground, as WCAG 2 has it.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let [a, b] = [a, b].map(|c| times(&TO_XYZ, linear(c))[1] + 0.05);
    a.max(b) / a.min(b)
}

#[test]
fn any_two_colours_are_told_apart_whatever_cones_are_missing() {
    for (mode, _, of) in GROUNDS {
        for (name, vision) in &VISIONS {
            for (i, a) in HUES.iter().enumerate() {
                for (j, b) in HUES.iter().enumerate().skip(i + 1) {
                    let found = distance(of(a), of(b), vision);
                    assert!(
                        found >= APART,
                        "{mode}, {name}: {i} and {j} are {found:.1} apart"
                    );
                }
            }
        }
    }
}

#[test]
fn every_colour_stands_out_from_its_ground() {
    for (mode, ground, of) in GROUNDS {
        for (i, hue) in HUES.iter().enumerate() {
            let found = contrast(of(hue), ground);
            // What WCAG 2.1 asks of graphics (1.4.11).
            assert!(found >= 3.0, "{mode}: {i} has {found:.2}");
        }
    }
}

/// For prints in grey, and for lines that cross.
#[test]
fn series_differ_in_marks_and_dashes_too() {
    for (i, a) in HUES.iter().enumerate() {
        for (j, b) in HUES.iter().enumerate().skip(i + 1) {
            assert_ne!(marks::outline(i, 0), marks::outline(j, 0), "{i} and {j}");
            assert_ne!(a.dashes, b.dashes, "{i} and {j}");
        }
    }
}

/// Readers without red cones confuse this red with this dark yellow, and
/// nobody confuses black with white: the simulation sees what it should.
#[test]
fn the_simulation_confuses_what_it_should() {
    let (red, yellow) = ((0xff, 0x00, 0x00), (0x6e, 0x5f, 0x00));
    let [all, protan, deutan, tritan] = VISIONS.map(|(_, vision)| distance(red, yellow, &vision));
    assert!(
        protan < all / 3.0 && deutan < all,
        "{all} {protan} {deutan} {tritan}"
    );
    assert!(tritan > 60.0, "{tritan}");
    for (name, vision) in &VISIONS {
        let found = distance((0, 0, 0), (255, 255, 255), vision);
        assert!((found - 100.0).abs() < 0.1, "{name}: {found}");
    }
}
