//! Words for messages: suggestions, and text from the file made harmless.

use std::fmt;

use ablate_proto::stage::nearest;

/// What to offer instead of a name: the nearest, or else what is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    pub nearest: Option<String>,
    pub known: Vec<String>,
    /// Advice that fits this case only.
    pub note: Option<&'static str>,
}

/// Longest name that is compared with others: the comparison is quadratic.
const MAX_COMPARED: usize = 128;

impl Hint {
    pub(super) fn new<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let nearest = (name.len() <= MAX_COMPARED)
            .then(|| {
                nearest(
                    name,
                    known.iter().copied().filter(|k| k.len() <= MAX_COMPARED),
                )
            })
            .flatten();
        Self {
            nearest,
            known: known.into_iter().map(str::to_owned).collect(),
            note: None,
        }
    }

    /// What is known, where no single one stands out.
    pub(super) fn known<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            known: known.into_iter().map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    pub(super) fn note(note: &'static str) -> Self {
        Self {
            note: Some(note),
            ..Self::default()
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 24;
        if let Some(note) = self.note {
            write!(f, "; {note}")
        } else if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean {}?", Name(nearest))
        } else if self.known.is_empty() {
            Ok(())
        } else {
            f.write_str("; possible: ")?;
            for (i, name) in self.known.iter().take(SHOWN).enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{}", inert(name, 80))?;
            }
            match self.known.len().saturating_sub(SHOWN) {
                0 => Ok(()),
                more => write!(f, " and {more} more"),
            }
        }
    }
}

/// A name in backticks, escaped and cut.
pub(super) struct Name<'a>(pub(super) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", inert(self.0, 80))
    }
}

/// Text without control or direction characters, at most `max` characters.
pub(super) fn inert(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars().take(max) {
        if is_active(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

/// Characters that act on a terminal or turn the direction of the text.
pub(super) fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
