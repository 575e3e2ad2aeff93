//! DNS: every message gets an answer of the same identity, or none.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use orchestrion::client::{Client, Informers};
use orchestrion::clock::Clock;
use orchestrion::random::Random;
use orchestrion::server::Server;
use orchestrion::service::dns::Zone;
use orchestrion::store::MemoryStore;
use tokio::runtime::Runtime;

thread_local! {
    static ZONE: (Runtime, Zone) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let zone = runtime.block_on(async {
            let server = Server::builder(Arc::new(MemoryStore::default())).start().await.expect("a server");
            let client = Client::new(Arc::new(server), Clock::system(), Random::seeded(1));
            let zone = Zone::new(&Informers::new(client));
            zone.synced().await;
            zone
        });
        (runtime, zone)
    };
}

fuzz_target!(|question: &[u8]| {
    ZONE.with(|(_, zone)| {
        for datagram in [false, true] {
            if let Some(answer) = zone.respond(question, datagram) {
                assert_eq!(answer[..2], question[..2]);
            }
        }
    });
});
