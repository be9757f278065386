//! The files that travel with a sweep: scripts of `command` stages, read when
//! the sweep file is.

use std::path::Path;

use ablate_coordinator::sweep::{self, Attachment, Files, Options, Source};
use ablate_proto::stage::{MAX_FILE_BYTES, MAX_FILES_BYTES};
use anyhow::{Context as _, bail};

use crate::rpc::SweepFile;

impl SweepFile {
    /// Reads what the file names beside itself. What is wrong with the sweep
    /// file itself is said by those who plan it.
    pub(crate) fn with_baggage(mut self, place: &Path) -> anyhow::Result<Self> {
        let source = Source {
            file: &self.name,
            text: &self.text,
        };
        let Ok(needs) = sweep::needs(&source, &self.options()) else {
            return Ok(self);
        };
        self.commands = needs.commands;
        let folder = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut total = 0;
        for attachment in needs.files {
            let doing = || {
                let (path, name) = (&attachment.path, &self.name);
                format!("reading {path}, which {name} names")
            };
            let Some(content) = read(folder, &attachment).with_context(doing)? else {
                continue;
            };
            total += content.len();
            if total > MAX_FILES_BYTES {
                let name = &self.name;
                bail!(
                    "the files that {name} names have more than {MAX_FILES_BYTES} bytes \
                     together; put large ones where every worker finds them, and give their paths"
                );
            }
            self.files.push((attachment.path.clone(), content));
        }
        Ok(self)
    }

    /// What the planner is told beside the text.
    pub(crate) fn options(&self) -> Options {
        let named = |(path, content): &(String, Vec<u8>)| {
            let digest = blake3::hash(content).to_hex().to_string();
            (path.clone(), digest)
        };
        Options {
            profile: self.profile.clone(),
            set: self.set.clone(),
            files: self.files.iter().map(named).collect::<Files>(),
            ..Options::default()
        }
    }
}

/// `None`: a word of a command line that is no file.
fn read(folder: &Path, attachment: &Attachment) -> anyhow::Result<Option<Vec<u8>>> {
    let path = folder.join(&attachment.path);
    let found = match std::fs::canonicalize(&path) {
        Ok(found) if found.is_file() => found,
        Ok(_) | Err(_) if !attachment.required => return Ok(None),
        Ok(_) => bail!("it is not a file"),
        Err(error) => return Err(error.into()),
    };
    // A link may lead anywhere.
    let home = std::fs::canonicalize(folder)?;
    if !found.starts_with(&home) {
        bail!(
            "it lies outside of {}, at {}",
            home.display(),
            found.display()
        );
    }
    let bytes = std::fs::metadata(&found)?.len();
    if bytes > MAX_FILE_BYTES as u64 {
        bail!(
            "it has {bytes} bytes, and {MAX_FILE_BYTES} are possible for a file that travels; \
             put it where every worker finds it, and give its full path"
        );
    }
    Ok(Some(std::fs::read(&found)?))
}
