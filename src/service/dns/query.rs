//! [`ask`]: a question to a DNS server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server at `server` for the IPv4 addresses of `name`, over UDP. A name that does not exist has none.
///
/// # Errors
/// Where the name is none, or the server does not answer or answers with an error.
///
/// # Cancel safety
/// Dropping the future withdraws the question.
pub async fn ask(server: SocketAddr, name: &str) -> io::Result<Vec<IpAddr>> {
    let invalid = |error: &dyn std::error::Error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    let mut name = Name::from_ascii(name).map_err(|error| invalid(&error))?;
    name.set_fqdn(true);
    let mut question = Message::query();
    question.add_query(Query::query(name, RecordType::A));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec().map_err(|error| invalid(&error))?).await?;
    let mut datagram = vec![0; 4096];
    let length = tokio::time::timeout(PATIENCE, socket.recv(&mut datagram)).await??;
    let malformed = |error: &dyn std::error::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let answer = Message::from_vec(&datagram[..length]).map_err(|error| malformed(&error))?;
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        other => return Err(io::Error::other(format!("the DNS server answers {other}"))),
    }
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    });
    Ok(addresses.collect())
}
