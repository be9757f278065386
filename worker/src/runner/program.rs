//! The one program of a user that a runner may have running: known to all of
//! its threads, so that it does not outlive the runner.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Whether all children of this process belong to the program.
static ALONE: AtomicBool = AtomicBool::new(false);

static GROUP: Mutex<Option<Pid>> = Mutex::new(None);

/// To be called by a process that has no children but programs: it inherits
/// what they leave behind, and may end it.
pub(super) fn alone() {
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => ALONE.store(true, Ordering::Relaxed),
        Err(error) => tracing::debug!(%error, "what programs leave behind may stay"),
    }
}

pub(crate) fn is_alone() -> bool {
    ALONE.load(Ordering::Relaxed)
}

/// Starts a program as the leader of a process group of its own.
///
/// # Errors
/// When the system does not start it.
pub(crate) fn start(command: &mut Command) -> io::Result<(Child, Pid)> {
    // Held until the group is known: `abandon` waits for it.
    let mut group = GROUP.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.process_group(0).spawn()?;
    let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
    let leader = Pid::from_raw(leader);
    *group = Some(leader);
    Ok((child, leader))
}

/// The program has been waited for.
pub(crate) fn ended() {
    *GROUP.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Kills what runs; for the moment before this process ends.
pub(crate) fn abandon() {
    // Not unlocked again: nothing may be started any more.
    let group = GROUP.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(group) = *group {
        let _ = killpg(group, Signal::SIGKILL);
    }
    std::mem::forget(group);
}
