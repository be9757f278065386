//! How much memory and how many cores a job uses, for the coordinator to learn
//! from: by the kernel's books of this process, and of the programs that it
//! runs.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ablate_proto::capacity::Used;
use nix::sys::resource::{UsageWho, getrusage};

/// What ends sooner is not worth measuring.
const LEAST: Duration = Duration::from_millis(20);

/// Most bytes that the program of this job was seen to use.
static PROGRAM: AtomicU64 = AtomicU64::new(0);
/// Most bytes of the GPU.
static DEVICE: AtomicU64 = AtomicU64::new(0);

pub(super) struct Usage {
    cpu: Option<Duration>,
}

/// From now on the peak counts anew.
pub(super) fn begin() -> Usage {
    PROGRAM.store(0, Ordering::Relaxed);
    DEVICE.store(0, Ordering::Relaxed);
    // Resets the largest resident set; where that is not possible it is that
    // of earlier jobs, too.
    let _ = fs::write("/proc/self/clear_refs", "5");
    Usage { cpu: cpu() }
}

impl Usage {
    /// What was used, in memory of the GPU if there is one at work.
    pub(super) fn end(self, elapsed: Duration) -> Used {
        if elapsed < LEAST {
            return Used::default();
        }
        let cpu = self.cpu.zip(cpu());
        let cores = cpu.map_or(0.0, |(before, now)| {
            now.saturating_sub(before).as_secs_f32() / elapsed.as_secs_f32()
        });
        let memory = match DEVICE.load(Ordering::Relaxed) {
            0 => {
                let own = field("/proc/self/status", "VmHWM:").unwrap_or(0);
                own + PROGRAM.load(Ordering::Relaxed)
            }
            device => device,
        };
        Used { memory, cores }
    }
}

/// Takes note of what a program and everything below it use now.
pub(crate) fn look_at(program: i32) {
    let bytes = tree(program, 0);
    PROGRAM.fetch_max(bytes, Ordering::Relaxed);
}

/// Takes note of so many bytes in use on the GPU.
#[cfg(feature = "cuda")]
pub(crate) fn on_device(bytes: u64) {
    DEVICE.fetch_max(bytes, Ordering::Relaxed);
}

/// Processes below each other that are looked at.
const DEEPEST: usize = 16;

fn tree(process: i32, depth: usize) -> u64 {
    let own = field(&format!("/proc/{process}/status"), "VmRSS:").unwrap_or(0);
    if depth == DEEPEST {
        return own;
    }
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|id| id.parse().ok());
    own + below.map(|id| tree(id, depth + 1)).sum::<u64>()
}

/// Bytes that a line of a status file says.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Of this process and of the children that have ended.
fn cpu() -> Option<Duration> {
    let of = |who| {
        let usage = getrusage(who).ok()?;
        let time = |t: nix::sys::time::TimeVal| {
            Duration::from_secs(u64::try_from(t.tv_sec()).unwrap_or(0))
                + Duration::from_micros(u64::try_from(t.tv_usec()).unwrap_or(0))
        };
        Some(time(usage.user_time()) + time(usage.system_time()))
    };
    Some(of(UsageWho::RUSAGE_SELF)? + of(UsageWho::RUSAGE_CHILDREN)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_what_it_started_are_counted_together() {
        let script = "sleep 30 & sleep 30";
        let mut shell = std::process::Command::new("sh");
        let mut child = shell.args(["-c", script]).spawn().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        let one = || field(&format!("/proc/{id}/status"), "VmRSS:").unwrap_or(0);
        let many = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            tree(id, 0) > one() && one() > 0
        });
        let pids: Vec<String> = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        for pid in pids {
            let _ = std::process::Command::new("kill").arg(pid).status();
        }
        assert!(many);
    }

    #[test]
    fn memory_that_was_touched_shows() {
        let usage = begin();
        let before = usage.end(LEAST).memory;
        let usage = begin();
        let bytes = vec![1_u8; 64 << 20];
        std::hint::black_box(&bytes);
        let used = usage.end(LEAST);
        assert!(used.memory >= before.min(64 << 20) && used.memory >= 64 << 20);
    }
}
