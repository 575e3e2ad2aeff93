"""Python's kubernetes package lists, watches, creates and deletes."""

import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()

assert [node.status.conditions[-1].status for node in core.list_node().items].count("True") >= 1
assert client.VersionApi().get_code().major == "1"

pod = client.V1Pod(
    metadata=client.V1ObjectMeta(name="web", labels={"app": "web"}),
    spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx")]),
)
seen = []


def follow():
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", timeout_seconds=30):
        seen.append((event["type"], event["object"].status.phase))
        if event["type"] == "DELETED":
            return


follower = threading.Thread(target=follow)
follower.start()
created = core.create_namespaced_pod("default", pod)
assert created.metadata.uid and created.spec.restart_policy == "Always"
try:
    core.create_namespaced_pod("default", pod)
    raise AssertionError("a second pod of the same name")
except ApiException as error:
    assert error.status == 409, error

for event in watch.Watch().stream(core.list_namespaced_pod, "default", timeout_seconds=30):
    if event["object"].status.phase == "Running":
        break
else:
    raise AssertionError("the pod never ran")

patched = core.patch_namespaced_pod("web", "default", {"metadata": {"labels": {"tier": "front"}}})
assert patched.metadata.labels == {"app": "web", "tier": "front"}
assert [item.metadata.name for item in core.list_namespaced_pod("default", label_selector="tier=front").items] == ["web"]
core.delete_namespaced_pod("web", "default", grace_period_seconds=0)
follower.join(30)
assert not follower.is_alive() and seen[0][0] == "ADDED" and seen[-1][0] == "DELETED", seen

deployment = client.V1Deployment(
    metadata=client.V1ObjectMeta(name="many"),
    spec=client.V1DeploymentSpec(
        replicas=3,
        selector=client.V1LabelSelector(match_labels={"app": "many"}),
        template=client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": "many"}), spec=pod.spec),
    ),
)
apps.create_namespaced_deployment("default", deployment)
for event in watch.Watch().stream(apps.list_namespaced_deployment, "default", timeout_seconds=30):
    if event["object"].status.ready_replicas == 3:
        break
else:
    raise AssertionError("the deployment never became ready")
assert apps.read_namespaced_deployment_scale("many", "default").status.replicas == 3
apps.delete_namespaced_deployment("many", "default")
try:
    core.read_namespaced_pod("nothere", "default")
    raise AssertionError("a pod that is not there")
except ApiException as error:
    assert error.status == 404 and "not found" in error.body, error
print("1 passed, 0 failed")
