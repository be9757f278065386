//! `images`: an artefact's PNG for each point.

use ablate_coordinator::sweep::plan::Figure;

use super::tile::Tile;
use super::{Drawn, Kind, Layout};
use crate::report::format;
use crate::report::page::cell::task_link;
use crate::report::study::Study;

pub(super) const KIND: Kind = Kind {
    name: "images",
    draw,
};

/// With more pictures than this, one replicate of each point is shown.
const MANY: usize = 12;

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    if study.stage(&figure.stage).is_none() {
        return Err(format!("the sweep has no stage “{}”", figure.stage));
    }
    let Some(file) = &figure.file else {
        return Err("it names no file".to_owned());
    };
    let cells = study.cells(&figure.stage);
    let all: usize = cells.iter().map(|cell| cell.tasks.len()).sum();
    let (mut tiles, mut notes) = (Vec::new(), Vec::new());
    for cell in &cells {
        let shown = if all > MANY { 1 } else { cell.tasks.len() };
        for &task in cell.tasks.iter().take(shown) {
            let outcome = &study.outcomes[task];
            let image = match (outcome.images.get(file), &outcome.gap) {
                (Some(Ok(bytes)), _) => Ok(bytes.clone()),
                (Some(Err(why)), _) => Err(why.clone()),
                (None, Some(gap)) => Err(format!("{}: {}", gap.class, gap.cause)),
                (None, None) => Err(format!("the task left no {file}")),
            };
            let place = format::coordinates(&cell.coordinates);
            let seed = (cell.tasks.len() > 1).then(|| format!(", seed {}", study.seed(task)));
            tiles.push(Tile::Picture {
                image,
                alt: format!("{file} at {place}"),
                place: place + seed.as_deref().unwrap_or_default(),
                link: task_link(study, task),
            });
        }
    }
    if all > MANY && cells.len() < all {
        notes.push("One seed of each point is shown.".to_owned());
    }
    Ok(Drawn {
        tiles,
        layout: Layout::Pictures,
        notes,
        ..Drawn::default()
    })
}
