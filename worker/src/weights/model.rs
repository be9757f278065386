//! The model of a task in the store, in PyTorch's names and layout.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::id::TaskKey;
use object_store::ObjectStore;
use safetensors::Dtype;
use serde_json::Value;

use super::write::{self, Overwrite};
use super::{Error, TensorInfo};
use crate::artifacts::{self, Store};
use crate::data::arrays;
use crate::models::FILE;
use crate::models::family::{self, Header};
use crate::nn::params::Values;

/// How long the store may fail before a command does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A finished task's model.
#[derive(Debug)]
pub struct TaskModel {
    task: TaskKey,
    header: Header<Value>,
    values: BTreeMap<String, Values>,
}

/// How the tensors of a file differ from a model's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// In the model alone.
    pub missing: Vec<String>,
    /// In the file alone.
    pub extra: Vec<String>,
    pub misshapen: Vec<Misshapen>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Misshapen {
    pub name: String,
    pub expected: Vec<usize>,
    pub found: Vec<usize>,
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.misshapen.is_empty()
    }
}

impl TaskModel {
    /// Reads the model of a task and checks it against its digest and its
    /// architecture.
    ///
    /// # Errors
    /// When the task has no result, left no model, or the model is damaged.
    pub async fn fetch(store: Arc<dyn ObjectStore>, task: &TaskKey) -> Result<Self, Error> {
        let store = Store::new(store, PATIENCE);
        let of_task = |why: String| Error::Task {
            task: task.short(),
            why,
        };
        let of_store = |e: artifacts::ArtifactError| Error::Store(e.to_string());
        let manifest = artifacts::load(&store, task).await.map_err(of_store)?;
        let Some((manifest, _)) = manifest else {
            let why = "has no result in the store: it is not done, or not of this store";
            return Err(of_task(why.to_owned()));
        };
        let Some(entry) = manifest.file(FILE) else {
            let names: Vec<_> = manifest.files.iter().map(|f| f.name.as_str()).collect();
            let (kind, names) = (&manifest.kind, names.join(", "));
            let why = format!("({kind}) left no model, only {names}");
            return Err(of_task(why));
        };
        let bytes = artifacts::read_file(&store, &manifest.attempt, entry).await;
        let bytes = bytes.map_err(of_store)?;
        let name = format!("{FILE} of task {}", task.short());
        let name = Path::new(&name);
        let wrong = |why: String| Error::format(name, why);
        let (header, mut file) = arrays::from_bytes::<Header<Value>>(name, &bytes)
            .map_err(|e| Error::Store(e.to_string()))?;
        let parameters = family::parameters(&header).map_err(wrong)?;
        if parameters.is_empty() {
            let why = "left a model without parameters: its table of counts is the prior";
            return Err(of_task(why.to_owned()));
        }
        let shapes = parameters.iter().map(|(k, p)| (k.clone(), p.shape.clone()));
        let read = file.parameters(&shapes.collect());
        let read = read.and_then(|values| file.finish().map(|()| values));
        let read = read.map_err(|e| Error::Store(e.to_string()))?;
        let convert = |(name, values)| {
            let layout = parameters[&name].layout;
            let values = layout
                .to_pytorch(values)
                .map_err(|e| wrong(e.to_string()))?;
            Ok((name, values))
        };
        Ok(Self {
            task: *task,
            header,
            values: read
                .into_iter()
                .map(convert)
                .collect::<Result<_, Error>>()?,
        })
    }

    pub fn family(&self) -> &str {
        &self.header.family
    }

    /// Sorted by name.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        let info = |(name, values): (&String, &Values)| TensorInfo {
            name: name.clone(),
            dtype: Dtype::F32,
            shape: values.shape.clone(),
        };
        self.values.iter().map(info).collect()
    }

    /// Writes a safetensors file, with family and architecture as metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, out: &Path, overwrite: Overwrite) -> Result<(), Error> {
        let metadata = [
            ("format", "pt".to_owned()),
            ("family", self.header.family.clone()),
            ("arch", self.header.arch.to_string()),
            ("task", self.task.to_string()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
        let values: Vec<&Values> = self.values.values().collect();
        write::write(out, overwrite, metadata.into(), &self.tensors(), |index| {
            let data = values[index].data.iter();
            Ok(data.flat_map(|x| x.to_le_bytes()).collect())
        })
    }

    /// What a file lacks, has beside, or has in another shape.
    pub fn differences(&self, file: &[TensorInfo]) -> Differences {
        let found: BTreeMap<_, _> = file.iter().map(|t| (t.name.as_str(), &t.shape)).collect();
        let mut differences = Differences::default();
        for (name, values) in &self.values {
            match found.get(name.as_str()) {
                None => differences.missing.push(name.clone()),
                Some(shape) if **shape != values.shape => {
                    differences.misshapen.push(Misshapen {
                        name: name.clone(),
                        expected: values.shape.clone(),
                        found: (*shape).clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let extra = file.iter().filter(|t| !self.values.contains_key(&t.name));
        differences.extra = extra.map(|t| t.name.clone()).collect();
        differences
    }
}
