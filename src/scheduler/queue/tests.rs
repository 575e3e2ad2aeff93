use std::sync::Arc;
use std::time::Duration;

use super::{Queue, Waits};
use crate::scheduler::framework::ClusterEvent;
use crate::scheduler::snapshot::PodInfo;
use crate::scheduler::testkit::TestPod;

const SECOND: Duration = Duration::from_secs(1);

fn always(_: &PodInfo, _: &[&'static str], _: &ClusterEvent) -> bool {
    true
}

/// As if only the plugin `Picky` cared about anything.
fn picky(_: &PodInfo, by: &[&'static str], _: &ClusterEvent) -> bool {
    by.contains(&"Picky")
}

fn queue_of(pods: &[(&str, i64)]) -> Queue {
    let mut queue = Queue::new(Waits::default());
    for (name, rank) in pods {
        queue.set(TestPod::new(name).info(), *rank, false, Duration::ZERO, &always);
    }
    queue
}

fn pop(queue: &mut Queue, now: Duration) -> Option<String> {
    queue.pop(now).map(|pod: Arc<PodInfo>| pod.key.name.clone())
}

#[test]
fn important_pods_go_first_and_equals_in_the_order_of_their_coming() {
    let mut queue = queue_of(&[("a", 0), ("b", 0), ("c", 5)]);
    let order: Vec<_> = std::iter::from_fn(|| pop(&mut queue, Duration::ZERO)).collect();
    assert_eq!(order, ["c", "a", "b"]);
}

#[test]
fn backoff_doubles_up_to_its_limit() {
    let mut queue = queue_of(&[("a", 0)]);
    let mut now = Duration::ZERO;
    for seconds in [1, 2, 4, 8, 10, 10] {
        assert!(pop(&mut queue, now).is_some());
        queue.back_off("a", now);
        assert_eq!(queue.next_deadline(), Some(now + seconds * SECOND));
        assert_eq!(pop(&mut queue, now + seconds * SECOND - Duration::from_millis(1)), None);
        now += seconds * SECOND;
    }
}

#[test]
fn a_refused_pod_waits_for_what_may_help() {
    let mut queue = queue_of(&[("a", 0), ("b", 0)]);
    pop(&mut queue, Duration::ZERO);
    queue.refuse("a", vec!["Picky"], Duration::ZERO, &picky);
    pop(&mut queue, Duration::ZERO);
    queue.refuse("b", vec!["Other"], Duration::ZERO, &picky);
    queue.event(&ClusterEvent::Other, 5 * SECOND, &picky);
    assert_eq!(pop(&mut queue, 5 * SECOND).as_deref(), Some("a"));
    assert_eq!(pop(&mut queue, 5 * SECOND), None);
    // Nothing ever helps the other: it is tried again after five minutes.
    assert_eq!(queue.next_deadline(), Some(300 * SECOND));
    assert_eq!(pop(&mut queue, 300 * SECOND).as_deref(), Some("b"));
}

#[test]
fn a_pod_that_was_helped_backs_off_for_the_sake_of_others_alone() {
    let mut queue = queue_of(&[("a", 9)]);
    pop(&mut queue, Duration::ZERO);
    queue.refuse("a", vec!["Picky"], Duration::ZERO, &picky);
    queue.event(&ClusterEvent::Other, Duration::from_millis(10), &picky);
    assert_eq!(queue.next_deadline(), Some(SECOND));
    queue.set(TestPod::new("b").info(), 0, false, Duration::from_millis(10), &always);
    assert_eq!(pop(&mut queue, Duration::from_millis(10)).as_deref(), Some("b"));
    assert_eq!(pop(&mut queue, Duration::from_millis(10)).as_deref(), Some("a"));
    assert_eq!(queue.next_deadline(), None);
}

#[test]
fn what_happened_before_a_pod_was_decided_on_does_not_count() {
    let mut queue = queue_of(&[("a", 0), ("b", 0)]);
    pop(&mut queue, Duration::ZERO);
    queue.event(&ClusterEvent::Other, Duration::ZERO, &picky);
    pop(&mut queue, Duration::ZERO);
    queue.refuse("b", vec!["Picky"], Duration::ZERO, &picky);
    assert_eq!(pop(&mut queue, SECOND), None);
}

#[test]
fn what_happens_while_a_pod_is_decided_on_counts() {
    let mut queue = queue_of(&[("a", 0)]);
    pop(&mut queue, Duration::ZERO);
    queue.event(&ClusterEvent::Other, Duration::ZERO, &picky);
    queue.refuse("a", vec!["Picky"], Duration::ZERO, &picky);
    assert_eq!(pop(&mut queue, SECOND).as_deref(), Some("a"));
}

#[test]
fn a_gated_pod_waits_for_its_gates_alone() {
    let mut queue = Queue::new(Waits::default());
    queue.set(TestPod::new("a").info(), 0, true, Duration::ZERO, &always);
    queue.event(&ClusterEvent::Other, SECOND, &always);
    assert_eq!(pop(&mut queue, 1000 * SECOND), None);
    queue.set(TestPod::new("a").info(), 0, false, 1000 * SECOND, &always);
    assert_eq!(pop(&mut queue, 1000 * SECOND).as_deref(), Some("a"));
}

#[test]
fn a_status_is_no_change() {
    let mut queue = queue_of(&[("a", 0)]);
    pop(&mut queue, Duration::ZERO);
    queue.refuse("a", vec!["Picky"], Duration::ZERO, &picky);
    let told = TestPod::new("a").with_status(|status| status.message = Some("no room".to_owned()));
    queue.set(told.info(), 0, false, 20 * SECOND, &picky);
    assert_eq!(pop(&mut queue, 20 * SECOND), None);
    queue.set(TestPod::new("a").tolerates("x").info(), 0, false, 20 * SECOND, &picky);
    assert_eq!(pop(&mut queue, 20 * SECOND).as_deref(), Some("a"));
}

#[test]
fn a_pod_that_goes_in_flight_is_forgotten() {
    let mut queue = queue_of(&[("a", 0)]);
    pop(&mut queue, Duration::ZERO);
    queue.remove("a");
    assert!(!queue.is_in_flight("a"));
    queue.refuse("a", vec![], Duration::ZERO, &always);
    assert!(queue.is_empty());
    assert_eq!(queue.next_deadline(), None);
}
