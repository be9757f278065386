//! Typed identifiers. Their `Display` form is the one used in logs and in
//! object keys.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An identifier that was not of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {why}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
    why: &'static str,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, value: impl Into<String>, why: &'static str) -> Self {
        Self {
            what,
            value: value.into().chars().take(80).collect(),
            why,
        }
    }
}

/// Content hash of a task: what it computes, from what, with which seed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey([u8; 32]);

impl TaskKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// First ten hex digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..5])
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        let written = hex::encode_to_slice(self.0, &mut text);
        debug_assert!(written.is_ok(), "two digits a byte");
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskKey({})", self.short())
    }
}

impl FromStr for TaskKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| InvalidId::new("task key", text, "64 hex digits are expected"))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for TaskKey {
    type Error = InvalidId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
        let bytes = bytes
            .try_into()
            .map_err(|_| InvalidId::new("task key", hex::encode(bytes), "32 bytes are expected"))?;
        Ok(Self(bytes))
    }
}

impl Serialize for TaskKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Defines a string id of letters, digits, `-`, `_` and `.`, at most 80 long,
/// so that it is safe in object keys, logs and HTML alike. Copies share it.
macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check_name($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                check_name($what, &text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }
    };
}

name_id!(
    /// A sweep: its name, with the profile appended when one was chosen.
    SweepId,
    "sweep name"
);
name_id!(
    /// A worker process. A restarted worker is another worker.
    WorkerId,
    "worker id"
);

impl WorkerId {
    /// A fresh id: `host-` and eight random hex digits.
    pub fn generate(host: &str) -> Self {
        let host: String = host
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(40)
            .collect();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let host = if host.is_empty() { "worker" } else { &host };
        Self(format!("{host}-{}", &unique[..8]).into())
    }
}

fn check_name(what: &'static str, text: &str) -> Result<(), InvalidId> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 80 {
        return Err(InvalidId::new(
            what,
            text,
            "1 to 80 characters are expected",
        ));
    }
    if !text.chars().all(allowed) || text.starts_with('.') {
        let why = "use letters, digits, '-', '_' and '.', not starting with '.'";
        return Err(InvalidId::new(what, text, why));
    }
    Ok(())
}

/// One try at a task, and the token that fences off earlier tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId {
    pub task: TaskKey,
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task.short(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_root_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "x\u{202e}", &"y".repeat(81)] {
            assert!(bad.parse::<SweepId>().is_err(), "{bad:?}");
        }
        assert!("e06-mini_2.1".parse::<SweepId>().is_ok());
    }

    #[test]
    fn task_keys_survive_text_and_bytes() {
        let key = TaskKey::from_bytes([7; 32]);
        assert_eq!(key.to_string().parse::<TaskKey>(), Ok(key));
        assert_eq!(TaskKey::try_from(&key.as_bytes()[..]), Ok(key));
        assert!(TaskKey::try_from(&[0u8; 31][..]).is_err());
        assert!("zz".parse::<TaskKey>().is_err());
    }
}
