//! The report of a sweep: one self-contained HTML file, with CSV, JSON, LaTeX
//! and each figure as SVG and PNG beside it. It is made from the object store alone, and the same
//! store gives the same bytes: no clock and no host enters it.
//!
//! `load` → [`study::Study`] → `verdict`, `figures`, `page`, `export`.

mod bootstrap;
mod export;
mod figures;
mod format;
mod gap;
mod load;
mod page;
mod paired;
mod stats;
mod study;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ablate_coordinator::sweep::plan::Untested;
use ablate_proto::id::SweepId;
use ablate_proto::layout;
use object_store::{ObjectStore, ObjectStoreExt};

pub(crate) use verdict::Verdict;

/// What `write` made.
#[derive(Debug)]
pub(crate) struct Written {
    pub html: PathBuf,
    pub verdicts: Vec<Verdict>,
    pub untested: Vec<Untested>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(
        "the plan of sweep `{sweep}` cannot be read: {why}; check --store and the sweep's name"
    )]
    Plan { sweep: SweepId, why: String },
    #[error("writing {path}: {source}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("uploading {path} to the store: {source}")]
    Upload {
        path: String,
        source: object_store::Error,
    },
    #[error("writing the table of metrics: {0}")]
    Csv(#[from] csv::Error),
    #[error("writing report.json: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes the report of a sweep into a folder and into the store.
pub(crate) async fn write(
    store: Arc<dyn ObjectStore>,
    sweep: &SweepId,
    folder: &Path,
) -> Result<Written, ReportError> {
    let mut study = load::load(&store, sweep).await?;
    let verdicts = verdict::verdicts(&study);
    let place = Place {
        store: &*store,
        sweep,
        folder,
    };
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(failed(folder))?;
    let (mut shown, mut remarks) = (Vec::new(), Vec::new());
    for (i, figure) in study.plan.figures.iter().enumerate() {
        let drawn = figures::draw(&study, figure);
        let mut names = Vec::new();
        if let Ok(drawn) = &drawn {
            let made = export::figures::files(figure, drawn, i + 1);
            for (name, bytes) in made.files {
                place.put(&name, bytes).await?;
                names.push(name);
            }
            remarks.extend(made.failed);
        }
        shown.push((drawn, names));
    }
    study.remarks.extend(remarks);
    let html = page::page(&study, &verdicts, &shown).into_string();
    for (name, bytes) in [
        ("report.csv", export::csv::table(&study)?),
        ("means.csv", export::means::table(&study)?),
        ("differences.csv", export::differences::table(&study)?),
        ("report.json", export::json::everything(&study, &verdicts)?),
        ("report.tex", export::latex::tables(&study, &verdicts)),
        ("report.html", html.into_bytes()),
    ] {
        place.put(name, bytes).await?;
    }
    Ok(Written {
        html: folder.join("report.html"),
        verdicts,
        untested: study.plan.untested,
    })
}

/// Where the files of a report go.
struct Place<'a> {
    store: &'a dyn ObjectStore,
    sweep: &'a SweepId,
    folder: &'a Path,
}

impl Place<'_> {
    async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ReportError> {
        let path = self.folder.join(name);
        tokio::fs::write(&path, &bytes)
            .await
            .map_err(failed(&path))?;
        let key = layout::report_file(self.sweep, name);
        self.store
            .put(&object_store::path::Path::from(key.as_str()), bytes.into())
            .await
            .map_err(|source| ReportError::Upload { path: key, source })?;
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
    let path = path.to_owned();
    move |source| ReportError::Write { path, source }
}
