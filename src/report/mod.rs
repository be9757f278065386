//! The report of a sweep: one self-contained HTML file, with CSV, JSON and
//! LaTeX beside it. It is made from the object store alone, and the same
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

use ablate_proto::id::SweepId;
use ablate_proto::layout;
use object_store::{ObjectStore, ObjectStoreExt};

pub(crate) use verdict::Verdict;

/// What `write` made.
#[derive(Debug)]
pub(crate) struct Written {
    pub html: PathBuf,
    pub verdicts: Vec<Verdict>,
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
    let study = load::load(&store, sweep).await?;
    let verdicts = verdict::verdicts(&study);
    let files = [
        (
            "report.html",
            page::page(&study, &verdicts).into_string().into_bytes(),
        ),
        ("report.csv", export::csv::table(&study)?),
        ("differences.csv", export::differences::table(&study)?),
        ("report.json", export::json::everything(&study, &verdicts)?),
        ("report.tex", export::latex::tables(&study, &verdicts)),
    ];
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(failed(folder))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        tokio::fs::write(&path, &bytes)
            .await
            .map_err(failed(&path))?;
        let key = layout::report_file(sweep, name);
        store
            .put(&object_store::path::Path::from(key.as_str()), bytes.into())
            .await
            .map_err(|source| ReportError::Upload { path: key, source })?;
    }
    Ok(Written {
        html: folder.join("report.html"),
        verdicts,
    })
}
