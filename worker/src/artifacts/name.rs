//! File names inside an artefact. They come from other machines and become
//! paths on this one, so only plain names pass.

use super::ArtifactError;

const MAX_LEN: usize = 120;

/// A plain file name: letters, digits, `-`, `_` and `.`, not starting with a
/// dot, at most 120 characters.
pub(super) fn check_file_name(name: &str) -> Result<(), ArtifactError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain = !name.is_empty()
        && name.len() <= MAX_LEN
        && !name.starts_with('.')
        && name.chars().all(allowed);
    if plain {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_LEN).collect();
    Err(ArtifactError::broken(
        format!("the file name {shown:?}"),
        "letters, digits, '-', '_' and '.' are possible, not starting with '.'",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\\b",
            "x#1",
            "a\0b",
            ".hidden",
            "x\u{202e}",
            &"y".repeat(121),
        ] {
            assert!(check_file_name(bad).is_err(), "{bad:?}");
        }
        for good in ["model.safetensors", "metrics.jsonl", "sample-0001_a.png"] {
            assert!(check_file_name(good).is_ok(), "{good:?}");
        }
    }
}
