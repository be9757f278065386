//! The report of a sweep: one self-contained HTML file, with CSV, JSON, LaTeX
//! and each figure as SVG and PNG beside it. It is made from the object store
//! alone, and the same store gives the same bytes: no clock and no host enters
//! it.
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

use std::collections::BTreeSet;
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
    let written = shown.iter().flat_map(|(_, names)| names);
    place.remove_other_figures(&written.collect()).await?;
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

    /// Removes the figures of an earlier report that this one does not have.
    /// Best effort in the store, where they mislead nobody.
    async fn remove_other_figures(&self, written: &BTreeSet<&String>) -> Result<(), ReportError> {
        let mut files = tokio::fs::read_dir(self.folder)
            .await
            .map_err(failed(self.folder))?;
        while let Some(file) = files.next_entry().await.map_err(failed(self.folder))? {
            let name = file.file_name().to_string_lossy().into_owned();
            if !export::figures::is_file(&name) || written.contains(&name) {
                continue;
            }
            let gone = tokio::fs::remove_file(file.path()).await;
            gone.map_err(failed(&file.path()))?;
            let key = layout::report_file(self.sweep, &name);
            let deleted = self.store.delete(&key.as_str().into()).await;
            if let Err(error) = deleted {
                tracing::debug!(key, %error, "an old figure stays in the store");
            }
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
    let path = path.to_owned();
    move |source| ReportError::Write { path, source }
}
