//! Reads TOML tables with the place of every key at hand.

use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{Fault, Hint, Origin, Problem, is_active};

/// Whether what is read belongs to the file proper or to a profile.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    File,
    Profile,
}

impl Scope {
    pub(super) fn at(self, span: &Range<usize>) -> Origin {
        match self {
            Self::File => Origin::File(span.start),
            Self::Profile => Origin::Profile(span.start),
        }
    }

    /// The entries of a table, in the order of the file.
    pub(super) fn entries<'t, 'a>(self, table: &'t DeTable<'a>) -> Vec<Entry<'t, 'a>> {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                at: self.at(&key.span()),
                value,
                scope: self,
            })
            .collect();
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}

/// A key with its value.
pub(super) struct Entry<'t, 'a> {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: Origin,
    pub(super) value: &'t Spanned<DeValue<'a>>,
    pub(super) scope: Scope,
}

impl<'t, 'a> Entry<'t, 'a> {
    fn wrong(&self, expected: &'static str) -> Fault {
        let problem = Problem::WrongType {
            key: self.key.clone(),
            expected,
            found: describe(self.value.get_ref()),
        };
        Fault::new(self.at, problem)
    }

    pub(super) fn table(&self) -> Result<&'t DeTable<'a>, Fault> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong("a table")),
        }
    }

    /// The entries of the table that this key holds.
    pub(super) fn entries(&self) -> Result<Vec<Entry<'t, 'a>>, Fault> {
        Ok(self.scope.entries(self.table()?))
    }

    pub(super) fn list(&self) -> Result<&'t DeArray<'a>, Fault> {
        match self.value.get_ref() {
            DeValue::Array(array) => Ok(array),
            _ => Err(self.wrong("a list of values")),
        }
    }

    /// A list of tables, each with its place.
    pub(super) fn tables(&self) -> Result<Vec<(Origin, &'t Spanned<DeValue<'a>>)>, Fault> {
        let expected = "a list of tables, written with double brackets ([[…]])";
        let DeValue::Array(array) = self.value.get_ref() else {
            return Err(self.wrong(expected));
        };
        array
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::Table(_) => Ok((self.scope.at(&value.span()), value)),
                _ => Err(self.wrong(expected)),
            })
            .collect()
    }

    /// A word: a name that is checked elsewhere.
    pub(super) fn word(&self) -> Result<String, Fault> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong("a string")),
        }
    }

    /// Text for people.
    pub(super) fn text(&self) -> Result<String, Fault> {
        let text = self.word()?;
        match bad_text(&text) {
            None => Ok(text),
            Some(why) => Err(Fault::new(
                self.at,
                Problem::BadValue {
                    key: self.key.clone(),
                    why,
                },
            )),
        }
    }

    /// A whole number, 0 or more.
    pub(super) fn whole(&self) -> Result<u64, Fault> {
        let value = self.json()?;
        value.as_u64().ok_or_else(|| match value.as_i64() {
            Some(negative) => {
                let key = self.key.clone();
                let why = format!("is {negative}, but must be 0 or more");
                Fault::new(self.at, Problem::BadValue { key, why })
            }
            None => self.wrong("a whole number, 0 or more"),
        })
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Result<i64, Fault> {
        let value = self.json()?;
        value.as_i64().ok_or_else(|| self.wrong("a whole number"))
    }

    /// The value as JSON.
    pub(super) fn json(&self) -> Result<Value, Fault> {
        json(&self.key, self.scope, self.value)
    }
}

/// Why a text for people is refused, if it is.
pub(super) fn bad_text(text: &str) -> Option<String> {
    const MAX: usize = 4000;
    let length = text.chars().count();
    if length > MAX {
        return Some(format!("has {length} characters, and {MAX} are possible"));
    }
    text.chars()
        .find(|&c| is_active(c) && c != '\n' && c != '\t')
        .map(|c| format!("holds the control character {}", c.escape_unicode()))
}

/// A TOML value as JSON. `key` is named in errors.
pub(super) fn json(key: &str, scope: Scope, node: &Spanned<DeValue<'_>>) -> Result<Value, Fault> {
    let refuse = |why: &str| {
        let problem = Problem::BadValue {
            key: key.to_owned(),
            why: why.to_owned(),
        };
        Fault::new(scope.at(&node.span()), problem)
    };
    Ok(match node.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map(Value::from)
            .map_err(|_| refuse("is a whole number beyond 64 bits"))?,
        DeValue::Float(digits) => digits
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| refuse("is not a finite number"))?,
        DeValue::Datetime(_) => return Err(refuse("is a date, and no parameter takes one")),
        DeValue::Array(array) => array
            .iter()
            .map(|value| json(key, scope, value))
            .collect::<Result<_, _>>()?,
        DeValue::Table(table) => scope
            .entries(table)
            .into_iter()
            .map(|entry| Ok((entry.key.clone(), entry.json()?)))
            .collect::<Result<Map<_, _>, Fault>>()?
            .into(),
    })
}

/// Refuses the first key that is not among the known ones.
pub(super) fn only(entries: &[Entry<'_, '_>], section: &str, known: &[&str]) -> Result<(), Fault> {
    match entries.iter().find(|e| !known.contains(&e.key.as_str())) {
        None => Ok(()),
        Some(entry) => Err(Fault::new(
            entry.at,
            Problem::UnknownKey {
                key: entry.key.clone(),
                section: section.to_owned(),
                hint: Hint::new(&entry.key, known.iter().copied()),
            },
        )),
    }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
