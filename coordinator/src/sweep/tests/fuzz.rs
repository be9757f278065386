//! Whatever the text, a plan or an error: never a panic.

use proptest::prelude::*;

use super::*;

const QUICKSTART: &str = include_str!("../../../../sweeps/quickstart.toml");

/// Pieces that mean something somewhere in a sweep file.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\n",
    "#",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "9223372036854775807",
    "0xff",
    "1979-05-27",
    "true",
    "name",
    "seed",
    "replicates",
    "[stages.x]\n",
    "kind = \"noop\"\n",
    "kind",
    "inputs",
    "[axes]\n",
    "gamma",
    "decoder.sigma",
    "[[linked]]\n",
    "[[points]]\n",
    "[random]\n",
    "count = 3\n",
    "choice = [1, 2]",
    "uniform = [0, 1]",
    "[[exclude]]\n",
    "[[include]]\n",
    "[profiles.p]\n",
    "[[expect]]\n",
    "[[figure]]\n",
    "\u{202e}",
    "\\u0000",
    "é",
    "🦀",
    "../",
    "<script>",
];

#[derive(Debug, Clone)]
enum Mutation {
    Insert(usize, usize),
    Delete(usize, usize),
    Copy(usize, usize, usize),
    Byte(usize, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..QUICKSTART.len();
    prop_oneof![
        4 => (at.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        2 => (at.clone(), 1..40usize).prop_map(|(at, n)| Mutation::Delete(at, n)),
        2 => (at.clone(), at.clone(), 1..80usize).prop_map(|(a, b, n)| Mutation::Copy(a, b, n)),
        1 => (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
    ]
}

fn apply(text: &mut Vec<u8>, mutation: &Mutation) {
    let clip = |at: usize| at.min(text.len());
    match *mutation {
        Mutation::Insert(at, piece) => {
            let at = clip(at);
            text.splice(at..at, PIECES[piece].bytes());
        }
        Mutation::Delete(at, n) => {
            let (start, end) = (clip(at), clip(at + n));
            text.drain(start..end);
        }
        Mutation::Copy(from, to, n) => {
            let piece = text[clip(from)..clip(from + n)].to_vec();
            let to = clip(to);
            text.splice(to..to, piece);
        }
        Mutation::Byte(at, byte) => {
            if let Some(old) = text.get_mut(at) {
                *old = byte;
            }
        }
    }
}

/// Messages are one line of plain text.
fn check(text: &str, options: &Options) {
    if let Err(e) = try_plan(text, options) {
        let message = e.to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
        assert!(message.len() < 8000, "{message}");
    }
}

proptest! {
    #[test]
    fn a_mutated_sweep_is_planned_or_refused(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut text = QUICKSTART.as_bytes().to_vec();
        for mutation in &mutations {
            apply(&mut text, mutation);
        }
        check(&String::from_utf8_lossy(&text), &Options::default());
    }

    #[test]
    fn a_text_of_pieces_is_planned_or_refused(pieces in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.iter().map(|&i| PIECES[i]).collect();
        check(&text, &Options::default());
        check(&format!("{BASE}{text}"), &Options::default());
    }

    #[test]
    fn any_override_is_applied_or_refused(override_ in ".{0,40}", name in "[a-z.]{0,12}=.{0,20}") {
        check(QUICKSTART, &set(&[&override_]));
        check(QUICKSTART, &set(&[&name]));
    }

    #[test]
    fn binary_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes), &Options::default());
    }
}
