use super::*;
use crate::api::{Connect, Connection};
use crate::api::{DeleteOptions, ExecOptions, LogOptions, PodRef};
use crate::client::{Fault, Intercept};
use crate::runtime::{File, Runtime};

const DIRECTORY: &str = "/etc/kubernetes/manifests";

fn manifest(name: &str, image: &str) -> File {
    File::new(format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec: {{containers: [{{name: main, image: {image}, command: [sh, -c, 'echo {image}; sleep 3600']}}]}}\n"
    ))
}

async fn world() -> World {
    let mut world = World::new().await;
    world.restart(|config| AgentConfig { static_pod_path: Some(DIRECTORY.into()), ..config });
    world
}

impl World {
    /// Starts the agent anew, with other settings.
    pub(super) fn restart(&mut self, change: impl FnOnce(AgentConfig) -> AgentConfig) {
        self.agent = None;
        let config = AgentConfig::new("n1", "172.16.0.1".parse().unwrap()).with_capacity("cpu", "2");
        self.agent = Some(Agent::start(change(config), &self.informers, Arc::new(self.runtime.clone())));
    }

    async fn sandboxes(&self) -> Vec<(String, String)> {
        let all = self.runtime.sandboxes().await.unwrap();
        all.into_iter().map(|one| (one.name, one.uid)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn manifests_in_a_directory_of_the_node_run_and_are_followed() {
    let world = world().await;
    world.pass(1).await;
    world.runtime.host_files().write(&format!("{DIRECTORY}/web.yaml"), manifest("web", "one"));
    world.runtime.host_files().write(&format!("{DIRECTORY}/.hidden"), manifest("hidden", "one"));
    world.runtime.host_files().write(&format!("{DIRECTORY}/nonsense"), File::new("kind: Unknown\n"));
    world.pass(20).await;
    assert_eq!(world.summary("web-n1").await, "Running: main ready");
    let mirror = world.pod("web-n1").await.unwrap();
    let annotations = mirror.metadata.annotations.clone().unwrap();
    let [(name, uid)] = &world.sandboxes().await[..] else { panic!("one pod runs") };
    assert_eq!((name.as_str(), uid), ("web-n1", &annotations["kubernetes.io/config.hash"]));
    assert_eq!(annotations["kubernetes.io/config.mirror"], *uid);
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(annotations["kubernetes.io/config.seen"], "2026-01-01T00:00:21Z");
    let owner = &mirror.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.controller), ("Node", "n1", Some(true)));
    let tolerations = mirror.spec.as_ref().unwrap().tolerations.clone().unwrap();
    assert!(tolerations.iter().any(|one| one.effect.as_deref() == Some("NoExecute") && one.key.is_none()));
    // Logs and exec find the pod by its mirror.
    let place =
        PodRef { namespace: "default".into(), name: "web-n1".into(), uid: mirror.metadata.uid.clone().unwrap() };
    let log = world.agent().endpoint().connect(&place, Connect::Log(LogOptions::default())).await.unwrap();
    assert!(matches!(log, Connection::Log(_)));
    let options = ExecOptions { command: vec!["true".into()], ..ExecOptions::default() };
    assert!(world.agent().endpoint().connect(&place, Connect::Exec(options)).await.is_ok());

    // Whoever deletes the mirror ends nothing: there is a new one.
    for options in [DeleteOptions::default(), DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() }] {
        let before = world.pod("web-n1").await.unwrap();
        world.client.api::<Pod>("default").delete_with("web-n1", &options).await.unwrap();
        world.pass(2).await;
        let after = world.pod("web-n1").await.unwrap();
        assert_ne!(after.metadata.uid, before.metadata.uid);
        assert_eq!(after.status, before.status);
        assert_eq!(world.sandboxes().await, [("web-n1".to_owned(), uid.clone())]);
    }

    // Nor does who deletes the node: it is another one then, and so is the mirror's owner.
    let force = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
    world.client.all::<Node>().delete("n1").await.unwrap();
    world.client.api::<Pod>("default").delete_with("web-n1", &force).await.unwrap();
    world.pass(20).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap().metadata.uid.clone().unwrap();
    assert_ne!(owner.uid, node);
    assert_eq!(world.pod("web-n1").await.unwrap().metadata.owner_references.as_ref().unwrap()[0].uid, node);
    assert_eq!(world.sandboxes().await, [("web-n1".to_owned(), uid.clone())]);

    // Another content is another pod, after the first has ended.
    world.runtime.host_files().write(&format!("{DIRECTORY}/web.yaml"), manifest("web", "two"));
    world.pass(60).await;
    let after = world.sandboxes().await;
    assert!(after.len() == 1 && after[0].1 != *uid, "{after:?}");
    assert_eq!(world.pod("web-n1").await.unwrap().spec.as_ref().unwrap().containers[0].image.as_deref(), Some("two"));
    assert_eq!(world.summary("web-n1").await, "Running: main ready");

    world.runtime.host_files().remove(&format!("{DIRECTORY}/web.yaml"));
    world.pass(60).await;
    assert_eq!(world.sandboxes().await, []);
    assert!(world.pod("web-n1").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn static_pods_outlive_their_agent_and_do_without_the_api() {
    let mut world = world().await;
    world.runtime.host_files().write(&format!("{DIRECTORY}/web.yaml"), manifest("web", "one"));
    world.pass(25).await;
    let before = world.pod("web-n1").await.unwrap();
    let sandboxes = world.sandboxes().await;
    // An agent that comes back takes over what runs, with an API that answers nothing.
    world.agent = None;
    world.pass(5).await;
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let fault = Arc::clone(&down);
    let backend = Intercept::new(Arc::clone(world.client.backend()), move |_, _| {
        if fault.load(std::sync::atomic::Ordering::Relaxed) {
            return Fault::Refuse(crate::api::ApiError::new(crate::api::Reason::ServiceUnavailable, "not now"));
        }
        Fault::None
    });
    let client = Client::new(Arc::new(backend), *world.client.clock(), world.client.random().clone());
    world.informers = Informers::new(client);
    world.restart(|config| AgentConfig { static_pod_path: Some(DIRECTORY.into()), ..config });
    world.runtime.host_files().write(&format!("{DIRECTORY}/new.yaml"), manifest("new", "one"));
    world.pass(30).await;
    let now = world.sandboxes().await;
    assert_eq!((now.len(), &now[0]), (2, &sandboxes[0]), "one is as it was, the other is new");
    assert!(world.pod("new-n1").await.is_none());
    // It crashes and comes back meanwhile.
    assert!(world.runtime.crash(&now[1].1, "main", 1, "Error"));
    world.pass(15).await;
    down.store(false, std::sync::atomic::Ordering::Relaxed);
    world.pass(40).await;
    assert_eq!(world.summary("web-n1").await, "Running: main ready");
    assert_eq!(world.summary("new-n1").await, "Running: main ready #1");
    assert_eq!(world.pod("web-n1").await.unwrap().metadata.uid, before.metadata.uid, "the mirror stays");
    assert_eq!(world.sandboxes().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_refers_to_nothing_of_the_api_and_leftover_mirrors_go() {
    let mut world = world().await;
    let mut needy = String::from_utf8(manifest("needy", "one").content.to_vec()).unwrap();
    needy.push_str("# a comment\n");
    let needy = needy.replace("image: one,", "image: one, envFrom: [{secretRef: {name: secret}}],");
    world.runtime.host_files().write(&format!("{DIRECTORY}/needy.yaml"), File::new(needy));
    world.runtime.host_files().write(&format!("{DIRECTORY}/web.json"), manifest("web", "one"));
    world.pass(25).await;
    assert!(world.pod("needy-n1").await.is_none());
    assert_eq!(world.sandboxes().await.len(), 1);
    world.restart(|config| config);
    world.pass(5).await;
    assert!(world.pod("web-n1").await.is_none());
    assert_eq!(world.sandboxes().await, []);
}
