//! Whether the kernel kills processes because memory ran out: its counters
//! before and after. A SIGKILL does not say who sent it.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reading the counters costs as much as a short program, so they are kept for
/// so long.
const FRESH: Duration = Duration::from_secs(1);

/// Kills for want of memory so far; `None` where that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OomKills {
    /// On this machine.
    machine: Option<u64>,
    /// Among the processes of this one's control group, which is also that of
    /// the runners.
    group: Option<u64>,
}

/// When they were read last, and what they were.
static LAST: Mutex<Option<(Instant, OomKills)>> = Mutex::new(None);

impl OomKills {
    pub(crate) fn so_far() -> Self {
        let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = counter_files(&group).into_iter();
        let kills = Self {
            machine: count("/proc/vmstat"),
            group: files.find_map(|file| count(&file)),
        };
        // A kill that was seen is not seen again by what begins now.
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), kills));
        kills
    }

    /// Those of now, or up to a second ago: to be compared with those
    /// [so far](Self::so_far) once something was killed.
    pub(crate) fn lately() -> Self {
        let last = *LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match last {
            Some((read, kills)) if read.elapsed() < FRESH => kills,
            _ => Self::so_far(),
        }
    }

    /// Whether there was one between `self` and `now`. Where the group's count
    /// is known, kills of others do not matter.
    pub(crate) fn grew(self, now: Self) -> bool {
        let more = |before: Option<u64>, now: Option<u64>| Some(now? > before?);
        more(self.group, now.group)
            .or_else(|| more(self.machine, now.machine))
            .unwrap_or(false)
    }
}

/// The value after `oom_kill` in a file of names and numbers.
fn count(file: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Where the control group in this `/proc/self/cgroup` counts its kills. In
/// a container its own group may be mounted as the root.
fn counter_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_end_matches('/');
        if controllers.split(',').any(|c| c == "memory") {
            // Version 1 comes first: with both mounted, it has the memory.
            let of = |path: &str| format!("/sys/fs/cgroup/memory{path}/memory.oom_control");
            files.splice(0..0, [of(path), of("")]);
        } else if controllers.is_empty() {
            let of = |path: &str| format!("/sys/fs/cgroup{path}/memory.events");
            files.extend([of(path), of("")]);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_own_count_decides_where_there_is_one() {
        let kills = |machine, group| OomKills { machine, group };
        let before = kills(Some(3), Some(1));
        assert!(before.grew(kills(Some(4), Some(2))));
        assert!(!before.grew(kills(Some(4), Some(1))));
        assert!(kills(Some(3), None).grew(kills(Some(4), None)));
        assert!(!OomKills::default().grew(OomKills::default()));
    }

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let v2 = counter_files("0::/user.slice/x\n");
        assert_eq!(v2[0], "/sys/fs/cgroup/user.slice/x/memory.events");
        let v1 = counter_files("4:memory:/box\n0::/\n");
        assert_eq!(v1[0], "/sys/fs/cgroup/memory/box/memory.oom_control");
        assert_eq!(v1.last().unwrap(), "/sys/fs/cgroup/memory.events");
        assert!(counter_files("nonsense").is_empty());
    }
}
