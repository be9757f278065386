//! `[[figure.quoted]]`: rows of a paper's table, to stand beneath a figure.
//! They are checked here, and read with their figure.

use toml::de::DeValue;

use super::error::{Fault, Name, Problem};
use super::read::{Entry, only};

const SECTION: &str = "[[figure.quoted]]";
const KEYS: &[&str] = &["name", "source", "values"];
/// Rows of a figure, and columns of a row.
const MAX_ROWS: usize = 100;
const MAX_COLUMNS: usize = 24;

/// Checks the rows of a figure. `entry` is its `quoted`.
pub(super) fn check(entry: &Entry<'_, '_>) -> Result<(), Fault> {
    let rows = entry.tables()?;
    at_most(entry, "quoted rows of one figure", rows.len(), MAX_ROWS)?;
    for (at, row) in rows {
        let fields = row.get_ref().as_table().map(|t| entry.scope.entries(t));
        let fields = fields.unwrap_or_default();
        only(&fields, SECTION, KEYS)?;
        for (key, example) in [
            ("name", "name = \"…\", what the numbers are of"),
            ("source", "source = \"Table 1\", where they are printed"),
            ("values", "values = { fid = \"8.30\" }, as they are printed"),
        ] {
            if !fields.iter().any(|field| field.key == key) {
                let problem = Problem::MissingKey {
                    key,
                    section: SECTION.to_owned(),
                    example,
                };
                return Err(Fault::new(at, problem));
            }
        }
        for field in &fields {
            match field.key.as_str() {
                "values" => values(field)?,
                _ if field.text()?.trim().is_empty() => {
                    return refuse(field, "is empty; say what is quoted, and from where");
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn values(entry: &Entry<'_, '_>) -> Result<(), Fault> {
    let values = entry.entries()?;
    if values.is_empty() {
        return refuse(
            entry,
            "is empty; give a number as it is printed, or remove the row",
        );
    }
    at_most(entry, "columns of a quoted row", values.len(), MAX_COLUMNS)?;
    for value in &values {
        if value.key.trim().is_empty() {
            return refuse(value, "is no name of a column");
        }
        if let Some(why) = super::read::bad_text(&value.key) {
            return refuse(value, &why);
        }
        match value.value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => {
                let why = "is a number, which would lose the digits of the paper; put it in quotes, \
                           as it is printed there";
                return refuse(value, why);
            }
            _ => {
                let text = value.text()?;
                if !text.contains(|c: char| c.is_ascii_digit()) {
                    let why = format!("is {}, which is no number of a paper's table", Name(&text));
                    return refuse(value, &why);
                }
            }
        }
    }
    Ok(())
}

fn at_most(
    entry: &Entry<'_, '_>,
    what: &'static str,
    count: usize,
    max: usize,
) -> Result<(), Fault> {
    match count > max {
        true => Err(Fault::new(entry.at, Problem::TooMany { what, count, max })),
        false => Ok(()),
    }
}

fn refuse(entry: &Entry<'_, '_>, why: &str) -> Result<(), Fault> {
    let (key, why) = (entry.key.clone(), why.to_owned());
    Err(Fault::new(entry.at, Problem::BadValue { key, why }))
}
