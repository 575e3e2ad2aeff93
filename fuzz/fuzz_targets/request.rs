//! Requests: whatever the path, the query, the headers and the body, the answer is no internal error (but for the one
//! that upstream gives too).
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use orchestrion::api::User;
use orchestrion::clock::Clock;
use orchestrion::random::Random;
use orchestrion::server::Server;
use orchestrion::server::http::{Config, Front};
use orchestrion::store::MemoryStore;
use tokio::runtime::Runtime;

/// So many requests go to one server: what they leave there concerns the next.
const REQUESTS: usize = 500;

fn serve(runtime: &Runtime) -> Front {
    runtime.block_on(async {
        let (clock, random) = (Clock::system(), Random::seeded(1));
        let server = Server::builder(Arc::new(MemoryStore::default())).clock(clock).random(random.clone());
        let server = server.start().await.expect("a server");
        Front::new(Arc::new(server), Config::new(clock, random)).as_user(User::admin())
    })
}

thread_local! {
    static SERVER: RefCell<(Runtime, Option<Front>, usize)> = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        RefCell::new((runtime.expect("a runtime"), None, 0))
    };
}

/// The first line is `METHOD PATH CONTENT-TYPE ACCEPT`, the rest the body.
fn request(input: &[u8]) -> Option<Request<Full<Bytes>>> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let mut words = std::str::from_utf8(&input[..end]).ok()?.split(' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for header in ["content-type", "accept"] {
        request = request.header(header, words.next().unwrap_or_default());
    }
    let body = Bytes::copy_from_slice(input.get(end + 1..).unwrap_or_default());
    request.body(Full::new(body)).ok()
}

fuzz_target!(|input: &[u8]| {
    let Some(request) = request(input) else { return };
    SERVER.with_borrow_mut(|(runtime, front, served)| {
        if *served % REQUESTS == 0 {
            *front = Some(serve(runtime));
        }
        *served += 1;
        let Some(front) = front else { return };
        runtime.block_on(async {
            let response = front.handle(request).await;
            let status = response.status();
            // A watch goes on: what has come within a second will do.
            let body = tokio::time::timeout(Duration::from_secs(1), response.into_body().collect()).await;
            let Ok(Ok(body)) = body else { return };
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            // Upstream takes a `$patch` directive that it does not know for a mistake of its own.
            assert!(status != 500 || text.contains("unknown patch type"), "{status} {text}");
        });
    });
});
