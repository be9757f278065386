//! The end of what a runner wrote to its standard error.

use std::collections::VecDeque;

/// What is kept of one attempt's log.
const KEEP: usize = 1 << 20;
/// What is quoted in the cause of a failure.
const QUOTE: usize = 1500;

#[derive(Debug, Default)]
pub(super) struct LogTail {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl LogTail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(KEEP);
        self.bytes.drain(..excess);
        self.dropped += excess as u64;
    }

    /// What was written after the first `seen` bytes: at most the last `most`
    /// bytes of it, and where they begin.
    pub(super) fn since(&self, seen: u64, most: usize) -> (u64, Vec<u8>) {
        let end = self.dropped + self.bytes.len() as u64;
        let kept = seen.max(self.dropped).max(end.saturating_sub(most as u64));
        let skip = usize::try_from(kept.min(end) - self.dropped).unwrap_or(usize::MAX);
        (kept, self.bytes.iter().skip(skip).copied().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The last lines, for a person.
    pub(super) fn quote(&self) -> String {
        let skip = self.bytes.len().saturating_sub(QUOTE);
        let tail: Vec<u8> = self.bytes.iter().skip(skip).copied().collect();
        let text = String::from_utf8_lossy(&tail);
        let text = match text.split_once('\n') {
            Some((_, rest)) if skip > 0 => rest,
            _ => &text,
        };
        text.trim().to_owned()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut log = Vec::new();
        if self.dropped > 0 {
            log.extend(format!("[{} earlier bytes are left out]\n", self.dropped).bytes());
        }
        log.extend(self.bytes);
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let mut log = LogTail::default();
        for _ in 0..3 {
            log.push(&vec![b'x'; KEEP / 2]);
        }
        log.push(b"\nthe end\n");
        assert!(log.quote().ends_with("the end"));
        let bytes = log.into_bytes();
        assert!(bytes.starts_with(b"[524297 earlier bytes are left out]\n"));
        assert!(bytes.len() < KEEP + 100);
    }
}
