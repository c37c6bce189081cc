//! Counts allocations on demand.

#![expect(
    unsafe_code,
    reason = "`GlobalAlloc` is an unsafe trait; each method only counts and forwards"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

/// The system's allocator, with counters that are off while time is measured, which leaves one branch. Published
/// counters are always on, which would favour libraries with few allocations.
pub(crate) struct Counting;

/// The allocations of all threads while counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    /// The number of allocations, including reallocations.
    pub(crate) times: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// The number of bytes that were not freed.
    pub(crate) kept: i64,
}

static ON: AtomicBool = AtomicBool::new(false);
static TIMES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static KEPT: AtomicI64 = AtomicI64::new(0);

/// Counts from now on. Only one can exist at a time.
pub(crate) struct Counter(());

impl Counter {
    pub(crate) fn start() -> Self {
        TIMES.store(0, Ordering::SeqCst);
        BYTES.store(0, Ordering::SeqCst);
        KEPT.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
        Self(())
    }

    pub(crate) fn so_far(&self) -> Allocated {
        let Self(()) = self;
        Allocated {
            times: TIMES.load(Ordering::SeqCst),
            bytes: BYTES.load(Ordering::SeqCst),
            kept: KEPT.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        ON.store(false, Ordering::SeqCst);
    }
}

fn count(allocated: usize, freed: usize) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    if allocated > 0 {
        TIMES.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(allocated as u64, Ordering::Relaxed);
    }
    KEPT.fetch_add(signed(allocated) - signed(freed), Ordering::Relaxed);
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: everything is forwarded to the system's allocator, unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}
