//! `ablate audit` on folders of images.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use crate::support::{Site, random::Random};

const SIDE: u32 = 8;

fn write(folder: &Path, name: &str, pixels: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    let file = BufWriter::new(File::create(folder.join(name)).unwrap());
    let mut encoder = png::Encoder::new(file, SIDE, SIDE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
}

/// Half of the samples are training images, the others are new.
#[test]
fn copies_are_found_among_new_images() {
    let site = Site::new();
    let mut random = Random::from_env("ABLATE_AUDIT_SEED");
    let mut image = || {
        let pixels = (0..SIDE * SIDE * 3).map(|_| u8::try_from(random.below(256)).unwrap());
        pixels.collect::<Vec<u8>>()
    };
    let folder = |name: &str| site.path().join(name);
    for i in 0..40 {
        let (train, new, unseen) = (image(), image(), image());
        write(&folder("train"), &format!("{i}.png"), &train);
        write(&folder("held"), &format!("{i}.png"), &unseen);
        let made = if i % 2 == 0 { &train } else { &new };
        write(&folder("made"), &format!("{i}.png"), made);
    }
    let audit = [
        "audit",
        "--train",
        "train",
        "--samples",
        "made",
        "--held-out",
        "held",
        "--size",
        "8",
        "--json",
    ];
    let done = site.json(&audit);
    assert_eq!((&done["failed"], &done["tasks"]), (&0.into(), &5.into()));
    assert!(site.path().join(done["report"].as_str().unwrap()).exists());
    let table = fs::read_to_string(site.path().join("reports/audit/report.csv")).unwrap();
    let value = |metric: &str| {
        let mut rows = table
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        let row = rows.find(|row| row[0] == "audit" && row.contains(&metric));
        let row = row.unwrap_or_else(|| panic!("{metric} is not in {table}"));
        let at = row.iter().position(|cell| *cell == metric).unwrap();
        row[at + 2].parse::<f64>().unwrap()
    };
    assert_eq!(value("memorisation_rate"), 0.5);
    assert_eq!(value("chance_rate"), 0.0);
    assert_eq!(value("coverage"), 0.5);

    // Grey images do not compare with those of colours; what to do is said.
    super::data::idx(&folder("grey"), 20, 10);
    let (code, said) = super::data::failed(
        &site,
        &[
            "audit",
            "--train",
            "grey",
            "--samples",
            "made",
            "--size",
            "8",
        ],
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("[1, 8, 8]") && said.contains("[3, 8, 8]"),
        "{said}"
    );
    assert!(said.contains("as folders of images"), "{said}");
    let (code, said) = super::data::failed(
        &site,
        &[
            "audit",
            "--train",
            "train",
            "--samples",
            "nothing",
            "--size",
            "8",
        ],
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nothing"), "{said}");
}
