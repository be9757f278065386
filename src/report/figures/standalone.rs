//! A figure as one SVG file, for slides and papers: its tiles, legend, caption
//! and notes, in light colours. The page draws the same tiles with links.

use std::io::Cursor;

use ablate_coordinator::sweep::plan::Figure;
use maud::{Markup, PreEscaped, html};
use plotters::style::RGBColor;

use super::chart::{self, FINES, SWATCH};
use super::palette::{self, TEXT, VALUE};
use super::tile::{Tile, data_url};
use super::{Drawn, Layout};
use crate::report::format;

/// Around the whole, and between tiles. All sizes are in units of the page.
const MARGIN: u32 = 18;
const GAP: u32 = 24;
/// Of letters, and from one line to the next.
const LETTERS: u32 = 13;
const LINE: u32 = 18;
/// Width that a letter takes on average, in hundredths of its size.
const LETTER: u32 = 60;
/// Tiles in a file; the page has all.
const MOST: usize = 48;
/// Width that a picture is shown in.
const PICTURE: u32 = 260;
/// Pictures of more pixels are left out.
const MAX_PIXELS: u64 = 1 << 24;
const MUTED: RGBColor = RGBColor(0x63, 0x67, 0x6e);

/// Lines of text and drawings, each at its height.
#[derive(Default)]
struct Column {
    parts: Vec<Markup>,
    /// Where the next part begins.
    y: u32,
}

impl Column {
    /// Text, broken into lines that fit.
    fn text(&mut self, x: u32, width: u32, size: u32, colour: RGBColor, text: &str) {
        for line in wrap(text, width * 100 / (size * LETTER)) {
            self.y += LINE;
            let fill = palette::name(colour);
            self.parts.push(html! {
                text x=(x) y=(self.y - LINE / 4) font-family="sans-serif" font-size=(size) fill=(fill) {
                    (line)
                }
            });
        }
    }

    fn tile(&mut self, x: u32, width: u32, tile: &Tile) {
        match tile {
            Tile::Chart {
                title,
                y_name,
                aside,
                drawing,
                ..
            } => {
                self.text(x, width, LETTERS, VALUE, title);
                match (y_name.as_str(), aside.as_str()) {
                    // Charts side by side stand at one height.
                    ("", "") => self.y += LINE,
                    (name, "") => self.text(x, width, LETTERS, MUTED, name),
                    (name, aside) => {
                        self.text(x, width, LETTERS, MUTED, &format!("{name}, {aside}"));
                    }
                }
                let y = self.y + 4;
                match drawing {
                    Ok(drawing) => {
                        let (fine, high) = (drawing.width * FINES, drawing.height * FINES);
                        self.parts.push(html! {
                            svg x=(x) y=(y) width=(drawing.width) height=(drawing.height)
                                viewBox={ "0 0 " (fine) " " (high) } {
                                (PreEscaped(palette::dashed(&drawing.elements)))
                            }
                        });
                        self.y = y + drawing.height;
                    }
                    Err(why) => {
                        self.text(x, width, LETTERS, MUTED, &format!("Not drawn: {why}."));
                    }
                }
            }
            Tile::Picture { image, place, .. } => {
                match image.as_ref().map(|png| (png, size(png))) {
                    Ok((png, Some((wide, high)))) => {
                        let height = u64::from(width) * u64::from(high) / u64::from(wide);
                        let height = u32::try_from(height)
                            .unwrap_or(u32::MAX)
                            .clamp(1, 4 * width);
                        self.parts.push(html! {
                            image x=(x) y=(self.y) width=(width) height=(height)
                                preserveAspectRatio="xMidYMid"
                                image-rendering="optimizeSpeed" style="image-rendering:pixelated"
                                href=(data_url(png)) {}
                        });
                        self.y += height + 4;
                    }
                    Ok((_, None)) => {
                        self.text(x, width, LETTERS, MUTED, "— damaged, or too large");
                    }
                    Err(why) => self.text(x, width, LETTERS, MUTED, &format!("— {why}")),
                }
                self.text(x, width, LETTERS, VALUE, place);
            }
        }
    }

    fn legend(&mut self, width: u32, drawn: &Drawn) {
        let longest = drawn.legend.iter().map(|(_, label)| label.chars().count());
        let longest = u32::try_from(longest.max().unwrap_or(0)).unwrap_or(u32::MAX);
        let label = 9 + if drawn.blocks { SWATCH.1 } else { SWATCH.0 };
        let entry = longest
            .saturating_mul(LETTERS * LETTER / 100)
            .saturating_add(label + GAP);
        let across = usize::try_from((width / entry).clamp(1, 4)).unwrap_or(1);
        let entry = width / (width / entry).clamp(1, 4);
        for row in drawn.legend.chunks(across) {
            let (top, mut bottom) = (self.y, self.y);
            for (x, (slot, text)) in (MARGIN..).step_by(entry as usize).zip(row) {
                self.y = top;
                self.parts.push(mark(x, top + 3, *slot, drawn.blocks));
                self.text(x + label, entry - label, LETTERS, VALUE, text);
                bottom = bottom.max(self.y);
            }
            self.y = bottom;
        }
    }
}

/// The line and marker, or the block, of a legend's entry.
fn mark(x: u32, y: u32, slot: usize, block: bool) -> Markup {
    let (width, height) = SWATCH;
    if block {
        let fill = palette::name(palette::colour(slot));
        return html! { rect x=(x) y=(y) width=(height) height=(height) rx="3" fill=(fill) {} };
    }
    html! {
        svg x=(x) y=(y) width=(width) height=(height)
            viewBox={ "0 0 " (width * FINES) " " (height * FINES) } {
            (PreEscaped(palette::dashed(&chart::swatch(slot))))
        }
    }
}

/// The whole figure.
pub(in crate::report) fn standalone(figure: &Figure, drawn: &Drawn) -> String {
    let tiles = &drawn.tiles[..drawn.tiles.len().min(MOST)];
    let width = |tile: &Tile| match tile {
        Tile::Chart {
            drawing: Ok(drawing),
            ..
        } => drawing.width,
        Tile::Chart { .. } | Tile::Picture { .. } => PICTURE,
    };
    let tile_width = tiles.iter().map(width).max().unwrap_or(PICTURE);
    let most = match drawn.layout {
        Layout::One => 1,
        Layout::Several => 2,
        Layout::Small => 3,
        Layout::Pictures => 4,
    };
    let across = u32::try_from(tiles.len().clamp(1, most)).unwrap_or(1);
    let inner = across * tile_width + (across - 1) * GAP;
    let mut sheet = Column {
        y: MARGIN,
        ..Column::default()
    };
    let title = format::clean(&figure.title);
    sheet.text(MARGIN, inner, 16, VALUE, &title);
    sheet.y += 8;
    let mut columns: Vec<Column> = Vec::new();
    columns.resize_with(across as usize, || Column {
        y: sheet.y,
        ..Column::default()
    });
    for tile in tiles {
        // The first of the shortest.
        let shortest = columns.iter().enumerate().min_by_key(|(_, c)| c.y);
        let at = shortest.map_or(0, |(at, _)| at);
        let left = MARGIN + u32::try_from(at).unwrap_or(0) * (tile_width + GAP);
        columns[at].tile(left, tile_width, tile);
        columns[at].y += GAP;
    }
    for column in columns {
        sheet.y = sheet.y.max(column.y);
        sheet.parts.extend(column.parts);
    }
    sheet.legend(inner, drawn);
    sheet.y += 6;
    if let Some(caption) = &figure.caption {
        sheet.text(MARGIN, inner, LETTERS, TEXT, &format::clean(caption));
    }
    for note in &drawn.notes {
        sheet.text(MARGIN, inner, 12, MUTED, &format::clean(note));
    }
    if tiles.len() < drawn.tiles.len() {
        let note = format!("{MOST} of {}; the page has all.", drawn.tiles.len());
        sheet.text(MARGIN, inner, 12, MUTED, &note);
    }
    let (width, height) = (inner + 2 * MARGIN, sheet.y + MARGIN);
    let whole = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height)
            viewBox={ "0 0 " (width) " " (height) } role="img" {
            title { (title) }
            rect width=(width) height=(height) fill="#FFFFFF" {}
            @for part in &sheet.parts { (part) }
        }
    };
    // XML has no name for these two.
    whole
        .into_string()
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// Lines of at most so many characters, broken at spaces where there are any.
fn wrap(text: &str, most: u32) -> Vec<String> {
    let most = (most as usize).max(8);
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for (i, piece) in letters.chunks(most).enumerate() {
            match lines.last_mut().filter(|_| i == 0 && piece.len() < room) {
                Some(line) => {
                    line.push(' ');
                    line.extend(piece);
                    room -= piece.len() + 1;
                }
                None => {
                    lines.push(piece.iter().collect());
                    room = most - piece.len();
                }
            }
        }
    }
    lines
}

/// Width and height of a PNG that can be shown.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let reader = png::Decoder::new(Cursor::new(png)).read_info().ok()?;
    let (width, height) = reader.info().size();
    let pixels = u64::from(width) * u64::from(height);
    (1..=MAX_PIXELS)
        .contains(&pixels)
        .then_some((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("0123456789", 8), ["01234567", "89"]);
        assert_eq!(wrap(" \n", 8), [""; 0]);
    }
}
