//! Colours of the figures, each with a marker and dashes of its own: Okabe and
//! Ito's, moved apart until readers who are blind to red, green or blue can
//! tell any two from each other, on light ground and on dark (the tests
//! simulate it).
//!
//! The SVG carries the hexadecimal names below, and the page's style sheet
//! replaces each by a variable, so that light and dark mode both read well.

use std::fmt::Write;

use plotters::style::RGBColor;

struct Hue {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
    dashes: &'static str,
}

const fn hue(light: (u8, u8, u8), dark: (u8, u8, u8), dashes: &'static str) -> Hue {
    Hue {
        light,
        dark,
        dashes,
    }
}

const HUES: [Hue; 7] = [
    hue((0x06, 0x50, 0x8b), (0x4b, 0x89, 0xd1), "none"),
    hue((0xb3, 0x3f, 0x00), (0xd7, 0x74, 0x33), "28 14"),
    hue((0x0e, 0xaa, 0x68), (0x3b, 0xd6, 0x91), "8 12"),
    hue((0x9e, 0x53, 0x73), (0xb2, 0x78, 0x95), "36 12 8 12"),
    hue((0xd9, 0x7f, 0x00), (0xeb, 0xce, 0x35), "16 10"),
    hue((0x76, 0x93, 0xc4), (0xb0, 0xd3, 0xff), "44 14"),
    hue((0x38, 0x31, 0x27), (0xfc, 0xf9, 0xf6), "4 10"),
];

/// Text on axes.
pub(super) const TEXT: RGBColor = RGBColor(0x10, 0x10, 0x10);
/// Numbers in a chart.
pub(super) const VALUE: RGBColor = RGBColor(0x12, 0x12, 0x12);
pub(super) const GRID: RGBColor = RGBColor(0xee, 0xee, 0xee);
pub(super) const AXIS: RGBColor = RGBColor(0xaa, 0xaa, 0xaa);
/// The ground that figures stand on.
pub(super) const GROUND: RGBColor = RGBColor(0xfe, 0xfe, 0xfe);

/// Width of whiskers, which have no dashes. No line has the same.
pub(super) const WHISKER: u32 = 5;

pub(crate) fn slots() -> usize {
    HUES.len()
}

pub(super) fn colour(slot: usize) -> RGBColor {
    let (r, g, b) = HUES[slot % HUES.len()].light;
    RGBColor(r, g, b)
}

fn hex((r, g, b): (u8, u8, u8)) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// A colour as the SVG names it.
pub(super) fn name(colour: RGBColor) -> String {
    hex((colour.0, colour.1, colour.2))
}

/// Lines of series with their dashes, for drawings without the style sheet.
pub(super) fn dashed(elements: &str) -> String {
    const LINE: &str = "<polyline ";
    let whisker = format!("stroke-width=\"{WHISKER}\"");
    let mut pieces = elements.split(LINE);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let tag = piece.split('>').next().unwrap_or_default();
        let own = |hue: &&Hue| tag.contains(&format!("stroke=\"{}\"", hex(hue.light)));
        out.push_str(LINE);
        if let Some(hue) = HUES.iter().find(own)
            && !tag.contains(&whisker)
        {
            let _ = write!(out, "stroke-dasharray=\"{}\" ", hue.dashes);
        }
        out.push_str(piece);
    }
    out
}

/// Rules that map the SVG's colours to the page's.
pub(crate) fn style_sheet() -> String {
    let (mut light, mut dark, mut rules) = (String::new(), String::new(), String::new());
    for (i, hue) in HUES.iter().enumerate() {
        let name = hex(hue.light);
        let _ = write!(light, "--s{i}:{};", hex(hue.light));
        let _ = write!(dark, "--s{i}:{};", hex(hue.dark));
        let _ = write!(
            rules,
            ".chart [stroke=\"{name}\"]{{stroke:var(--s{i})}}\
             .chart [fill=\"{name}\"]{{fill:var(--s{i})}}\
             .chart polyline[stroke=\"{name}\"]:not([stroke-width=\"{WHISKER}\"]){{stroke-dasharray:{}}}",
            hue.dashes
        );
    }
    for (colour, variable) in [
        (TEXT, "muted"),
        (VALUE, "ink"),
        (GRID, "grid"),
        (AXIS, "axis"),
        (GROUND, "card"),
    ] {
        let name = name(colour);
        let _ = write!(
            rules,
            ".chart [stroke=\"{name}\"]{{stroke:var(--{variable})}}\
             .chart [fill=\"{name}\"]{{fill:var(--{variable})}}"
        );
    }
    format!(":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}")
}

#[cfg(test)]
mod tests;
