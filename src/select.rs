//! Which sweeps are meant: names, `last`, `all`, and patterns such as `e1*`.

use ablate_proto::id::SweepId;
use ablate_proto::status::SweepStatus;
use glob::Pattern;

use crate::exit::{CliError, Exit, OrExit as _, fail};
use crate::rpc::Sweeps;

/// What `all` and patterns are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    Any,
    /// Sweeps that have not ended.
    Open,
}

/// The sweeps that `words` select, each once, in the order of the words.
///
/// # Errors
/// A word that selects nothing.
pub(crate) async fn select(
    sweeps: &mut Sweeps,
    words: &[String],
    meant: Meant,
) -> Result<Vec<SweepId>, CliError> {
    // One that is named is found by whoever is asked about it.
    if words.iter().all(|word| is_name(word)) {
        let mut named: Vec<SweepId> = Vec::new();
        for word in words {
            let id = word.parse().or_exit(Exit::Usage)?;
            if !named.contains(&id) {
                named.push(id);
            }
        }
        return Ok(named);
    }
    let known = sweeps.status().await?.sweeps;
    of_known(&known, words, meant)
}

/// The one sweep that `word` selects.
pub(crate) async fn select_one(sweeps: &mut Sweeps, word: &str) -> Result<SweepId, CliError> {
    let selected = select(sweeps, &[word.to_owned()], Meant::Any).await?;
    match &selected[..] {
        [one] => Ok(one.clone()),
        several => {
            let names: Vec<_> = several.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            fail(
                Exit::Usage,
                format!("`{word}` selects several sweeps: {names}; give one"),
            )
        }
    }
}

/// What `last` or a pattern stands for; other words as they are, which may
/// name something else than a sweep.
///
/// # Errors
/// As [`select_one`].
pub(crate) async fn meant(sweeps: &mut Sweeps, word: &str) -> Result<String, CliError> {
    match is_name(word) {
        true => Ok(word.to_owned()),
        false => Ok(select_one(sweeps, word).await?.to_string()),
    }
}

fn is_name(word: &str) -> bool {
    word != "last" && word != "all" && !word.contains(['*', '?', '['])
}

fn of_known(
    known: &[SweepStatus],
    words: &[String],
    meant: Meant,
) -> Result<Vec<SweepId>, CliError> {
    let fits = |s: &&SweepStatus| meant == Meant::Any || !s.state.is_terminal();
    let mut selected: Vec<SweepId> = Vec::new();
    for word in words {
        let found: Vec<&SweepId> = match word.as_str() {
            "all" => known.iter().filter(fits).map(|s| &s.sweep).collect(),
            "last" => {
                let last = known.iter().max_by_key(|s| s.submitted);
                last.map(|s| &s.sweep).into_iter().collect()
            }
            name if is_name(name) => {
                let id: SweepId = name.parse().or_exit(Exit::Usage)?;
                if !selected.contains(&id) {
                    selected.push(id);
                }
                continue;
            }
            pattern => {
                let pattern = Pattern::new(pattern).or_exit(Exit::Usage)?;
                let meant = known.iter().filter(fits).map(|s| &s.sweep);
                meant.filter(|id| pattern.matches(id.as_str())).collect()
            }
        };
        // Of none, all is nothing to do.
        if found.is_empty() && word != "all" {
            let known: Vec<_> = known.iter().map(|s| s.sweep.to_string()).collect();
            let known = match known.len() {
                0 => "none".to_owned(),
                _ => known.join(", "),
            };
            let why = format!("`{word}` selects no sweep; the coordinator has {known}");
            return fail(Exit::Usage, why);
        }
        for id in found {
            if !selected.contains(id) {
                selected.push(id.clone());
            }
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use ablate_proto::status::SweepState;

    use super::*;

    fn known() -> Vec<SweepStatus> {
        let sweep = |(name, submitted): (&str, u64)| SweepStatus {
            sweep: name.parse().unwrap(),
            state: match name {
                "other" => SweepState::Done,
                _ => SweepState::Running,
            },
            submitted,
            points: 1,
            tasks: 1,
            done: 0,
            failed: 0,
            cancelled: 0,
            running: 0,
            reused: 0,
            held: None,
            priority: 0,
            eta_seconds: None,
            eta_range: None,
            rows: Vec::new(),
        };
        [("e1", 2), ("e12", 3), ("other", 1)].map(sweep).to_vec()
    }

    fn selected(words: &[&str]) -> Result<Vec<String>, String> {
        select_of(words, Meant::Any)
    }

    fn select_of(words: &[&str], meant: Meant) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let found = of_known(&known(), &words, meant);
        let found = found.map_err(|e| e.error.to_string())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn words_select_sweeps_each_once() {
        assert_eq!(selected(&["last"]).unwrap(), ["e12"]);
        assert_eq!(selected(&["all"]).unwrap(), ["e1", "e12", "other"]);
        assert_eq!(selected(&["other", "e*"]).unwrap(), ["other", "e1", "e12"]);
        assert_eq!(selected(&["e1", "last", "e1?"]).unwrap(), ["e1", "e12"]);
        assert!(selected(&["x*"]).unwrap_err().contains("e1, e12, other"));
        assert!(selected(&["["]).is_err());
        let open = |word| select_of(&[word], Meant::Open);
        assert_eq!(open("all").unwrap(), ["e1", "e12"]);
        assert!(open("o*").is_err());
        // One that is named is asked about, ended or not.
        assert_eq!(open("other").unwrap(), ["other"]);
    }
}
