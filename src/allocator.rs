//! mimalloc; and in a runner, a request that cannot be met ends the process
//! with an exit status of its own, by which its agent knows what happened. By
//! default it would abort, as a bug does.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use ablate_worker::runner::OUT_OF_MEMORY;
use mimalloc::MiMalloc;

static ENDS: AtomicBool = AtomicBool::new(false);

/// From now on, a request that cannot be met ends this process.
pub(crate) fn end_when_out_of_memory() {
    ENDS.store(true, Ordering::Relaxed);
}

/// Memory that was freed goes back to the system at once instead of after ten
/// milliseconds, which never come for a thread that has nothing more to do: a
/// coordinator plans a large sweep, and may rest for days. To be called while
/// there is one thread.
pub(crate) fn give_back_at_once() {
    /// Of `mi_option_t`, as mimalloc 3 has it.
    const PURGE_DELAY: c_int = 15;
    #[expect(unsafe_code, reason = "the binding has no such option")]
    unsafe extern "C" {
        fn mi_option_set(option: c_int, value: c_long);
    }
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: sets a number, which no other thread reads.
    unsafe {
        mi_option_set(PURGE_DELAY, 0);
    }
}

/// Whether a process that passes messages on gets memory by the page, not by
/// two megabytes, which would be cleared whole for the little that is used of
/// them: a quarter of an idle coordinator's memory, and a tenth of its time while
/// it is busy. Children inherit it; runners compute as before, and take it back.
pub(crate) fn small_pages(small: bool) {
    // A kernel without large pages has nothing to forbid.
    let _ = nix::sys::prctl::set_thp_disable(small);
}

pub(crate) struct Allocator;

#[expect(unsafe_code, reason = "what an allocator is")]
// SAFETY: every request goes to mimalloc as it came, and its answer back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for.
        got(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        got(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        got(unsafe { MiMalloc.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

fn got(block: *mut u8, bytes: usize) -> *mut u8 {
    if block.is_null() && ENDS.load(Ordering::Relaxed) {
        end(bytes);
    }
    block
}

/// Allocates nothing.
#[cold]
fn end(bytes: usize) -> ! {
    let mut line = [0; 80];
    let left = {
        let mut rest = &mut line[..];
        let _ = writeln!(rest, "{bytes} bytes of memory were refused");
        rest.len()
    };
    let _ = nix::unistd::write(std::io::stderr(), &line[..line.len() - left]);
    #[expect(unsafe_code, reason = "handlers at exit may allocate")]
    // SAFETY: ends the process; nothing of it is used again.
    unsafe {
        nix::libc::_exit(OUT_OF_MEMORY)
    }
}
