//! Images that nothing uses, those least recently used first.
//!
//! Source: `k8s.io/kubernetes/pkg/kubelet/images/image_gc_manager.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::ImageGc;
use crate::node::machine::Machine;
use crate::runtime::{Image, Runtime, RuntimeError};

/// What is known of an image.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// When it was last seen in use; the least of all times where it never was.
    used: Option<Timestamp>,
    /// When it was first seen; the least of all times where it was there before the agent.
    seen: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the agent looked for the first time.
    began: Option<Timestamp>,
    by_id: BTreeMap<String, Record>,
    /// Whether the last collection failed: only the next failure is told.
    failed: bool,
}

/// An image that could go.
#[derive(Debug)]
struct Unused {
    image: Image,
    record: Record,
}

/// The images of a node, and when they were used.
#[derive(Debug, Default)]
pub(in crate::node) struct Images(Mutex<Known>);

impl Images {
    /// Looks at the images, and removes what there is no room for, or has not been used for too long.
    pub(in crate::node) async fn collect(&self, machine: &Machine) {
        let mut known = self.0.lock().await;
        let result = collect(&mut known, machine).await;
        if let (Err(why), true, Some(node)) = (&result, known.failed, machine.node()) {
            machine.events.warning(&*node, "ImageGCFailed", why.clone());
        }
        if let Err(why) = &result {
            tracing::debug!(why, "images not collected");
        }
        // Once is no news; upstream forgets it never again.
        known.failed |= result.is_err();
    }

    /// Removes all images that nothing uses.
    pub(in crate::node) async fn remove_unused(&self, machine: &Machine) {
        let mut known = self.0.lock().await;
        let freed = match known.unused(machine).await {
            Ok(unused) => known.free(machine, u64::MAX, &unused).await,
            Err(error) => Err(error.to_string()),
        };
        freed.map_or_else(|why| tracing::debug!(why, "unused images not removed"), drop);
    }
}

async fn collect(known: &mut Known, machine: &Machine) -> Result<(), String> {
    let config = &machine.config.image_gc;
    let mut unused = known.unused(machine).await.map_err(|error| error.to_string())?;
    known.free_old(machine, &mut unused).await?;
    if config.high_percent >= 100 {
        return Ok(());
    }
    let disk = machine.runtime.machine().await.map_err(|error| error.to_string())?.images_on();
    let tell = |reason: &str, why: String| {
        if let Some(node) = machine.node() {
            machine.events.warning(&*node, reason, why.clone());
        }
        Err(why)
    };
    if disk.capacity == 0 {
        return tell("InvalidDiskCapacity", "invalid capacity 0 on image filesystem".to_owned());
    }
    let available = disk.available.min(disk.capacity);
    let part = |of: u64, by: u64| u64::try_from(u128::from(of) * u128::from(by) / 100).unwrap_or(u64::MAX);
    let used = 100 - u64::try_from(u128::from(available) * 100 / u128::from(disk.capacity)).unwrap_or(100);
    if used < u64::from(config.high_percent) {
        return Ok(());
    }
    let wanted = part(disk.capacity, 100 - u64::from(config.low_percent.min(100))).saturating_sub(available);
    let freed = known.free(machine, wanted, &unused).await?;
    if freed < wanted {
        return tell(
            "FreeDiskSpaceFailed",
            format!(
                "Insufficient free disk space on the node's image filesystem ({used}% of {} used). Failed to free \
                 sufficient space by deleting unused images (freed {freed} bytes). Investigate disk usage, as it could \
                 be used by active images, logs, volumes, or other data.",
                size(disk.capacity)
            ),
        );
    }
    Ok(())
}

impl Known {
    /// The images that nothing uses, in the order in which they go. Takes note of those that are used.
    async fn unused(&mut self, machine: &Machine) -> crate::runtime::Result<Vec<Unused>> {
        let now = machine.clock().now();
        let runtime = &*machine.runtime;
        let (images, in_use) = (runtime.images().await?, in_use(runtime).await?);
        let seen = self.began.map(|_| now);
        self.began.get_or_insert(now);
        let known = std::mem::take(&mut self.by_id);
        let mut unused = Vec::new();
        for image in images {
            let mut record = known.get(&image.id).copied().unwrap_or(Record { used: None, seen });
            let is_used = in_use.contains(&image.id) || image.names.iter().any(|name| in_use.contains(name));
            if is_used {
                record.used = Some(now);
            }
            self.by_id.insert(image.id.clone(), record);
            if !is_used && !image.pinned {
                unused.push(Unused { image, record });
            }
        }
        unused.sort_by_key(|one| (one.record.used, one.record.seen));
        Ok(unused)
    }

    /// Removes the images that have not been used for longer than they may.
    async fn free_old(&mut self, machine: &Machine, unused: &mut Vec<Unused>) -> Result<(), String> {
        let longest = machine.config.image_gc.longest_age;
        let now = machine.clock().now();
        let age = |at: Option<Timestamp>| at.map_or(Duration::MAX, |at| age(at, now));
        // What was used before the agent began is not known.
        if longest.is_zero() || age(self.began) <= longest {
            return Ok(());
        }
        let (old, young) =
            std::mem::take(unused).into_iter().partition::<Vec<_>, _>(|one| age(one.record.used) > longest);
        *unused = young;
        let mut errors = Vec::new();
        for one in old {
            errors.extend(self.remove(machine, &one.image).await.err());
        }
        if errors.is_empty() { Ok(()) } else { Err(errors.join(", ")) }
    }

    /// Removes images until so many bytes are free. How many are.
    async fn free(&mut self, machine: &Machine, wanted: u64, unused: &[Unused]) -> Result<u64, String> {
        let ImageGc { least_age, .. } = machine.config.image_gc;
        let now = machine.clock().now();
        let (mut freed, mut errors) = (0_u64, Vec::new());
        for one in unused {
            if one.record.seen.is_some_and(|seen| age(seen, now) < least_age) {
                continue;
            }
            match self.remove(machine, &one.image).await {
                Ok(true) => freed = freed.saturating_add(one.image.size),
                Ok(false) => {}
                Err(why) => errors.push(why),
            }
            if freed >= wanted {
                break;
            }
        }
        if errors.is_empty() {
            return Ok(freed);
        }
        let errors = errors.join(", ");
        Err(format!(
            "wanted to free {wanted} bytes, but freed {freed} bytes space with errors in image deletion: {errors}"
        ))
    }

    /// Removes an image. Whether it is gone: one that a container has begun to use meanwhile stays.
    async fn remove(&mut self, machine: &Machine, image: &Image) -> Result<bool, String> {
        match machine.runtime.remove_image(&image.id).await {
            Ok(()) => {
                self.by_id.remove(&image.id);
                Ok(true)
            }
            Err(RuntimeError::State(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// What the containers of a runtime, also those that have ended, are made from: IDs and digest references.
async fn in_use(runtime: &dyn Runtime) -> crate::runtime::Result<BTreeSet<String>> {
    let mut in_use = BTreeSet::new();
    for sandbox in runtime.sandboxes().await? {
        match runtime.containers(&sandbox.id).await {
            Ok(containers) => in_use.extend(containers.into_iter().map(|container| container.image_id)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(in_use)
}

/// `26.4 GiB`
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(100), "100 B");
        assert_eq!(size(28_346_784_154), "26.4 GiB");
        assert_eq!(size(1 << 20), "1.0 MiB");
    }
}
