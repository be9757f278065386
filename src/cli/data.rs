//! `ablate data`: image data sets of one's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ablate_coordinator::datasets;
use ablate_proto::dataset::{self, DIGITS, Meta, Split};
use ablate_proto::layout;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use super::{Context, Flags, StoreArgs, table};
use crate::exit::{CliError, CliResult, Exit, OrExit, fail};
use crate::import::{self, Imported, Wanted, picture};
use crate::lines::printable;
use crate::{lines, store};

#[derive(Subcommand)]
pub(super) enum DataCommand {
    /// Bring images into the store, under a name that sweep files can use
    ///
    /// PATH is a folder with the IDX files of MNIST or Fashion-MNIST (plain or .gz); CIFAR-10's
    /// binary version, as a folder or as its .tar.gz; or a folder of JPEG, PNG and WebP images,
    /// whose sub folders are their labels.
    Import(ImportArgs),
    /// List the data sets of a store
    List(ListArgs),
    /// Show what a data set is
    Show(ShowArgs),
    /// Take a name away; `ablate gc` removes what no name and no sweep names
    Remove(NameArgs),
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// What it shall be called: letters, digits, '-', '_', '.'
    name: String,
    /// What to import
    path: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Side of the square that images of a folder become
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: Option<u32>,
    /// At most so many images of each split, chosen by the seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Chooses which, where there is a limit
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Let the name stand for this, whatever it stood for; store all of it anew
    #[arg(long)]
    replace: bool,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Name of a data set
    name: String,
    /// Draw its first images to a PNG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct NameArgs {
    /// Name of a data set
    name: String,
    #[command(flatten)]
    store: StoreArgs,
}

impl DataCommand {
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Import(args) => args.store.flags(),
            Self::List(args) => args.store.flags(),
            Self::Show(args) => args.store.flags(),
            Self::Remove(args) => args.store.flags(),
        }
    }
}

pub(super) async fn data(context: &Context, command: &DataCommand) -> CliResult {
    match command {
        DataCommand::Import(args) => import(context, args).await,
        DataCommand::List(_) => list(context).await,
        DataCommand::Show(args) => show(context, args).await,
        DataCommand::Remove(args) => remove(context, &args.name).await,
    }
}

async fn import(context: &Context, args: &ImportArgs) -> CliResult {
    if args.name == DIGITS || !dataset::is_name(&args.name) {
        let why = if args.name == DIGITS {
            "that is what every worker has in itself"
        } else {
            "1 to 60 letters, digits, '-', '_' and '.' are possible, not starting with '.'"
        };
        let name = printable(&args.name);
        return fail(
            Exit::Usage,
            format!("a data set cannot be called `{name}`: {why}"),
        );
    }
    let started = Instant::now();
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let wanted = Wanted {
        name: args.name.clone(),
        path: args.path.clone(),
        size: args.size,
        limit: args.limit.map(|limit| limit as usize),
        seed: args.seed,
        threads: 0,
        replace: args.replace,
    };
    let bar = bar();
    let shown = bar.clone();
    let progress = Box::new(move |done, of| {
        shown.set_length(of);
        shown.set_position(done);
    });
    let imported = import::import(&store, wanted, progress).await;
    bar.finish_and_clear();
    let imported = imported.map_err(refused)?;
    let seconds = started.elapsed().as_secs_f64();
    if context.json {
        let mut json = described(&args.name, &imported.meta);
        if let Value::Object(json) = &mut json {
            json.insert("already".to_owned(), imported.already.into());
            json.insert("broken_images".to_owned(), imported.broken.into());
            json.insert("left_out".to_owned(), imported.left_out.into());
            json.insert("seconds".to_owned(), seconds.into());
        }
        lines::json(&json);
        return Ok(Exit::Done);
    }
    say(&args.name, &imported);
    lines::line(format_args!("digest {}", imported.meta.digest));
    lines::line(format_args!("in {seconds:.1} s"));
    Ok(Exit::Done)
}

/// What came out of an import.
pub(super) fn say(name: &str, imported: &Imported) {
    let Imported {
        meta,
        already,
        broken,
        left_out,
    } = imported;
    let what = if *already {
        "is this data set already; nothing has changed:"
    } else {
        "imported:"
    };
    lines::line(format_args!("{name} {what} {}", sizes(meta)));
    let count = meta.origin.broken;
    if count > 0 {
        lines::line(format_args!(
            "{count} images could not be read and are not in it:"
        ));
        for broken in broken {
            lines::line(format_args!("  {}", printable(broken)));
        }
        if count > broken.len() as u64 {
            lines::line("  …");
        }
    }
    if *left_out > 0 {
        lines::line(format_args!("{left_out} other files were left out"));
    }
}

pub(super) fn refused(error: import::Error) -> CliError {
    let exit = match &error {
        import::Error::Input { .. } => Exit::Usage,
        _ => Exit::Refused,
    };
    CliError {
        exit,
        error: error.into(),
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = "{wide_bar} {human_pos} of {human_len} images, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

async fn list(context: &Context) -> CliResult {
    let store = store::open_existing(&context.settings.store.url).or_exit(Exit::Usage)?;
    let names = datasets::names(&store).await.or_exit(Exit::Refused)?;
    let mut found = Vec::new();
    let mut lost = Vec::new();
    for name in names {
        match datasets::find(&store, &name).await {
            Ok(Some(meta)) => found.push((name, meta)),
            Ok(None) => {}
            Err(error @ datasets::Error::Store { .. }) => return Err(error).or_exit(Exit::Refused),
            Err(error) => lost.push(error.to_string()),
        }
    }
    if context.json {
        let all: Vec<Value> = found.iter().map(|(n, meta)| described(n, meta)).collect();
        lines::json(&json!({ "datasets": all, "unreadable": lost }));
    } else {
        let mut rows = table::table(&["name", "images", "test", "pixels", "bytes", "digest"]);
        for (name, meta) in &found {
            let known = &meta.description;
            let bytes: u64 = meta.shards.iter().map(|shard| shard.bytes).sum();
            rows.add_row([
                name.clone(),
                known.images(Split::Train).to_string(),
                known.images(Split::Test).to_string(),
                format!("{}×{}×{}", known.channels, known.height, known.width),
                bytes.to_string(),
                dataset::short(&meta.digest).to_owned(),
            ]);
        }
        lines::line(rows);
        for lost in &lost {
            lines::line(printable(lost));
        }
    }
    Ok(if lost.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn show(context: &Context, args: &ShowArgs) -> CliResult {
    let store = store::open_existing(&context.settings.store.url).or_exit(Exit::Usage)?;
    let meta = found(&store, &args.name).await?;
    if let Some(file) = &args.picture {
        let drawn = picture::write(&store, &meta, file).await;
        drawn.or_exit(Exit::Failed)?;
    }
    if context.json {
        lines::json(&described(&args.name, &meta));
        return Ok(Exit::Done);
    }
    let origin = &meta.origin;
    lines::line(format_args!("name    {}", args.name));
    lines::line(format_args!("digest  {}", meta.digest));
    lines::line(format_args!("images  {}", sizes(&meta)));
    let bytes: u64 = meta.shards.iter().map(|shard| shard.bytes).sum();
    let shards = meta.shards.len();
    lines::line(format_args!("stored  {bytes} bytes in {shards} shards"));
    let from = printable(&origin.path);
    lines::line(format_args!(
        "from    {from} (format {})",
        printable(&origin.format)
    ));
    if !origin.changes.is_empty() {
        lines::line(format_args!("as      {}", printable(&origin.changes)));
    }
    if origin.broken > 0 {
        lines::line(format_args!(
            "broken  {} images were left out",
            origin.broken
        ));
    }
    let labels = &meta.description.labels;
    if !labels.is_empty() {
        let some: Vec<&str> = labels.iter().take(20).map(String::as_str).collect();
        let more = if labels.len() > some.len() {
            ", …"
        } else {
            ""
        };
        let some = some.join(", ");
        lines::line(format_args!(
            "labels  {}: {}{more}",
            labels.len(),
            printable(&some)
        ));
    }
    if let Some(file) = &args.picture {
        lines::line(format_args!("picture {}", file.display()));
    }
    Ok(Exit::Done)
}

async fn remove(context: &Context, name: &str) -> CliResult {
    let store = store::open_existing(&context.settings.store.url).or_exit(Exit::Usage)?;
    let digest = match datasets::digest(&store, name).await {
        // A name that cannot be read can still go.
        Err(datasets::Error::Broken { .. }) => None,
        Ok(None) => return fail(Exit::Usage, unknown(name)),
        found => found.or_exit(Exit::Refused)?,
    };
    let path = Path::from(layout::dataset_name(name));
    let deleted = store.delete(&path).await;
    deleted
        .with_context(|| format!("deleting {path}"))
        .or_exit(Exit::Refused)?;
    if context.json {
        lines::json(&json!({ "name": name, "digest": digest }));
    } else {
        lines::line(format_args!(
            "nothing is called `{name}` any more; `ablate gc` removes its images, if no sweep needs them"
        ));
    }
    Ok(Exit::Done)
}

async fn found(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Meta, CliError> {
    let found = datasets::find(store, name).await.or_exit(Exit::Refused)?;
    match found {
        Some(meta) => Ok(meta),
        None => fail(Exit::Usage, unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    match name {
        DIGITS => "the digits are in every worker, not in the store".to_owned(),
        name if dataset::is_name(name) => dataset::how_to_get(name),
        name => format!("no data set can be called `{}`", printable(name)),
    }
}

fn sizes(meta: &Meta) -> String {
    let known = &meta.description;
    let (c, h, w) = (known.channels, known.height, known.width);
    let train = known.images(Split::Train);
    let test = match known.images(Split::Test) {
        0 => String::new(),
        test => format!(" and {test} test images"),
    };
    format!("{train} images{test} of {c}×{h}×{w}")
}

fn described(name: &str, meta: &Meta) -> Value {
    let known = &meta.description;
    json!({
        "name": name,
        "digest": meta.digest,
        "images": known.images(Split::Train),
        "test_images": known.images(Split::Test),
        "channels": known.channels,
        "height": known.height,
        "width": known.width,
        "labels": known.labels,
        "bytes": meta.shards.iter().map(|shard| shard.bytes).sum::<u64>(),
        "shards": meta.shards.len(),
        "format": meta.origin.format,
        "path": meta.origin.path,
        "changes": meta.origin.changes,
        "broken": meta.origin.broken,
    })
}
