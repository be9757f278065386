//! Artefacts in the object store: uploading an attempt's files, publishing its
//! manifest, fetching the artefacts of parents into a local cache, and
//! checkpoints. Knows nothing of the coordinator or of runners.
//!
//! Nothing that is read back is trusted: names are checked before they become
//! paths, and every file is checked against its size and blake3 digest.

mod cache;
mod checkpoint;
mod dataset;
mod manifest;
mod name;
mod read;
mod store;
mod travelling;
mod upload;

use std::io;

use ablate_proto::failure::{Failure, FailureClass};

pub(crate) use cache::{Cache, Cached};
pub(crate) use checkpoint::{Checkpoints, Fetched, delete_all, newest_intact, stored};
pub(crate) use dataset::dataset_meta;
#[cfg(any(test, feature = "simulation"))]
pub(crate) use manifest::publish_later;
pub(crate) use manifest::{Published, load, publish};
pub(crate) use read::read_file;
pub(crate) use store::Store;
pub(crate) use travelling::travelling_file;
pub(crate) use upload::{delete_files, upload_folder};

/// Why an artefact could not be moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("{doing}: the object store answered: {source}")]
    Store {
        doing: String,
        source: object_store::Error,
    },
    #[error("{doing}: {source}; check the worker's scratch disk")]
    Local { doing: String, source: io::Error },
    #[error("{0} is not in the store")]
    Missing(String),
    #[error("{what} is broken: {why}")]
    Broken { what: String, why: String },
    #[error("the stage left {0}, but an artefact is a folder of plain files")]
    Output(String),
}

impl ArtifactError {
    fn local(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Local { doing, source }
    }

    fn broken(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Broken {
            what: what.into(),
            why: why.into(),
        }
    }

    /// Whether the same request may succeed a little later.
    fn is_transient(&self) -> bool {
        use object_store::Error as E;
        match self {
            Self::Store { source, .. } => !matches!(
                source,
                E::NotFound { .. }
                    | E::InvalidPath { .. }
                    | E::NotSupported { .. }
                    | E::NotImplemented { .. }
                    | E::PermissionDenied { .. }
                    | E::Unauthenticated { .. }
                    | E::UnknownConfigurationKey { .. }
            ),
            Self::Local { .. } | Self::Missing(_) | Self::Broken { .. } | Self::Output(_) => false,
        }
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let class = match &error {
            ArtifactError::Store { .. } | ArtifactError::Local { .. } => FailureClass::TransientIo,
            ArtifactError::Missing(_) | ArtifactError::Broken { .. } => FailureClass::Data,
            ArtifactError::Output(_) => FailureClass::Bug,
        };
        Self::new(class, error.to_string())
    }
}

#[cfg(test)]
mod tests;
