//! Clocks of simulated machines: they follow the simulated time, and those of
//! some machines are wrong.
//!
//! tokio's time is simulated anyway. What asks the operating system (SlateDB
//! and the store for dates, hyper for the age of streams) is answered here:
//! the function of the C library is replaced by one of our own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Handle;

/// Of the first moment: 2026-01-01. Monotonic clocks begin at ten seconds, so
/// that no deadline of theirs lies far ahead of the real clock.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
const BOOTED: Duration = Duration::from_secs(10);

thread_local! {
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
    /// How much too late it is on a machine, in s, by its runtime.
    static SKEWS: RefCell<BTreeMap<String, i64>> = const { RefCell::new(BTreeMap::new()) };
    /// The store is at work, whoever called it.
    static OF_STORE: Cell<bool> = const { Cell::new(false) };
}

/// From now on, it is this late on this thread.
pub(crate) fn set(now: Duration) {
    NOW.set(Some(now));
}

/// The machine whose runtime this is has a clock that is wrong.
pub(crate) fn skew(seconds: i64) {
    let runtime = Handle::current().id().to_string();
    SKEWS.with_borrow_mut(|skews| skews.insert(runtime, seconds));
}

/// The store has a clock of its own, which is right.
pub(crate) fn of_store<T>(work: impl FnOnce() -> T) -> T {
    let before = OF_STORE.replace(true);
    let done = work();
    OF_STORE.set(before);
    done
}

fn skewed() -> i64 {
    if OF_STORE.try_with(Cell::get).unwrap_or(true) {
        return 0;
    }
    let Ok(handle) = Handle::try_current() else {
        return 0;
    };
    let skews =
        SKEWS.try_with(|skews| Some(*skews.try_borrow().ok()?.get(&handle.id().to_string())?));
    skews.ok().flatten().unwrap_or(0)
}

/// # Safety
/// `into` has room for a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    into: *mut libc::timespec,
) -> libc::c_int {
    let Some(now) = NOW.try_with(Cell::get).ok().flatten() else {
        // SAFETY: the promise is handed on.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, into) as _ };
    };
    let (now, skew) = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => (EPOCH + now, skewed()),
        _ => (BOOTED + now, 0),
    };
    let time = libc::timespec {
        tv_sec: now.as_secs() as i64 + skew,
        tv_nsec: now.subsec_nanos().into(),
    };
    // SAFETY: the caller promises the room.
    unsafe { into.write(time) };
    0
}
