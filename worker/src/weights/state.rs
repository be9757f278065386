//! What a pickle of PyTorch means: dicts of tensors.

use safetensors::Dtype;

use super::pickle::{Id, Pickle, Value};
use super::view::View;

/// Keys that a message lists.
const SHOWN: usize = 8;

/// What stands beside the tensors, and what it is.
pub(super) type Others = Vec<(String, String)>;

pub(super) struct State<'a> {
    pickle: &'a Pickle,
}

impl<'a> State<'a> {
    pub(super) fn new(pickle: &'a Pickle) -> Self {
        Self { pickle }
    }

    /// The tensors of the dict at the top or under a key, sorted by name, and
    /// what else is in it.
    ///
    /// # Errors
    /// When there are no tensors, or one that cannot be read.
    pub(super) fn dict(&self, key: Option<&str>) -> Result<(Vec<(String, View)>, Others), String> {
        let top = self.pickle.top;
        let at = match key {
            None => top,
            Some(key) => self.under(key)?,
        };
        let place = key.map_or_else(|| "at its top".to_owned(), |key| format!("under {key:?}"));
        let Value::Dict(entries) = self.pickle.get(at) else {
            return Err(format!(
                "{place} it holds {}, not a state dict; save one in Python: \
                 torch.save(model.state_dict(), \"new.pt\")",
                self.describe(at)
            ));
        };
        let mut tensors: Vec<(String, View)> = Vec::new();
        let mut others = Others::new();
        for (name, value) in entries {
            let name = self.name(*name);
            let view = self.view(*value).map_err(|why| format!("{name}: {why}"))?;
            match view {
                Some(view) => tensors.push((name, view)),
                None => others.push((name, self.describe(*value))),
            }
        }
        if tensors.is_empty() {
            return Err(self.no_tensors(at, &place));
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("it has two tensors called {}", pair[0].0));
        }
        Ok((tensors, others))
    }

    fn under(&self, key: &str) -> Result<Id, String> {
        let Value::Dict(entries) = self.pickle.get(self.pickle.top) else {
            let top = self.describe(self.pickle.top);
            return Err(format!("it holds {top}, which has no keys"));
        };
        let mut entries = entries.iter().rev();
        let found = entries.find(|(name, _)| self.pickle.text(*name) == Some(key));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let advice = self.advice(self.pickle.top);
            format!("it has no key {key:?}{advice}")
        })
    }

    fn no_tensors(&self, at: Id, place: &str) -> String {
        if at == self.pickle.top {
            let advice = self.advice(at);
            if !advice.is_empty() {
                return format!("{place} it has no tensors{advice}");
            }
        }
        let Value::Dict(entries) = self.pickle.get(at) else {
            return format!("{place} it has no tensors");
        };
        let held = entries.iter().take(SHOWN);
        let held =
            held.map(|(name, value)| format!("{} ({})", self.name(*name), self.describe(*value)));
        let held: Vec<_> = held.collect();
        format!(
            "{place} it has no tensors, only [{}]; save a state dict in Python: \
             torch.save(model.state_dict(), \"new.pt\")",
            held.join(", ")
        )
    }

    /// Which keys to give, if there are any with tensors.
    fn advice(&self, at: Id) -> String {
        let Value::Dict(entries) = self.pickle.get(at) else {
            return String::new();
        };
        let with_tensors = entries
            .iter()
            .filter(|(_, value)| match self.pickle.get(*value) {
                Value::Dict(inner) => inner.iter().any(|(_, v)| self.is_tensor(*v)),
                _ => false,
            });
        let keys = with_tensors.filter_map(|(name, _)| self.pickle.text(*name));
        let keys: Vec<_> = keys.take(SHOWN).map(|key| format!("--key {key}")).collect();
        match &keys[..] {
            [] => String::new(),
            keys => format!("; they are under a key: give {}", keys.join(" or ")),
        }
    }

    fn is_tensor(&self, id: Id) -> bool {
        !matches!(self.view(id), Ok(None))
    }

    fn name(&self, id: Id) -> String {
        match self.pickle.get(id) {
            Value::Int(value) => value.to_string(),
            _ => match self.pickle.text(id) {
                Some(text) => text.to_owned(),
                None => self.describe(id),
            },
        }
    }

    fn describe(&self, id: Id) -> String {
        let of_class = |what: &str, class: Id| match self.pickle.global(class) {
            Some((module, name)) => format!("{what} {module}.{name}"),
            None => format!("{what} object"),
        };
        match self.pickle.get(id) {
            Value::None => "nothing".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Int(_) => "a whole number".to_owned(),
            Value::Text(_) => "text".to_owned(),
            Value::Tuple(_) => "a tuple".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Dict(_) => "a dict".to_owned(),
            Value::Global { .. } => of_class("the class", id),
            Value::Outside(_) => "a storage".to_owned(),
            Value::Call { .. } if self.is_tensor(id) => "a tensor without a name".to_owned(),
            Value::Call { function, .. } => of_class("a pickled", *function),
            Value::Other(what) => (*what).to_owned(),
        }
    }

    /// The tensor that a value is, if it is one.
    fn view(&self, id: Id) -> Result<Option<View>, String> {
        let Value::Call {
            mut function,
            mut arguments,
        } = *self.pickle.get(id)
        else {
            return Ok(None);
        };
        // A parameter holds a tensor, a tensor of a class of its own another.
        for _ in 0..4 {
            let Some((module, name)) = self.pickle.global(function) else {
                return Ok(None);
            };
            let given = self.pickle.tuple(arguments).unwrap_or_default();
            match ((module, name), given) {
                (("torch._utils", "_rebuild_parameter"), [inner, ..]) => {
                    match *self.pickle.get(*inner) {
                        Value::Call {
                            function: f,
                            arguments: a,
                        } => (function, arguments) = (f, a),
                        _ => return Err("it is a parameter without a tensor".to_owned()),
                    }
                }
                (("torch._tensor", "_rebuild_from_type_v2"), [inner, _, of, ..]) => {
                    (function, arguments) = (*inner, *of);
                }
                (
                    ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2"),
                    [storage, offset, shape, strides, ..],
                ) => return self.strided(*storage, *offset, *shape, *strides).map(Some),
                (("torch._utils" | "torch._tensor", name), _) if name.starts_with("_rebuild") => {
                    return Err(format!(
                        "it is a tensor of a kind that cannot be read ({name}); save it dense \
                         and plain"
                    ));
                }
                _ => return Ok(None),
            }
        }
        Err("its tensor is wrapped too often".to_owned())
    }

    fn strided(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<View, String> {
        let odd = |what: &str| format!("its {what} is not as torch.save writes it");
        let Value::Outside(storage) = self.pickle.get(storage) else {
            return Err(odd("storage"));
        };
        let storage = self.pickle.tuple(*storage).unwrap_or_default();
        let [_, class, key, _, held, ..] = storage else {
            return Err(odd("storage"));
        };
        let (_, class) = self.pickle.global(*class).ok_or_else(|| odd("storage"))?;
        let dtype = dtype(class).ok_or_else(|| format!("{class} cannot be read"))?;
        let number = |id: Id, what: &str| {
            let value = self.pickle.int(id).ok_or_else(|| odd(what))?;
            u64::try_from(value).map_err(|_| format!("its {what} is negative ({value})"))
        };
        let numbers = |ids: Id, what: &str| {
            let ids = self.pickle.tuple(ids).ok_or_else(|| odd(what))?;
            ids.iter()
                .map(|id| number(*id, what))
                .collect::<Result<Vec<u64>, String>>()
        };
        let shape = numbers(shape, "shape")?.into_iter().map(usize::try_from);
        let shape: Vec<usize> = shape.collect::<Result<_, _>>().map_err(|_| odd("shape"))?;
        let strides = numbers(strides, "stride")?;
        if shape.len() != strides.len() {
            return Err(odd("stride"));
        }
        Ok(View {
            storage: self
                .pickle
                .text(*key)
                .ok_or_else(|| odd("storage"))?
                .to_owned(),
            held: number(*held, "storage")?,
            dtype,
            offset: number(offset, "offset")?,
            shape,
            strides,
        })
    }
}

fn dtype(storage: &str) -> Option<Dtype> {
    Some(match storage {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "ByteStorage" => Dtype::U8,
        "CharStorage" => Dtype::I8,
        "ShortStorage" => Dtype::I16,
        "IntStorage" => Dtype::I32,
        "LongStorage" => Dtype::I64,
        "BoolStorage" => Dtype::BOOL,
        "ComplexFloatStorage" => Dtype::C64,
        _ => return None,
    })
}
