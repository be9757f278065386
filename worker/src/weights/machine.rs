//! Carries out the operations of a pickle, on values alone.

use std::collections::HashMap;
use std::ops::Range;

use super::pickle::{Id, Value};

const MAX_VALUES: usize = 1 << 21;

/// The values that a pickle makes, and the one that it ends with.
///
/// # Errors
/// When it is broken or makes too many.
pub(super) fn run(bytes: &[u8]) -> Result<(Vec<Value>, Id), String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let top = loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(top)) => break top,
            Err(why) => return Err(format!("its pickle is broken at byte {at}: {why}")),
        }
    };
    Ok((machine.values, top))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// Carries out one operation; the value that the pickle ends with.
    fn step(&mut self) -> Step<Option<Id>> {
        match self.byte()? {
            // PROTO, FRAME
            0x80 => match self.byte()? {
                2..=5 => {}
                other => return Err(format!("protocol {other}; 2 to 5 are read")),
            },
            0x95 => {
                self.take(8)?;
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => self.long()?,
            0x8b => {
                let length = self.length::<4>()?;
                self.take(length)?;
                self.push(Value::Other("a long number"))?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other("a number"))?;
            }
            b'X' => self.text::<4>()?,
            0x8c => self.text::<1>()?,
            0x8d => self.text::<8>()?,
            b'U' | b'C' => self.data::<1>()?,
            b'T' | b'B' => self.data::<4>()?,
            0x8e | 0x96 => self.data::<8>()?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global { module, name })?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module)?, self.value(name)?) {
                    (Value::Text(module), Value::Text(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.push(Value::Global { module, name })?;
                    }
                    _ => return Err("a class without a name".to_owned()),
                }
            }
            b'(' => {
                bounded(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x8f => self.push(Value::Other("a set"))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b'l' => {
                let items = self.since_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = pairs(&self.since_mark()?)?;
                self.push(Value::Dict(items))?;
            }
            0x91 => {
                self.since_mark()?;
                self.push(Value::Other("a set"))?;
            }
            // TUPLE1 to TUPLE3
            code @ 0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend_list(&items)?;
            }
            0x90 => drop(self.since_mark()?),
            b's' => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.extend_dict(&items)?;
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.last()?;
                self.push_id(top)?;
            }
            b'q' => {
                let place = self.byte()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.remember(place)?;
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).map_err(|e| e.to_string())?;
                self.remember(place)?;
            }
            b'h' => {
                let place = self.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }
            b'Q' => {
                let what = self.pop()?;
                self.push(Value::Outside(what))?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)?;
            }
            0x92 => {
                let (_, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(function, arguments)?;
            }
            // BUILD: attributes of a value say nothing of its tensors.
            b'b' => drop(self.pop()?),
            b'.' => return self.pop().map(Some),
            code => {
                return Err(format!(
                    "operation {code:#04x}, which torch.save does not write"
                ));
            }
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Step<Range<usize>> {
        let end = self.at.checked_add(count);
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("it ends in the middle of an operation")?;
        let taken = self.at..end;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let range = self.take(N)?;
        let array = self.bytes[range].try_into();
        array.map_err(|_| "it ends in the middle of a number".to_owned())
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A length of `N` bytes.
    fn length<const N: usize>(&mut self) -> Step<usize> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|e| e.to_string())
    }

    fn utf8(&self, range: &Range<usize>) -> Step<()> {
        let valid = std::str::from_utf8(&self.bytes[range.clone()]);
        valid.map(drop).map_err(|e| format!("text, {e}"))
    }

    fn text<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        let range = self.take(length)?;
        self.utf8(&range)?;
        self.push(Value::Text(range))
    }

    fn data<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        self.take(length)?;
        self.push(Value::Other("bytes"))
    }

    fn line(&mut self) -> Step<Range<usize>> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| *b == b'\n');
        let range = self.take(length.ok_or("a name without an end")?)?;
        self.at += 1;
        self.utf8(&range)?;
        Ok(range)
    }

    /// A number of up to 255 bytes; those beyond 64 bits have no use here.
    fn long(&mut self) -> Step<()> {
        let length = self.byte()?.into();
        let range = self.take(length)?;
        let bytes = &self.bytes[range];
        let value = if bytes.len() > 8 {
            Value::Other("a long number")
        } else {
            let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        };
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        bounded(self.values.len())?;
        let id = Id::try_from(self.values.len()).map_err(|e| e.to_string())?;
        self.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Step<()> {
        bounded(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    /// What stands above the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn last(&self) -> Step<Id> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above
            .last()
            .copied()
            .ok_or_else(|| "a value is missing".to_owned())
    }

    fn pop(&mut self) -> Step<Id> {
        let id = self.last()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Id>> {
        let from = self.stack.len().checked_sub(count);
        let from = from.filter(|from| *from >= self.floor());
        Ok(self.stack.split_off(from.ok_or("a value is missing")?))
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn value(&self, id: Id) -> Step<&Value> {
        let value = self.values.get(id as usize);
        value.ok_or_else(|| "a value is missing".to_owned())
    }

    fn extend_list(&mut self, items: &[Id]) -> Step<()> {
        let list = self.last()? as usize;
        match self.values.get_mut(list) {
            Some(Value::List(list)) => list.extend(items),
            // A list of a class of its own.
            Some(Value::Call { .. }) => {}
            _ => return Err("items for what is not a list".to_owned()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Step<()> {
        let items = pairs(items)?;
        let dict = self.last()? as usize;
        match self.values.get_mut(dict) {
            Some(Value::Dict(dict)) => dict.extend(items),
            Some(Value::Call { .. }) => {}
            _ => return Err("items for what is not a dict".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Step<()> {
        bounded(self.memo.len())?;
        let top = self.last()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Step<()> {
        let id = self.memo.get(&place).copied();
        self.push_id(id.ok_or_else(|| format!("nothing was kept as {place}"))?)
    }

    /// Dicts of the standard library are dicts; all else stays a call.
    fn call(&mut self, function: Id, arguments: Id) -> Step<()> {
        let dict = match self.value(function)? {
            Value::Global { module, name } => {
                let name = &self.bytes[name.clone()];
                &self.bytes[module.clone()] == b"collections"
                    && (name == b"OrderedDict" || name == b"defaultdict")
            }
            _ => false,
        };
        self.push(if dict {
            Value::Dict(Vec::new())
        } else {
            Value::Call {
                function,
                arguments,
            }
        })
    }
}

fn bounded(count: usize) -> Step<()> {
    if count < MAX_VALUES {
        Ok(())
    } else {
        Err(format!("more than {MAX_VALUES} values"))
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a key without a value".to_owned());
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}
