//! How much memory there is for tasks on this machine.

use std::fs;

/// Bytes of this machine, or of this process's control group if it may use
/// less; 0 where that cannot be read.
pub fn of_machine() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = total(&meminfo);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        // `max` is no number.
        text.trim().parse::<u64>().ok()
    });
    limits
        .chain([total])
        .filter(|bytes| *bytes > 0)
        .min()
        .unwrap_or(0)
}

fn total(meminfo: &str) -> u64 {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib << 10)
}

/// Where the limits of the control groups in this `/proc/self/cgroup` stand,
/// and of those above them.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, name) = if controllers.split(',').any(|c| c == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else {
            continue;
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{name}"));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_and_of_groups_above_are_read() {
        assert_eq!(
            limit_files("4:cpu,memory:/box\n0::/a/b\n"),
            [
                "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert!(limit_files("nonsense").is_empty());
    }

    #[test]
    fn this_machine_has_memory() {
        assert_eq!(total("MemTotal:       24 kB\nMemFree: 1 kB\n"), 24 << 10);
        assert!(of_machine() > 64 << 20);
    }
}
