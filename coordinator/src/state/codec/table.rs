//! Many tasks in few bytes: columns, in which a text is what differs from the
//! one before it, and a parent is how far back it stands.

use std::collections::HashMap;
use std::sync::Arc;

use ablate_proto::id::TaskKey;
use ablate_proto::stage::StageKind;
use ablate_proto::task::{Input, SealedTask};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint};

/// Tasks, parents before children.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Table {
    /// 32 bytes each.
    #[prost(bytes = "vec", tag = "1")]
    keys: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    labels: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    parameters: Vec<u8>,
    #[prost(string, repeated, tag = "4")]
    kind_names: Vec<String>,
    #[prost(uint32, repeated, tag = "5")]
    kinds: Vec<u32>,
    #[prost(uint64, repeated, tag = "6")]
    seeds: Vec<u64>,
    #[prost(float, repeated, tag = "7")]
    works: Vec<f32>,
    #[prost(string, repeated, tag = "8")]
    roles: Vec<String>,
    /// For each task: how many, and of each the role and the parent: how far
    /// back it stands in this table, or 0 and its key.
    #[prost(bytes = "vec", tag = "9")]
    inputs: Vec<u8>,
}

impl Table {
    pub(super) fn encode_tasks(tasks: &[Arc<SealedTask>]) -> Self {
        let mut table = Self::default();
        table.keys.reserve(32 * tasks.len());
        let (mut label, mut parameters): (&str, &str) = ("", "");
        let mut kinds = Names::default();
        let mut roles = Names::default();
        let mut places: HashMap<TaskKey, usize> = HashMap::new();
        // Most sweeps of many tasks have none with inputs.
        let linked = tasks.iter().any(|task| !task.inputs.is_empty());
        for (at, task) in tasks.iter().enumerate() {
            table.keys.extend_from_slice(task.key.as_bytes());
            put_text(&mut table.labels, label, &task.label);
            put_text(&mut table.parameters, parameters, &task.parameters);
            (label, parameters) = (&task.label, &task.parameters);
            table.kinds.push(kinds.number(task.kind.info().name));
            table.seeds.push(task.seed);
            table.works.push(task.work);
            encode_varint(task.inputs.len() as u64, &mut table.inputs);
            for input in &task.inputs {
                encode_varint(roles.number(&input.role).into(), &mut table.inputs);
                match places.get(&input.task) {
                    Some(parent) => encode_varint((at - parent) as u64, &mut table.inputs),
                    None => {
                        encode_varint(0, &mut table.inputs);
                        table.inputs.extend_from_slice(input.task.as_bytes());
                    }
                }
            }
            if linked {
                places.insert(task.key, at);
            }
        }
        table.kind_names = kinds.names;
        table.roles = roles.names;
        table
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode_tasks(&self) -> Result<Vec<Arc<SealedTask>>, String> {
        let count = self.kinds.len();
        let whole = self.keys.len() == 32 * count;
        if !whole || self.seeds.len() != count || self.works.len() != count {
            return Err("its columns differ in length".to_owned());
        }
        let kinds = self.kind_names.iter().map(|name| name.parse::<StageKind>());
        let kinds: Vec<StageKind> = kinds.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let (mut labels, mut parameters) = (&self.labels[..], &self.parameters[..]);
        let mut inputs = &self.inputs[..];
        let (mut label, mut spec) = (String::new(), String::new());
        let mut tasks: Vec<Arc<SealedTask>> = Vec::with_capacity(count);
        for (at, key) in self.keys.chunks_exact(32).enumerate() {
            label = take_text(&mut labels, &label)?;
            spec = take_text(&mut parameters, &spec)?;
            let kind = kinds.get(self.kinds[at] as usize);
            tasks.push(Arc::new(SealedTask {
                key: TaskKey::try_from(key).map_err(|e| e.to_string())?,
                label: label.as_str().into(),
                kind: *kind.ok_or("it names a kind that is not listed")?,
                parameters: spec.as_str().into(),
                seed: self.seeds[at],
                inputs: self.take_inputs(&mut inputs, &tasks)?,
                work: self.works[at],
            }));
        }
        Ok(tasks)
    }

    fn take_inputs(
        &self,
        bytes: &mut &[u8],
        before: &[Arc<SealedTask>],
    ) -> Result<Box<[Input]>, String> {
        let count = take_number(bytes)?;
        let mut inputs = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let role = self.roles.get(take_number(bytes)?);
            let role = role.ok_or("it names a role that is not listed")?.clone();
            let task = match take_number(bytes)? {
                0 => TaskKey::try_from(take(bytes, 32)?).map_err(|e| e.to_string())?,
                back => {
                    let at = before.len().checked_sub(back);
                    let parent = at.and_then(|at| before.get(at));
                    parent.ok_or("it names a parent before the first")?.key
                }
            };
            inputs.push(Input { role, task });
        }
        Ok(inputs.into())
    }
}

/// Numbers for names, in the order in which they come.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// Bytes that both begin with, and bytes after those that both end with.
fn put_text(out: &mut Vec<u8>, before: &str, text: &str) {
    let (a, b) = (before.as_bytes(), text.as_bytes());
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let ends = a[prefix..].iter().rev().zip(b[prefix..].iter().rev());
    let suffix = ends.take_while(|(a, b)| a == b).count();
    let middle = &b[prefix..b.len() - suffix];
    encode_varint(prefix as u64, out);
    encode_varint(suffix as u64, out);
    encode_varint(middle.len() as u64, out);
    out.extend_from_slice(middle);
}

fn take_text(bytes: &mut &[u8], before: &str) -> Result<String, String> {
    let (prefix, suffix) = (take_number(bytes)?, take_number(bytes)?);
    let middle = take_number(bytes)?;
    let before = before.as_bytes();
    let head = before.get(..prefix);
    let tail = before.len().checked_sub(suffix).map(|at| &before[at..]);
    let (head, tail) = head
        .zip(tail)
        .ok_or("a text is longer than the one before")?;
    let text = [head, take(bytes, middle)?, tail].concat();
    String::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())
}

fn take_number(bytes: &mut &[u8]) -> Result<usize, String> {
    let number = decode_varint(bytes).map_err(|e| e.to_string())?;
    usize::try_from(number).map_err(|_| "a number is too large".to_owned())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let taken = bytes.split_at_checked(count).ok_or("it ends early")?;
    *bytes = taken.1;
    Ok(taken.0)
}
