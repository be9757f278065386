//! `ablate audit`: whether one's own samples are copies of one's own training
//! images. Both are imported, and a sweep of four stages measures them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ablate_proto::dataset::Split;
use clap::Args;
use object_store::ObjectStore;

use super::{Context, DeviceArgs, Flags, StoreArgs, data, run};
use crate::exit::{CliResult, Exit, OrExit, fail};
use crate::import::{self, Imported, Wanted};
use crate::rpc::SweepFile;
use crate::store;

#[derive(Args)]
pub(super) struct AuditArgs {
    /// Images that the model was trained on: a folder, or what `ablate data
    /// import` takes
    #[arg(long, value_name = "PATH")]
    train: PathBuf,
    /// Images that it made
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// Images of the same kind that it has not seen: they say what chance gives
    #[arg(long, value_name = "PATH")]
    held_out: Option<PathBuf>,
    /// Side of the square that images of a folder become
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: Option<u32>,
    /// At most so many images of each, chosen by chance
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Memorised: above this PSNR, in dB, to the nearest training image
    #[arg(long, value_name = "DB", default_value_t = 30.0)]
    memorised_db: f64,
    /// Look for the most similar training image by SSIM, too
    #[arg(long)]
    ssim: bool,
    /// Of the report, and of what is imported
    #[arg(long, default_value = "audit")]
    name: String,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl AuditArgs {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.store.flags();
        flags.extend(self.device.flags());
        flags
    }
}

pub(super) async fn audit(context: &Context, args: &AuditArgs) -> CliResult {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !(1..=30).contains(&args.name.len()) || !args.name.chars().all(plain) {
        let why = "--name: 1 to 30 letters, digits, '-' and '_' are possible";
        return fail(Exit::Usage, why.to_owned());
    }
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let mut parts = vec![("train", &args.train), ("samples", &args.samples)];
    parts.extend(args.held_out.as_ref().map(|path| ("held-out", path)));
    let mut sets = Vec::new();
    for (part, path) in parts {
        sets.push(import(&store, args, part, path).await?);
    }
    let shape = |set: &Imported| {
        let known = &set.meta.description;
        [known.channels, known.height, known.width]
    };
    if let Some(other) = sets.iter().find(|set| shape(set) != shape(&sets[0])) {
        let (a, b) = (&sets[0].meta.origin.path, &other.meta.origin.path);
        let why = format!(
            "images of {a} are {:?} (channels, height, width), those of {b} {:?}: give all of \
             them as folders of images, which --size makes alike",
            shape(&sets[0]),
            shape(other)
        );
        return fail(Exit::Usage, why);
    }
    let text = sweep(args, &sets);
    let file = SweepFile {
        name: format!("{}.toml", args.name),
        text,
        profile: None,
        set: Vec::new(),
        priority: None,
        files: Vec::new(),
        commands: false,
    };
    run::sweep(context, file, false).await
}

fn named(args: &AuditArgs, part: &str) -> String {
    format!("{}-{part}", args.name)
}

async fn import(
    store: &Arc<dyn ObjectStore>,
    args: &AuditArgs,
    part: &str,
    path: &Path,
) -> Result<Imported, crate::exit::CliError> {
    let wanted = Wanted {
        name: named(args, part),
        path: path.to_owned(),
        size: args.size,
        limit: args.limit.map(|limit| limit as usize),
        seed: 0,
        threads: 0,
        // The name is this command's own.
        replace: true,
    };
    let imported = import::import(store, wanted, Box::new(|_, _| ())).await;
    let imported = imported.map_err(data::refused)?;
    data::say(&named(args, part), &imported);
    Ok(imported)
}

/// The sweep that measures them.
fn sweep(args: &AuditArgs, sets: &[Imported]) -> String {
    let images = |set: &Imported| set.meta.description.images(Split::Train);
    let stage = |name: &str, part: &str, set: &Imported| {
        format!(
            "[stages.{name}]\nkind = \"dataset\"\nsource = \"{}\"\nimages = {}\nheld_out = 0\n\n",
            named(args, part),
            images(set)
        )
    };
    let mut text = format!(
        "name = \"{}\"\ntitle = \"Are these samples copies?\"\nquestion = \"How near are samples \
         to the training images, and how near would new images be?\"\ncost = \"grows with \
         samples times training images\"\n\n",
        args.name
    );
    text += &stage("train", "train", &sets[0]);
    text += &stage("made", "samples", &sets[1]);
    let mut roles = "data = \"train\", samples = \"samples\"".to_owned();
    if let Some(held_out) = sets.get(2) {
        text += &stage("unseen", "held-out", held_out);
        roles += ", held_out = \"unseen\"";
    }
    let nearest = if args.ssim { "ssim" } else { "psnr" };
    text + &format!(
        "[stages.samples]\nkind = \"resample\"\ninputs = {{ data = \"made\" }}\ncount = {}\n\n\
         [stages.audit]\nkind = \"evaluate\"\ninputs = {{ {roles} }}\nmemorised_db = {:?}\n\
         nearest = \"{nearest}\"\nshown = \"nearest\"\n\n\
         [[figure]]\nkind = \"images\"\ntitle = \"Samples with their nearest training images\"\n\
         stage = \"audit\"\nfile = \"nearest.png\"\ncaption = \"Pairs side by side: a sample, then \
         the training image nearest to it; the nearest first.\"\n",
        images(&sets[1]),
        args.memorised_db
    )
}
