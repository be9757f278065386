//! `ablate export`: the model of a task as a file for PyTorch.

use std::path::PathBuf;

use ablate_worker::weights::{Overwrite, TaskModel};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Context, Flags, StoreArgs};
use crate::exit::{CliResult, Exit, OrExit};
use crate::{lines, store, tasks};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Key of a task or its beginning, or SWEEP/STAGE
    task: String,
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    format: Format,
    /// File to write; by default named after the task, in this folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// In PyTorch's names, shapes and layout
    Safetensors,
}

impl ExportArgs {
    pub(super) fn flags(&self) -> Flags {
        self.store.flags()
    }
}

pub(super) async fn export(context: &Context, args: &ExportArgs) -> CliResult {
    let Format::Safetensors = args.format;
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let task = tasks::resolve(&store, &args.task)
        .await
        .or_exit(Exit::Usage)?;
    let model = TaskModel::fetch(store, &task).await.or_exit(Exit::Failed)?;
    let named = || PathBuf::from(format!("{}.safetensors", task.short()));
    let out = args.out.clone().unwrap_or_else(named);
    let overwrite = if args.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    model.write(&out, overwrite).or_exit(Exit::Failed)?;
    let (family, tensors) = (model.family(), model.tensors());
    let parameters: usize = tensors.iter().map(|t| t.elements()).sum();
    if context.json {
        lines::json(&json!({
            "task": task,
            "family": family,
            "tensors": tensors.len(),
            "parameters": parameters,
            "file": out,
        }));
    } else {
        lines::line(format_args!(
            "{}: {} of task {}, {} tensors, {parameters} parameters",
            out.display(),
            lines::printable(family),
            task.short(),
            tensors.len()
        ));
    }
    Ok(Exit::Done)
}
