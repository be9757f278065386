//! Figures as files: an SVG, and a PNG of twice its size. Letters of the PNG
//! come from a font in this program, so that it is the same on every machine.

use std::sync::{Arc, LazyLock};

use ablate_coordinator::sweep::plan::Figure;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{ImageHrefResolver, Options, Tree, fontdb::Database};

use crate::report::figures::{Drawn, standalone};

/// Pixels of a PNG for each unit of its SVG.
pub(crate) const SCALE: f32 = 2.0;
/// Most pixels of a PNG.
const MAX_PIXELS: u64 = 100_000_000;

/// The one font there is: DejaVu Sans, which may be used, changed and passed on
/// freely.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// The files of a drawn figure.
pub(crate) struct Files {
    /// Name and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Why there is no PNG.
    pub failed: Option<String>,
}

/// Whether a file of a report is called as a figure is.
pub(crate) fn is_file(name: &str) -> bool {
    let number = name.strip_prefix("figure-").and_then(|rest| {
        let (number, kind) = rest.split_once('.')?;
        matches!(kind, "svg" | "png").then_some(number)
    });
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// The files of the figure of this number.
pub(crate) fn files(figure: &Figure, drawn: &Drawn, number: usize) -> Files {
    let svg = standalone(figure, drawn);
    let png = png(&svg);
    let mut files = vec![(format!("figure-{number}.svg"), svg.into_bytes())];
    let failed = match png {
        Ok(png) => {
            files.push((format!("figure-{number}.png"), png));
            None
        }
        Err(why) => Some(format!("figure-{number}.png could not be made: {why}.")),
    };
    Files { files, failed }
}

/// An SVG as a PNG. Nothing that it refers to is read.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options {
        font_family: "DejaVu Sans".to_owned(),
        fontdb: FONTS.clone(),
        image_href_resolver: ImageHrefResolver {
            resolve_data: ImageHrefResolver::default_data_resolver(),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let size = size.ok_or("it has no size")?;
    let (width, height) = (size.width(), size.height());
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "it has {width}×{height} pixels, and {MAX_PIXELS} are possible"
        ));
    }
    let mut pixmap = Pixmap::new(width, height).ok_or("it has no pixels")?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixmap.as_mut(),
    );
    pixmap.encode_png().map_err(|e| e.to_string())
}
