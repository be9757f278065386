mod report;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use object_store::local::LocalFileSystem;

/// Writes the report of a sweep: STORE SWEEP FOLDER.
#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = |what| args.next().with_context(|| format!("{what} is missing"));
    let (root, sweep, folder) = (next("STORE")?, next("SWEEP")?, next("FOLDER")?);
    let store = Arc::new(LocalFileSystem::new_with_prefix(root)?);
    let written = report::write(store, &sweep.parse()?, Path::new(&folder)).await?;
    println!("{}", written.html.display());
    for verdict in written.verdicts {
        println!("{:?} {}", verdict.status, verdict.name);
    }
    Ok(())
}
