//! Pictures of 8×8 tiles, for fixtures.

/// Rings and strokes, as PNG.
pub(super) fn grid(columns: usize, rows: usize, seed: u64) -> Vec<u8> {
    let (width, height) = (columns * 9 + 1, rows * 9 + 1);
    let mut pixels = vec![40_u8; width * height];
    for row in 0..rows {
        for column in 0..columns {
            let kind = (column * 7 + row / 2 * 3 + usize::try_from(seed).expect("small")) % 10;
            for y in 0..8 {
                for x in 0..8 {
                    let (dx, dy) = (x as f64 - 3.5, y as f64 - 3.5);
                    let radius = (dx * dx + dy * dy * 0.6).sqrt();
                    let ink = match kind % 5 {
                        0 => 1.0 - (radius - 2.4).abs(),
                        1 => 1.0 - dx.abs() * 0.7,
                        2 => 1.0 - (dx + dy).abs() * 0.6,
                        3 => 1.0 - (radius - 1.6).abs().min(dx.abs()),
                        _ => 1.0 - (dy - dx * 0.5).abs() * 0.8,
                    };
                    let level = [0_u8, 60, 120, 180, 250];
                    let shade = level[(0..5).rev().find(|i| ink * 5.0 > *i as f64).unwrap_or(0)];
                    pixels[(row * 9 + 1 + y) * width + column * 9 + 1 + x] = shade;
                }
            }
        }
    }
    let mut out = Vec::new();
    let size = |n: usize| u32::try_from(n).expect("small");
    let mut encoder = png::Encoder::new(&mut out, size(width), size(height));
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("header");
    writer.write_image_data(&pixels).expect("pixels");
    writer.finish().expect("end");
    out
}
