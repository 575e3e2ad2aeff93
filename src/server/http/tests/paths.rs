use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::fixture::{Few, authorized_by, front, send, send_as};
use crate::server::authz::{Access, Attributes, Authorizer, Verdict};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn health_and_version_need_no_credentials_and_nothing_else_goes_without() {
    let backend = Few::named(&[]);
    let front = front(&backend);
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping"] {
        let answer = send_as(&front, "GET", path, &[], "").await;
        assert_eq!((answer.code, answer.text.as_str()), (200, "ok"), "{path}");
    }
    let verbose = send_as(&front, "GET", "/readyz?verbose", &[], "").await.text;
    assert_eq!(verbose, "[+]ping ok\n[+]kinds ok\nreadyz check passed\n");
    let version = send_as(&front, "GET", "/version", &[], "").await.json();
    assert_eq!((&version["major"], &version["minor"]), (&"1".into(), &"36".into()));
    for (path, headers) in [(MAPS, &[][..]), ("/api", &[]), (MAPS, &[("authorization", "Bearer wrong")])] {
        let (code, reason, message) = send_as(&front, "GET", path, headers, "").await.failure();
        assert_eq!((code, reason.as_str(), message.as_str()), (401, "Unauthorized", "Unauthorized"));
    }
}

#[tokio::test]
async fn a_token_says_who_calls_and_only_administrators_impersonate() {
    let backend = Few::named(&[]);
    let front = front(&backend);
    let ann = ("authorization", "Bearer secret");
    send_as(&front, "GET", MAPS, &[ann], "").await;
    send(&front, "GET", MAPS, &[("impersonate-user", "bob"), ("impersonate-group", "devs")], "").await;
    assert_eq!(*backend.calls.lock().unwrap(), ["list by ann of MostRecent", "list by bob of MostRecent"]);
    let (code, _, message) = send_as(&front, "GET", MAPS, &[ann, ("impersonate-user", "bob")], "").await.failure();
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "users \"bob\" is forbidden: User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    let (_, _, message) = send_as(&front, "GET", "/metrics", &[ann], "").await.failure();
    assert_eq!(message, "forbidden: User \"ann\" cannot get path \"/metrics\"");
    assert_eq!(send_as(&front, "GET", "/apis", &[ann], "").await.code, 200);
}

/// Lets whatever is not named `root` be done, and writes down what it was asked.
#[derive(Debug, Default)]
struct Porter(Mutex<Vec<String>>);

#[async_trait]
impl Authorizer for Porter {
    async fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let (what, name) = match attributes.access {
            Access::Path(path) => (path.to_owned(), ""),
            Access::Resource { group, resource, subresource, namespace, name } => {
                (format!("{group}/{resource}/{subresource} {namespace}/{name}"), name)
            }
        };
        self.0.lock().unwrap().push(format!("{} {} {what}", attributes.user.name, attributes.verb));
        if name == "root" { Verdict::Deny("not him".to_owned()) } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn the_authorizer_decides_about_paths_that_are_no_objects() {
    let porter = Arc::new(Porter::default());
    let front = authorized_by(&Few::named(&[]), porter.clone());
    assert_eq!(send_as(&front, "GET", "/metrics", &[("authorization", "Bearer secret")], "").await.code, 200);
    assert_eq!(*porter.0.lock().unwrap(), ["ann get /metrics"]);
}

#[tokio::test]
async fn the_authorizer_decides_about_each_thing_that_somebody_acts_as() {
    let porter = Arc::new(Porter::default());
    let backend = Few::named(&[]);
    let front = authorized_by(&backend, porter.clone());
    let ann = ("authorization", "Bearer secret");
    let acting = [
        ann,
        ("impersonate-user", "system:serviceaccount:shop:robot"),
        ("impersonate-group", "devs"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-scopes%2fall", "view"),
    ];
    assert_eq!(send_as(&front, "GET", MAPS, &acting, "").await.code, 200);
    assert_eq!(
        *porter.0.lock().unwrap(),
        [
            "ann impersonate /serviceaccounts/ shop/robot",
            "ann impersonate /groups/ /devs",
            "ann impersonate authentication.k8s.io/uids/ /7",
            "ann impersonate authentication.k8s.io/userextras/scopes/all /view",
        ]
    );
    assert_eq!(*backend.calls.lock().unwrap(), ["list by system:serviceaccount:shop:robot of MostRecent"]);

    let acting = [ann, ("impersonate-user", "bob"), ("impersonate-extra-scopes", "root")];
    let (code, _, message) = send_as(&front, "GET", MAPS, &acting, "").await.failure();
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "userextras.authentication.k8s.io \"root\" is forbidden: User \"ann\" cannot impersonate resource \
         \"userextras/scopes\" in API group \"authentication.k8s.io\" at the cluster scope: not him"
    );
}

#[tokio::test]
async fn discovery_lists_the_kinds_in_both_forms() {
    let front = front(&Few::named(&[]));
    assert_eq!(send(&front, "GET", "/api", &[], "").await.json()["versions"][0], "v1");
    let list = send(&front, "GET", "/api/v1", &[], "").await.json();
    let maps = list["resources"].as_array().unwrap().iter().find(|row| row["name"] == "configmaps").unwrap();
    assert_eq!(maps["shortNames"][0], "cm");
    assert_eq!(maps["namespaced"], true);
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let answer = send(&front, "GET", "/api", &[("accept", accept)], "").await;
    assert_eq!(answer.header("content-type"), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let versions = &answer.json()["items"][0]["versions"];
    assert_eq!(versions[0]["version"], "v1");
    let maps = versions[0]["resources"].as_array().unwrap().iter().find(|row| row["resource"] == "configmaps").unwrap();
    assert_eq!(maps["responseKind"]["kind"], "ConfigMap");
    assert_eq!(maps["scope"], "Namespaced");
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let front = front(&Few::named(&[]));
    send(&front, "GET", MAPS, &[], "").await;
    let text = send(&front, "GET", "/metrics", &[], "").await.text;
    assert!(
        text.contains(
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn answers_carry_an_audit_id() {
    let answer = send(&front(&Few::named(&[])), "GET", "/version", &[("audit-id", "mine")], "").await;
    assert_eq!(answer.header("audit-id"), "mine");
    assert_eq!(answer.header("cache-control"), "no-cache, private");
}
