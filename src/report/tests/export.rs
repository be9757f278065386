//! Figures as files of their own.

use std::io::Cursor;

use ablate_proto::stage::StageKind;
use serde_json::{Value, json};

use super::fixture::{Fixture, sweep};
use super::{ladder, plain, png, score};
use crate::report::write;

struct Picture {
    width: usize,
    height: usize,
    /// RGB.
    pixels: Vec<[u8; 3]>,
}

fn decoded(bytes: &[u8]) -> Picture {
    let mut reader = ::png::Decoder::new(Cursor::new(bytes))
        .read_info()
        .expect("a PNG");
    let mut data = vec![0; reader.output_buffer_size().expect("its size")];
    let frame = reader.next_frame(&mut data).expect("its pixels");
    let samples = frame.color_type.samples();
    let pixels = data[..frame.buffer_size()].chunks_exact(samples);
    Picture {
        width: frame.width as usize,
        height: frame.height as usize,
        pixels: pixels.map(|p| [p[0], p[1], p[2]]).collect(),
    }
}

impl Picture {
    /// Pixels of the first `rows` rows that are darker than a medium grey.
    fn ink(&self, rows: usize) -> usize {
        let dark = |p: &&[u8; 3]| p.iter().all(|c| *c < 110);
        self.pixels[..rows * self.width].iter().filter(dark).count()
    }
}

/// The figures' files: each SVG with its PNG.
async fn exported(fixture: Fixture) -> Vec<(String, Vec<u8>)> {
    let store = fixture.save().await;
    let folder = tempfile::tempdir().expect("folder");
    // Of an earlier report with more figures, and of somebody else.
    let [old, other] =
        ["figure-99.png", "figure-99-draft.png"].map(|name| folder.path().join(name));
    for file in [&old, &other] {
        std::fs::write(file, "").expect("a file");
    }
    let written = write(store, &sweep(), folder.path()).await.expect("report");
    let html = std::fs::read_to_string(written.html).expect("html");
    assert!(!old.exists() && other.exists());
    let mut found = Vec::new();
    for number in 1.. {
        let [svg, png] = ["svg", "png"].map(|ending| format!("figure-{number}.{ending}"));
        let Ok(text) = std::fs::read_to_string(folder.path().join(&svg)) else {
            break;
        };
        let bytes = std::fs::read(folder.path().join(&png)).expect("a PNG beside the SVG");
        for name in [svg, png] {
            assert!(html.contains(&format!("href=\"{name}\"")), "{name}");
        }
        found.push((text, bytes));
    }
    found
}

fn attribute(svg: &str, name: &str) -> usize {
    let start = svg.find(&format!("{name}=\"")).expect(name) + name.len() + 2;
    let digits = svg[start..].split('"').next().expect("a value");
    digits.parse().expect("a number")
}

fn curve(title: &str) -> Value {
    json!({"kind": "curve", "title": title, "stage": "run", "x": "x", "metrics": ["score"],
           "caption": "What it shows."})
}

#[tokio::test]
async fn every_figure_is_an_svg_and_a_png_of_twice_its_size() {
    let bars =
        json!({"kind": "bars", "title": "b", "stage": "run", "x": "x", "metrics": ["score"]});
    let fixture = ladder(3).figure(curve("Scores rise")).figure(bars);
    score(&fixture, |x, seed| x + seed as f64 / 10.0).await;
    let found = exported(fixture).await;
    assert_eq!(found.len(), 2);
    for (svg, bytes) in &found {
        let picture = decoded(bytes);
        let size = (2 * attribute(svg, "width"), 2 * attribute(svg, "height"));
        assert_eq!((picture.width, picture.height), size);
        // A light ground, and letters of title, axes and notes on it.
        let white = picture.pixels.iter().filter(|p| **p == [255; 3]).count();
        assert!(white > picture.pixels.len() / 2);
        assert!(picture.ink(80) > 30, "the title: {}", picture.ink(80));
    }
    let (svg, bytes) = &found[0];
    assert!(
        svg.contains("Scores rise") && svg.contains("What it shows.") && svg.contains("Whiskers")
    );
    // Without letters there is less ink: they were drawn, with a font that is
    // in the program.
    let mute = svg.replace("<text", "<desc").replace("</text", "</desc");
    let mute = super::super::export::figures::png(&mute).expect("a PNG");
    let (with, without) = (decoded(bytes), decoded(&mute));
    assert_eq!(without.ink(80), 0);
    assert!(with.ink(with.height) > without.ink(without.height) + 1000);
}

#[tokio::test]
async fn the_same_store_gives_the_same_pictures() {
    let make = || async {
        let fixture = ladder(2).figure(curve("c"));
        score(&fixture, |x, seed| x * seed as f64).await;
        exported(fixture).await
    };
    assert_eq!(make().await, make().await);
}

#[tokio::test]
async fn series_have_their_dashes_and_whiskers_none() {
    let axes = [("x", json!([1, 2, 3])), ("kind", json!(["a", "b", "c"]))];
    let stages: &[_] = &[("run", StageKind::Noop, &[][..], &["x", "kind"][..])];
    let fixture = Fixture::new(&axes, 3, stages).figure(curve("c"));
    for (task, at, seed) in fixture.tasks("run") {
        let x = at["x"].as_f64().expect("number") + seed as f64;
        fixture.done(task, vec![plain("score", x)], &[]).await;
    }
    let (svg, _) = &exported(fixture).await[0];
    for dashes in ["none", "28 14", "8 12"] {
        // A line in the chart, and one in the legend.
        let count = svg
            .matches(&format!("stroke-dasharray=\"{dashes}\""))
            .count();
        assert_eq!(count, 2, "{dashes}");
    }
    for line in svg.split("<polyline").skip(1) {
        let tag = line.split('>').next().expect("its end");
        assert!(
            !(tag.contains("stroke-width=\"5\"") && tag.contains("dasharray")),
            "{tag}"
        );
    }
    assert!(svg.contains("kind = a") && svg.contains("kind = c"));
}

#[tokio::test]
async fn pictures_stand_in_the_file_and_damaged_ones_are_said() {
    let figure = json!({"kind": "images", "title": "i", "stage": "run", "file": "a.png"});
    let fixture = ladder(1).figure(figure);
    let mut broken = png::grid(3, 2, 0);
    broken.truncate(20);
    for ((task, ..), bytes) in fixture
        .tasks("run")
        .into_iter()
        .zip([png::grid(3, 2, 1), broken])
    {
        fixture.done(task, vec![], &[("a.png", bytes)]).await;
    }
    let (svg, bytes) = &exported(fixture).await[0];
    assert_eq!(svg.matches("<image").count(), 1);
    assert!(svg.contains("damaged, or too large") && svg.contains("x = 1"));
    // Where the first stands, the grey between its tiles.
    let picture = decoded(bytes);
    let lines = picture.pixels.iter().filter(|p| **p == [40; 3]).count();
    assert!(lines > 10_000, "{lines}");
}

#[tokio::test]
async fn hostile_names_are_text_and_nothing_they_name_is_read() {
    let title = "<image href=\"/etc/hostname\"/>]]>&\u{fffe}\u{1b}</svg><script>x</script>";
    let fixture = ladder(1).figure(curve(title));
    score(&fixture, |x, _| x).await;
    let (svg, bytes) = &exported(fixture).await[0];
    assert!(!svg.contains("<script") && !svg.contains("<image") && svg.contains("&lt;script"));
    assert!(decoded(bytes).ink(80) > 30);
    let reads = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\">\
                 <image href=\"docs/report.png\" width=\"40\" height=\"40\"/></svg>";
    let blank = decoded(&super::super::export::figures::png(reads).expect("a PNG"));
    assert!(blank.pixels.iter().all(|p| *p == [0; 3]));
    for bad in [
        "",
        "<svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1e9\" height=\"1e9\"/>",
    ] {
        assert!(super::super::export::figures::png(bad).is_err(), "{bad}");
    }
}
