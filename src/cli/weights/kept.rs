//! `ablate weights import|list|remove`: weights of the networks that metrics
//! use, which users bring.

use std::path::PathBuf;

use ablate_coordinator::weights;
use ablate_proto::dataset::{is_name, short};
use ablate_proto::layout;
use ablate_proto::weights::Named;
use clap::{Args, Subcommand};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};

use super::super::{Context, Flags, StoreArgs, table};
use crate::exit::{CliResult, Exit, OrExit, fail};
use crate::lines::printable;
use crate::network::{self, Imported};
use crate::{lines, store};

#[derive(Subcommand)]
pub(super) enum KeptCommand {
    /// Bring Inception's weights into the store, for FID, IS and rFID
    ///
    /// FILE is pt_inception-2015-12-05-6726825d.pth of pytorch-fid, or a safetensors file of the
    /// same tensors. Whether its licence permits what you do is yours to know.
    Import(ImportArgs),
    /// List the weights of a store
    List(ListArgs),
    /// Take a name away; `ablate gc` removes what no name and no sweep names
    Remove(RemoveArgs),
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// What they shall be called; the sweeps here ask for `inception`
    name: String,
    /// A PyTorch or safetensors file
    file: PathBuf,
    /// Key of the state dict in a PyTorch file: `model`, `state_dict`
    #[arg(long)]
    key: Option<String>,
    /// Let the name stand for these, whatever it stood for; store them anew
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct RemoveArgs {
    /// Name of weights
    name: String,
    #[command(flatten)]
    store: StoreArgs,
}

impl KeptCommand {
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Import(args) => args.store.flags(),
            Self::List(args) => args.store.flags(),
            Self::Remove(args) => args.store.flags(),
        }
    }
}

pub(super) async fn kept(context: &Context, command: &KeptCommand) -> CliResult {
    match command {
        KeptCommand::Import(args) => import(context, args).await,
        KeptCommand::List(_) => list(context).await,
        KeptCommand::Remove(args) => remove(context, &args.name).await,
    }
}

async fn import(context: &Context, args: &ImportArgs) -> CliResult {
    if !is_name(&args.name) {
        let name = printable(&args.name);
        let why = "1 to 60 letters, digits, '-', '_' and '.' are possible, not starting with '.'";
        return fail(
            Exit::Usage,
            format!("weights cannot be called `{name}`: {why}"),
        );
    }
    let read = network::read(args.file.clone(), args.key.clone()).await;
    let read = read.or_exit(Exit::Usage)?;
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let imported = network::import(&store, &args.name, read, args.replace).await;
    let Imported {
        named,
        already,
        unknown,
        auxiliary,
    } = imported.or_exit(Exit::Refused)?;
    if context.json {
        let mut json = described(&named);
        json["already"] = already.into();
        json["unknown"] = unknown.into();
        json["auxiliary"] = auxiliary.into();
        lines::json(&json);
        return Ok(Exit::Done);
    }
    let what = if already {
        "stands for these weights already"
    } else {
        "imported"
    };
    let (name, network, bytes) = (&named.name, &named.network, named.bytes);
    lines::line(format_args!("{name} {what}: {network}, {bytes} bytes"));
    lines::line(format_args!("digest {}", named.digest));
    if auxiliary > 0 {
        lines::line(format_args!(
            "{auxiliary} tensors of the auxiliary classifier were left out"
        ));
    }
    for name in &unknown {
        lines::line(format_args!("not known, left out: {}", printable(name)));
    }
    Ok(Exit::Done)
}

async fn list(context: &Context) -> CliResult {
    let store = store::open_existing(&context.settings.store.url).or_exit(Exit::Usage)?;
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for name in weights::names(&store).await.or_exit(Exit::Refused)? {
        match weights::find(&store, &name).await {
            Ok(named) => found.extend(named),
            Err(error @ weights::Error::Store { .. }) => return Err(error).or_exit(Exit::Refused),
            Err(error) => broken.push(error.to_string()),
        }
    }
    if context.json {
        let all: Vec<Value> = found.iter().map(described).collect();
        lines::json(&json!({ "weights": all, "unreadable": broken }));
    } else {
        let mut rows = table::table(&["name", "network", "bytes", "digest", "from"]);
        for named in &found {
            rows.add_row([
                named.name.clone(),
                printable(&named.network).to_string(),
                named.bytes.to_string(),
                short(&named.digest).to_owned(),
                printable(&named.origin.path).to_string(),
            ]);
        }
        lines::line(rows);
        for why in &broken {
            lines::line(printable(why));
        }
    }
    Ok(if broken.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn remove(context: &Context, name: &str) -> CliResult {
    let store = store::open_existing(&context.settings.store.url).or_exit(Exit::Usage)?;
    let known = is_name(name);
    let path = Path::from(layout::weights_name(name));
    let gone = if known {
        match store.head(&path).await {
            Err(object_store::Error::NotFound { .. }) => false,
            found => found.map(|_| true).or_exit(Exit::Refused)?,
        }
    } else {
        false
    };
    if !gone {
        let name = printable(name);
        return fail(Exit::Usage, format!("no weights are called `{name}`"));
    }
    store.delete(&path).await.or_exit(Exit::Refused)?;
    lines::line(format_args!(
        "{name} is no name any more; results that were computed with it stay, and `ablate gc` \
         removes what no sweep names"
    ));
    Ok(Exit::Done)
}

fn described(named: &Named) -> Value {
    json!({
        "name": named.name,
        "network": named.network,
        "digest": named.digest,
        "bytes": named.bytes,
        "from": { "path": named.origin.path, "blake3": named.origin.blake3 },
    })
}
