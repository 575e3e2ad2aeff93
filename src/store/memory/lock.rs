//! Locks that are held for a few microseconds at most. Whoever finds one taken looks again for about as long as going to
//! sleep and being woken would take; only then does it sleep.

use std::hint;

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How often a lock is looked at, with a pause of some tens of nanoseconds before each further look.
const LOOKS: usize = 400;

/// What `take` gives once `taken` no longer holds, if that is soon.
fn soon<G>(taken: impl Fn() -> bool, take: impl Fn() -> Option<G>) -> Option<G> {
    for _ in 0..LOOKS {
        // To look costs the holder nothing; to try in vain takes the lock's memory away from it.
        if !taken()
            && let Some(guard) = take()
        {
            return Some(guard);
        }
        hint::spin_loop();
    }
    None
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    soon(|| mutex.is_locked(), || mutex.try_lock()).unwrap_or_else(|| mutex.lock())
}

pub(super) fn read<T>(rwlock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    soon(|| rwlock.is_locked_exclusive(), || rwlock.try_read()).unwrap_or_else(|| rwlock.read())
}

pub(super) fn write<T>(rwlock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    soon(|| rwlock.is_locked(), || rwlock.try_write()).unwrap_or_else(|| rwlock.write())
}
