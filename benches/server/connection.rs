//! A connection of HTTP/1.1 that does as little as it can: what loads the server must not be what is measured.

use std::io;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{CipherSuite, ClientConfig, RootCertStore};

use crate::process::Process;

/// How much is read at a time.
const ROOM: usize = 256 * 1024;

/// A connection, and what was read from it and not used.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Box<[u8]>,
    unused: std::ops::Range<usize>,
}

/// How far a chunked body has been read.
#[derive(Default)]
struct Chunks {
    /// Bytes of data, and of the line end behind it, that the current chunk still has.
    left: usize,
    ended: bool,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// The length of the body.
    pub(crate) length: usize,
    /// The beginning of the body.
    pub(crate) start: Vec<u8>,
}

/// How to connect to a server.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
    port: u16,
}

impl Connector {
    pub(crate) fn new(server: &Process, protocol: &[u8]) -> Self {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&server.authority)).expect("an authority");
        let mut provider = tokio_rustls::rustls::crypto::ring::default_provider();
        // What Go's clients would rather have.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate(&server.certificate)],
                PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("PEM"),
            )
            .expect("fitting keys");
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { tls: TlsConnector::from(Arc::new(config)), port: server.port }
    }

    /// A TLS connection.
    pub(crate) async fn stream(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the server listens");
        stream.set_nodelay(true).expect("TCP can");
        self.tls.connect("localhost".try_into().expect("a name"), stream).await.expect("TLS")
    }

    /// A connection of HTTP/1.1.
    pub(crate) async fn open(&self) -> Connection {
        Connection { stream: self.stream().await, buffer: vec![0; ROOM].into(), unused: 0..0 }
    }
}

impl Connection {
    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Answer {
        self.send(request).await;
        let (code, length) = self.head().await;
        let mut answer = Answer { code, length: 0, start: Vec::new() };
        let mut keep = |data: &[u8]| {
            answer.length += data.len();
            let room = 1024_usize.saturating_sub(answer.start.len());
            answer.start.extend_from_slice(&data[..data.len().min(room)]);
        };
        match length {
            Some(mut left) => {
                while left > 0 {
                    let data = self.data().await;
                    let taken = data.len().min(left);
                    keep(&data[..taken]);
                    left -= taken;
                    self.unused.start += taken;
                }
            }
            None => {
                let mut chunks = Chunks::default();
                while !chunks.ended {
                    self.chunk(&mut chunks, &mut keep).await;
                }
            }
        }
        answer
    }

    /// Sends a watch and reads the head of its answer.
    pub(crate) async fn watch(mut self, request: &[u8]) -> Watch {
        self.send(request).await;
        let (code, length) = self.head().await;
        assert_eq!((code, length), (200, None), "a watch is a chunked answer");
        Watch { connection: self, chunks: Chunks::default() }
    }

    async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// Reads the head of an answer: its code, and the length of its body where that is told.
    async fn head(&mut self) -> (u16, Option<usize>) {
        loop {
            let data = &self.buffer[self.unused.clone()];
            if let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&data[..end]).expect("a head is text");
                let code = head.get(9..12).and_then(|code| code.parse().ok()).expect("a status line");
                let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map(|length| length.parse().expect("a number"));
                self.unused.start += end + 4;
                return (code, length);
            }
            self.fill().await;
        }
    }

    /// What has been read; more where there is none.
    async fn data(&mut self) -> &[u8] {
        if self.unused.is_empty() {
            self.fill().await;
        }
        &self.buffer[self.unused.clone()]
    }

    async fn fill(&mut self) {
        if self.unused.is_empty() {
            self.unused = 0..0;
        } else if self.unused.end == self.buffer.len() {
            self.buffer.copy_within(self.unused.clone(), 0);
            self.unused = 0..self.unused.len();
        }
        let read = self.stream.read(&mut self.buffer[self.unused.end..]).await;
        let read = read.and_then(|read| if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) });
        self.unused.end += read.expect("the server answers");
    }

    /// Reads on in a chunked body as far as data is at hand, and hands it on.
    async fn chunk(&mut self, chunks: &mut Chunks, keep: &mut impl FnMut(&[u8])) {
        self.data().await;
        while !self.unused.is_empty() {
            let data = &self.buffer[self.unused.clone()];
            if chunks.left > 0 {
                let taken = data.len().min(chunks.left);
                // Two bytes of the chunk are the end of its line.
                keep(&data[..taken.min(chunks.left.saturating_sub(2))]);
                chunks.left -= taken;
                self.unused.start += taken;
                continue;
            }
            let Some(end) = data.windows(2).position(|window| window == b"\r\n") else {
                self.fill().await;
                continue;
            };
            let line = std::str::from_utf8(&data[..end]).expect("a length is text");
            let length = usize::from_str_radix(line, 16).expect("a length");
            self.unused.start += end + 2;
            chunks.left = length + 2;
            if length == 0 {
                while self.unused.len() < 2 {
                    self.fill().await;
                }
                self.unused.start += 2;
                chunks.ended = true;
                return;
            }
        }
    }
}

/// A watch that is being answered.
pub(crate) struct Watch {
    connection: Connection,
    chunks: Chunks,
}

impl Watch {
    /// Reads on, and counts the events that have ended.
    pub(crate) async fn events(&mut self) -> usize {
        let mut lines = 0;
        let mut count = |data: &[u8]| lines += memchr::memchr_iter(b'\n', data).count();
        self.connection.chunk(&mut self.chunks, &mut count).await;
        assert!(!self.chunks.ended, "the watch goes on");
        lines
    }
}
