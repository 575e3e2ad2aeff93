//! What containers use.

use jiff::Timestamp;

/// What a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// When this was measured.
    pub at: Timestamp,
    /// CPU time used so far, in nanoseconds (of one core).
    pub cpu_nanos: u64,
    /// CPU in use now, in billionths of a core.
    pub cpu_nano_cores: u64,
    /// Memory in use that cannot be reclaimed, in bytes.
    pub memory_bytes: u64,
}
