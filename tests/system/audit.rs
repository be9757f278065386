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

    // Images of other sizes do not compare; what to do is said.
    let mut wide = image();
    wide.extend(image());
    fs::create_dir_all(folder("wide")).unwrap();
    let file = BufWriter::new(File::create(folder("wide").join("a.png")).unwrap());
    let mut encoder = png::Encoder::new(file, SIDE * 2, SIDE);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&wide).unwrap();
    drop(writer);
    let refused = site.run(&[
        "audit",
        "--train",
        "train",
        "--samples",
        "wide",
        "--size",
        "8",
        "--held-out",
        "nothing",
    ]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("nothing"), "{said}");
}
