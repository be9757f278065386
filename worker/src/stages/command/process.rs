//! A program from its start to the end of everything it started.
//!
//! It leads a process group of its own, which is killed when it ends. What it
//! moved out of the group is inherited by this process (a "subreaper") and
//! killed too, so nothing of it runs beside the next task.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ablate_proto::failure::Failure;
use ablate_proto::stage::CommandSpec;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::runner::failure::OrFail as _;
use crate::runner::program;

/// How long one [`Program::wait`] takes at most.
const TURN_MS: u8 = 20;
/// What a program leaves behind is given so long to die.
const STRAYS: Duration = Duration::from_secs(2);
/// What is kept of standard error for the cause of a failure.
const LAST_WORDS: usize = 2000;
/// Read at a time.
const PIECE: usize = 16 << 10;

pub(super) struct Program {
    child: Child,
    group: Pid,
    /// Readable once it has ended; kernels before 5.3 have none.
    end: Option<OwnedFd>,
    /// Standard output and standard error, while they are open.
    pipes: [Option<File>; 2],
    words: Vec<u8>,
    buffer: Vec<u8>,
    killed: bool,
}

pub(super) enum Waited {
    /// It wrote something.
    Said,
    Nothing,
    Ended(ExitStatus),
}

impl Program {
    pub(super) fn start(command: &mut Command, spec: &CommandSpec) -> Result<Self, Failure> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = program::start(command);
        let (mut child, group) = started.map_err(|error| {
            let (name, path) = (&spec.run[0], command.get_program().display());
            Failure::config(format!(
                "the program {name:?} ({path}) could not be started: {error}; can it be \
                 executed, and is its interpreter (its first line, `#!…`) on this worker?"
            ))
        })?;
        let out = child.stdout.take().map(OwnedFd::from).map(File::from);
        let err = child.stderr.take().map(OwnedFd::from).map(File::from);
        Ok(Self {
            child,
            group,
            end: watch(group),
            pipes: [out, err],
            words: Vec::new(),
            buffer: vec![0; PIECE],
            killed: false,
        })
    }

    pub(super) fn group(&self) -> i32 {
        self.group.as_raw()
    }

    /// Passes on what it says, for a moment, and looks whether it has ended.
    pub(super) fn wait(&mut self) -> Result<Waited, Failure> {
        let doing = "waiting for the program";
        let said = self.pass_on().or_transient(doing)?;
        // It stays a zombie, so that nobody else gets its number meanwhile.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group), flags) {
            Ok(WaitStatus::StillAlive) if said => return Ok(Waited::Said),
            Ok(WaitStatus::StillAlive) => return Ok(Waited::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error).or_bug(doing),
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        let status = self.child.wait().or_bug(doing)?;
        program::ended();
        if program::is_alone() {
            end_strays();
        }
        self.drain();
        Ok(Waited::Ended(status))
    }

    /// Waits for something to read, and reads it, or for the end; whether
    /// there was anything to read.
    fn pass_on(&mut self) -> io::Result<bool> {
        let open: Vec<usize> = (0..2).filter(|i| self.pipes[*i].is_some()).collect();
        let pipes = open.iter().filter_map(|i| self.pipes[*i].as_ref());
        let ends = self.end.iter().map(OwnedFd::as_fd);
        let mut watched: Vec<PollFd<'_>> = pipes
            .map(File::as_fd)
            .chain(ends)
            .map(|fd: BorrowedFd<'_>| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut watched, PollTimeout::from(TURN_MS)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = watched.iter().map(|fd| fd.any() == Some(true)).collect();
        let mut said = false;
        for (index, _) in open.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            said |= self.read(index) > 0;
        }
        Ok(said)
    }

    /// Reads once from a pipe that has something; 0 once it is closed.
    fn read(&mut self, index: usize) -> usize {
        let Some(pipe) = self.pipes[index].as_mut() else {
            return 0;
        };
        let read = match pipe.read(&mut self.buffer) {
            Ok(0) | Err(_) => {
                self.pipes[index] = None;
                return 0;
            }
            Ok(read) => read,
        };
        let piece = &self.buffer[..read];
        if index == 1 {
            self.words.extend_from_slice(piece);
            let excess = self.words.len().saturating_sub(LAST_WORDS);
            self.words.drain(..excess);
        }
        // The log of the task. If the agent has gone, this process goes too.
        let _ = io::stderr().write_all(piece);
        read
    }

    /// What is left in the pipes: everybody who could write has ended.
    fn drain(&mut self) {
        for index in 0..2 {
            let mut left = 16;
            while left > 0 && self.has_more(index) && self.read(index) > 0 {
                left -= 1;
            }
        }
    }

    fn has_more(&self, index: usize) -> bool {
        let Some(pipe) = &self.pipes[index] else {
            return false;
        };
        let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::ZERO).is_ok_and(|n| n > 0)
    }

    pub(super) fn terminate(&self) {
        let _ = killpg(self.group, Signal::SIGTERM);
        // One that is stopped would not hear it.
        let _ = killpg(self.group, Signal::SIGCONT);
    }

    pub(super) fn kill(&mut self) {
        if !std::mem::replace(&mut self.killed, true) {
            tracing::warn!(group = %self.group, "the program does not end; killing it");
        }
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    pub(super) fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&self.words);
        text.trim().to_owned()
    }
}

impl Drop for Program {
    /// On the way out after an error: it must not go on.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = killpg(self.group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        program::ended();
    }
}

/// Something that can be polled for the end of a child.
fn watch(child: Pid) -> Option<OwnedFd> {
    #[expect(unsafe_code, reason = "neither std nor nix has it")]
    // SAFETY: two integers go in; what comes out is a new descriptor of ours,
    // or negative.
    unsafe {
        let fd = nix::libc::syscall(nix::libc::SYS_pidfd_open, child.as_raw(), 0);
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}

/// Kills whatever this process has inherited, until nothing is left.
fn end_strays() {
    // Each round ends a generation; what forks faster than that is left.
    let until = Instant::now() + STRAYS;
    while Instant::now() < until {
        match waitid(
            Id::All,
            WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT,
        ) {
            // No children: the usual case.
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => {
                for stray in children() {
                    let _ = kill(stray, Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(_) => {
                let _ = waitpid(None, Some(WaitPidFlag::WNOHANG));
            }
        }
    }
    tracing::warn!("something that the program started does not end");
}

fn children() -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let lists = threads.filter_map(|thread| {
        let path = thread.ok()?.path().join("children");
        std::fs::read_to_string(path).ok()
    });
    let pids = lists.flat_map(|list| {
        let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
        pids.collect::<Vec<i32>>()
    });
    pids.map(Pid::from_raw).collect()
}
