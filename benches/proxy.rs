//! What the loopback proxy adds to a connection, beside none and beside haproxy: `cargo bench --bench proxy`. Needs
//! Debian's package `haproxy`; `--without-haproxy` leaves that part out.

mod figures;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use orchestrion::client::ObjectRef;
use orchestrion::clock::Clock;
use orchestrion::service::proxy::userspace::UserspaceProxy;
use orchestrion::service::proxy::{Frontend, Protocol, Proxy, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use figures::{Options, now, quantile, report};

const CONNECTIONS: usize = 32;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// A byte that asks for a flood instead.
const FLOOD: u8 = b'!';

/// Answers each request, or sends without end.
async fn server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read) = stream.read(&mut buffer).await
                    && read > 0
                {
                    if buffer[0] == FLOOD {
                        while stream.write_all(&buffer).await.is_ok() {}
                        return;
                    }
                    if stream.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    let mut answer = [0; ANSWER.len()];
    stream.write_all(REQUEST).await?;
    stream.read_exact(&mut answer).await.map(drop)
}

async fn measure(name: &str, address: SocketAddr, seconds: u64) -> Result<(), Box<dyn Error>> {
    let limit = Duration::from_secs(seconds);
    // One client after the other: what one request takes.
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (begin, mut times) = (now(), Vec::new());
    while begin.elapsed() < limit {
        let asked = now();
        ask(&mut stream).await?;
        times.push(asked.elapsed());
    }
    for (label, q) in [("p50", 0.5), ("p99", 0.99)] {
        report(&format!("proxy/{name}/latency-{label}"), &[], quantile(&mut times, q).as_secs_f64() * 1e6, "us");
    }
    // Many at a time.
    let (begin, mut clients) = (now(), JoinSet::new());
    for _ in 0..CONNECTIONS {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut count = 0_usize;
            while begin.elapsed() < limit {
                ask(&mut stream).await?;
                count += 1;
            }
            Ok::<_, io::Error>(count)
        });
    }
    let mut count = 0;
    while let Some(client) = clients.join_next().await {
        count += client??;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    report(&format!("proxy/{name}/requests"), &[("connections", CONNECTIONS)], rate, "requests/s");
    // A connection for each request.
    let (begin, mut count) = (now(), 0_usize);
    while begin.elapsed() < limit {
        ask(&mut TcpStream::connect(address).await?).await?;
        count += 1;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    report(&format!("proxy/{name}/connections"), &[], rate, "connections/s");
    // As much as one connection carries.
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[FLOOD]).await?;
    let (mut buffer, begin, mut bytes) = (vec![0; 256 * 1024], now(), 0);
    while begin.elapsed() < limit {
        bytes += stream.read(&mut buffer).await?;
    }
    let rate = bytes as f64 / begin.elapsed().as_secs_f64() / 1e9;
    report(&format!("proxy/{name}/throughput"), &[], rate, "GB/s");
    Ok(())
}

/// haproxy as a TCP proxy before `server`; ends with the process.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

async fn haproxy(server: SocketAddr) -> Result<(Haproxy, SocketAddr), Box<dyn Error>> {
    let free = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = free.local_addr()?;
    drop(free);
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend f\n bind {address}\n default_backend b\nbackend b\n server s {server}\n"
    );
    let file = std::env::temp_dir().join(format!("orchestrion-haproxy-{}.cfg", std::process::id()));
    std::fs::write(&file, config)?;
    let child = Command::new("haproxy").arg("-db").arg("-f").arg(&file).stderr(Stdio::null()).spawn();
    let child = Haproxy(child.map_err(|error| format!("haproxy: {error} (--without-haproxy leaves it out)"))?);
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(file)?;
    Ok((child, address))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(&["seconds", "without-haproxy"]);
    let seconds = options.get("seconds", 3);
    let server = server().await?;
    measure("direct", server, seconds).await?;

    let free = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?;
    let proxy = UserspaceProxy::new(Clock::system());
    let frontend = Frontend { address: free, protocol: Protocol::Tcp };
    let route = Route { frontend, endpoints: vec![server], affinity: None };
    proxy.set(&ObjectRef::new("default", "web"), vec![route]).await.map_err(|errors| errors[0].to_string())?;
    measure("orchestrion", free, seconds).await?;

    if !options.has("without-haproxy") {
        let (running, address) = haproxy(server).await?;
        measure("haproxy", address, seconds).await?;
        drop(running);
    }
    Ok(())
}
