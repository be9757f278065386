//! A machine for pickles that runs nothing: it builds the values that a pickle
//! describes, and keeps calls as values, so that a hostile file can do no more
//! than be refused.
//!
//! Values lie in one list and refer to each other by place. Shared ones are
//! not copied and deep ones are not walked, so memory is a small multiple of
//! the pickle's length, whatever it says.

use std::ops::Range;

use super::machine;

/// Longer pickles are refused: tensors lie beside it, in entries of their own.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The place of a value.
pub(super) type Id = u32;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Where it stands in the pickle.
    Text(Range<usize>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function.
    Global {
        module: Range<usize>,
        name: Range<usize>,
    },
    /// What lies outside of the pickle, by this value.
    Outside(Id),
    /// A function or class that would be called.
    Call {
        function: Id,
        arguments: Id,
    },
    /// A number with a point, bytes, a set.
    Other(&'static str),
}

/// A pickle that was read to its end.
#[derive(Debug)]
pub(super) struct Pickle {
    bytes: Vec<u8>,
    values: Vec<Value>,
    pub(super) top: Id,
}

impl Pickle {
    /// # Errors
    /// When the bytes are not a pickle of protocol 2 to 5, or too long.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("its pickle is longer than {MAX_BYTES} bytes"));
        }
        let (values, top) = machine::run(&bytes)?;
        Ok(Self { bytes, values, top })
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(range) => Some(self.slice(range)),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub(super) fn global(&self, id: Id) -> Option<(&str, &str)> {
        match self.get(id) {
            Value::Global { module, name } => Some((self.slice(module), self.slice(name))),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// It was checked to be UTF-8 when it was read.
    fn slice(&self, range: &Range<usize>) -> &str {
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}
