//! The threads that pods are scheduled on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads. Unless they are to be `free`, each stays on a core of its own, where there are as many:
/// Linux now and then wakes a thread on the core of the one that wakes it, and leaves them both there for up to twenty
/// milliseconds while another core has nothing to do.
pub(crate) fn runtime(threads: usize, free: bool) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    if !free && cores.len() >= threads {
        let started = AtomicUsize::new(0);
        // Threads for calls that block come later, and go where they may.
        builder.on_thread_start(move || {
            let nth = started.fetch_add(1, Ordering::Relaxed);
            if let Some(core) = cores.get(nth).filter(|_| nth < threads) {
                let mut own = CpuSet::new();
                own.set(*core);
                if let Err(error) = sched_setaffinity(None, &own) {
                    eprintln!("a thread was not bound to core {core}: {error}");
                }
            }
        });
    }
    builder.build()
}
