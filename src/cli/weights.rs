//! `ablate weights`: what is in a file of weights; converts it, and compares
//! it with the model of a task. Below it, the weights that a store keeps.

mod kept;

use std::path::PathBuf;

use ablate_worker::weights::{Differences, Overwrite, TaskModel, TensorInfo, Weights};
use clap::Args;
use comfy_table::Table;
use serde_json::{Value, json};

use super::table::table;
use super::{Context, Flags, StoreArgs};
use crate::exit::{CliError, CliResult, Exit, OrExit, fail};
use crate::lines::{self, printable};
use crate::{store, tasks};

#[derive(Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct WeightsArgs {
    #[command(subcommand)]
    kept: Option<kept::KeptCommand>,
    /// A safetensors file, or one of PyTorch (`torch.save` of a state dict)
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Key of the state dict in a PyTorch file: `model`, `state_dict`
    #[arg(long)]
    key: Option<String>,
    /// Write the tensors to a safetensors file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Compare names and shapes with this task's model: exit with 1 unless
    /// they are the same
    #[arg(long, value_name = "TASK")]
    like: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

impl WeightsArgs {
    pub(super) fn flags(&self) -> Flags {
        match &self.kept {
            Some(kept) => kept.flags(),
            None => self.store.flags(),
        }
    }
}

pub(super) async fn weights(context: &Context, args: &WeightsArgs) -> CliResult {
    if let Some(command) = &args.kept {
        return kept::kept(context, command).await;
    }
    let Some(file) = &args.file else {
        return fail(Exit::Usage, "no file of weights was given");
    };
    let mut weights = Weights::open(file, args.key.as_deref()).or_exit(Exit::Usage)?;
    let differences = match &args.like {
        Some(task) => Some(differences(context, task, weights.tensors()).await?),
        None => None,
    };
    let same = differences.as_ref().is_none_or(Differences::is_empty);
    if let Some(out) = args.out.as_ref().filter(|_| same) {
        let overwrite = if args.force {
            Overwrite::Replace
        } else {
            Overwrite::Refuse
        };
        weights.convert(out, overwrite).or_exit(Exit::Failed)?;
    }
    let written = args.out.as_ref().filter(|_| same);
    if context.json {
        let mut shown = json!({
            "tensors": weights.tensors().iter().map(row).collect::<Vec<_>>(),
            "left_out": weights.left_out().iter()
                .map(|(name, what)| json!({ "name": name, "what": what }))
                .collect::<Vec<_>>(),
            "written": written,
        });
        if let Some(differences) = &differences {
            shown["like"] = as_json(differences);
        }
        lines::json(&shown);
    } else {
        lines::line(listing(weights.tensors()));
        for (name, what) in weights.left_out() {
            let (name, what) = (printable(name), printable(what));
            lines::line(format_args!("left out: {name}, {what}"));
        }
        if let Some(differences) = &differences {
            show(differences);
        }
        if let Some(out) = written {
            lines::line(out.display());
        }
    }
    Ok(if same { Exit::Done } else { Exit::Failed })
}

async fn differences(
    context: &Context,
    task: &str,
    tensors: &[TensorInfo],
) -> Result<Differences, CliError> {
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let task = tasks::resolve(&store, task).await.or_exit(Exit::Usage)?;
    let model = TaskModel::fetch(store, &task).await.or_exit(Exit::Failed)?;
    Ok(model.differences(tensors))
}

fn row(tensor: &TensorInfo) -> Value {
    json!({
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": format!("{:?}", tensor.dtype),
        "bytes": tensor.bytes(),
    })
}

fn listing(tensors: &[TensorInfo]) -> Table {
    let mut table = table(&["tensor", "shape", "type", "values"]);
    for tensor in tensors {
        table.add_row([
            printable(&tensor.name),
            format!("{:?}", tensor.shape),
            format!("{:?}", tensor.dtype),
            tensor.elements().to_string(),
        ]);
    }
    table
}

fn as_json(differences: &Differences) -> Value {
    let misshapen = differences.misshapen.iter();
    let misshapen =
        misshapen.map(|m| json!({ "name": m.name, "expected": m.expected, "found": m.found }));
    json!({
        "same": differences.is_empty(),
        "missing": differences.missing,
        "extra": differences.extra,
        "misshapen": misshapen.collect::<Vec<_>>(),
    })
}

fn show(differences: &Differences) {
    for name in &differences.missing {
        lines::line(format_args!("missing: {}", printable(name)));
    }
    for name in &differences.extra {
        lines::line(format_args!("extra: {}", printable(name)));
    }
    for m in &differences.misshapen {
        lines::line(format_args!(
            "misshapen: {} is {:?}, the model's is {:?}",
            printable(&m.name),
            m.found,
            m.expected
        ));
    }
    if differences.is_empty() {
        lines::line("names and shapes are those of the model");
    }
}
