//! Numbers and names for people: no digit that means nothing, and no
//! character that could act on a terminal or turn text around.

use std::collections::BTreeMap;

use serde_json::Value;

/// A number of a given unit, without the unit. Missing values are the
/// caller's business.
pub(crate) fn number(value: f64, unit: &str) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "—".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.fract() == 0.0 && size < 1e9 && unit != "dB" {
        return group(&fixed(value, 0));
    }
    if !(1e-3..1e6).contains(&size) {
        return scientific(value);
    }
    match unit {
        "dB" => fixed(value, 2),
        _ if size < 0.1 => fixed(value, decimals(value, 3)),
        _ => fixed(value, decimals(value, 4)),
    }
}

/// A number known to within `half`: two digits of the latter decide how many
/// are shown.
pub(crate) fn known_within(value: f64, half: f64, unit: &str) -> String {
    match places(value, half) {
        Some(places) => fixed(value, places),
        None => number(value, unit),
    }
}

/// Decimal places for a value known to within `half`, where plain notation
/// suits both.
fn places(value: f64, half: f64) -> Option<usize> {
    let plain = (1e-3..1e6).contains(&value.abs()) && half >= 1e-4 && half.is_finite();
    plain.then(|| decimals(half, 2).min(4))
}

fn fixed(value: f64, places: usize) -> String {
    minus(&format!("{value:.places$}"))
}

fn scientific(value: f64) -> String {
    let power = exponent(value);
    let mantissa = fixed(value / 10f64.powi(power), 2);
    format!("{mantissa}×10{}", raised(power))
}

/// A power of ten in superscript.
pub(crate) fn raised(power: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        other => other
            .to_digit(10)
            .and_then(|d| char::from_u32(0x2070 + d))
            .unwrap_or(other),
    };
    power.to_string().chars().map(digit).collect()
}

/// Decimal places that show `digits` significant digits of a value.
fn decimals(value: f64, digits: i32) -> usize {
    usize::try_from(digits - 1 - exponent(value)).unwrap_or(0)
}

fn exponent(value: f64) -> i32 {
    let text = format!("{value:e}");
    let exponent = text.split_once('e').and_then(|(_, e)| e.parse().ok());
    exponent.unwrap_or(0)
}

fn minus(text: &str) -> String {
    text.replacen('-', "−", 1)
}

/// Thin spaces between thousands.
fn group(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('−') {
        Some(rest) => ("−", rest),
        None => ("", text),
    };
    let mut grouped = sign.to_owned();
    for (i, c) in digits.chars().enumerate() {
        let left = digits.len() - i;
        if digits.len() > 4 && i > 0 && left.is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(c);
    }
    grouped
}

pub(crate) fn count(n: usize) -> String {
    group(&n.to_string())
}

/// `1 task`, `2 tasks`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 0.95 => format!("{:.0} ms", s * 1e3),
        s if s < 59.5 => format!("{s:.1} s"),
        s if s < 3570.0 => format!(
            "{:.0} min {:02.0} s",
            (s / 60.0).floor(),
            (s % 60.0).floor()
        ),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Text from other machines, without control and direction characters.
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if hidden(c) { '\u{fffd}' } else { c })
        .collect()
}

/// An axis as people write it: `decoder.sigma` is σ of the decoder.
pub(crate) fn axis(name: &str) -> String {
    let (stage, parameter) = match name.split_once('.') {
        Some((stage, parameter)) => (Some(stage), parameter),
        None => (None, name),
    };
    let letter = match parameter {
        "sigma" => "σ",
        "gamma" => "γ",
        "kappa" => "κ",
        "lambda" => "λ",
        _ => return clean(name).replace('_', " "),
    };
    match stage {
        Some(stage) => format!("{} {letter}", clean(stage)),
        None => letter.to_owned(),
    }
}

/// An axis without the stage it belongs to.
pub(crate) fn short_axis(name: &str) -> String {
    axis(name.rsplit('.').next().unwrap_or(name))
}

/// A metric as people write it: known abbreviations in capitals.
pub(crate) fn metric(name: &str) -> String {
    let words: Vec<String> = clean(name)
        .split('_')
        .map(|word| match word {
            "psnr" | "mse" | "kl" | "oc" | "ssim" | "fid" | "fd" | "swd" | "nll" => {
                word.to_uppercase()
            }
            "db" => "dB".to_owned(),
            _ => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

/// A metric with its unit, for headings.
pub(crate) fn metric_in(name: &str, unit: &str) -> String {
    match unit {
        "" => metric(name),
        unit => format!("{} ({})", metric(name), clean(unit)),
    }
}

/// An axis value.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Number(n) => minus(&n.to_string()),
        other => clean(&other.to_string()),
    }
}

/// `σ = 1, noise = gaussian`.
pub(crate) fn coordinates(coordinates: &BTreeMap<String, Value>) -> String {
    let parts: Vec<String> = coordinates
        .iter()
        .map(|(name, v)| format!("{} = {}", axis(name), value(v)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_what_they_mean() {
        let shown = |v| number(v, "");
        assert_eq!(shown(0.817_871), "0.8179");
        assert_eq!(shown(14.123_456), "14.12");
        assert_eq!(shown(-3.9e-4), "−3.90×10⁻⁴");
        assert_eq!(shown(22_177_000.0), "22\u{202f}177\u{202f}000");
        assert_eq!(number(27.648_31, "dB"), "27.65");
        assert_eq!(number(30.0, "dB"), "30.00");
        assert_eq!(known_within(27.648, 0.0312, "dB"), "27.648");
        assert_eq!(known_within(-0.8179, 0.12, ""), "−0.82");
    }

    #[test]
    fn names_cannot_turn_text_around() {
        assert_eq!(clean("a\u{202e}b\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(axis("decoder.sigma"), "decoder σ");
        assert_eq!(metric("psnr_noisy"), "PSNR noisy");
    }
}
