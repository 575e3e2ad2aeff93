use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio_util::codec::{Decoder, Encoder, Framed};

use super::frame::{Codec, Frame};
use super::headers::dictionary;
use super::serve;

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

#[test]
fn the_dictionary_is_the_protocols() {
    assert_eq!((dictionary().len(), adler32(&dictionary())), (1423, 0xe3c6_a7c2));
}

#[test]
fn frames_are_read_as_they_were_written_however_they_arrive() {
    let headers = |value: &str| vec![("streamtype".to_owned(), value.to_owned()), ("port".to_owned(), "80".to_owned())];
    let frames = [
        Frame::Open { id: 1, headers: headers("error"), last: true },
        Frame::Open { id: 3, headers: headers(&"data".repeat(2000)), last: false },
        Frame::Data { id: 3, data: Bytes::from_static(b"GET / HTTP/1.1\r\n"), last: false },
        Frame::Reply { id: 5, headers: Vec::new() },
        Frame::Ping { id: 7 },
        Frame::Reset { id: 3 },
        Frame::Data { id: 3, data: Bytes::new(), last: true },
        Frame::GoAway,
    ];
    let mut writer = Codec::new();
    let mut wire = BytesMut::new();
    for frame in &frames {
        writer.encode(frame.clone(), &mut wire).unwrap();
    }
    let (mut reader, mut arrived, mut read) = (Codec::new(), BytesMut::new(), Vec::new());
    for byte in wire {
        arrived.extend_from_slice(&[byte]);
        read.extend(reader.decode(&mut arrived).unwrap());
    }
    assert_eq!(read, frames);
}

#[test]
fn what_is_no_spdy_is_an_error() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0x80, 2, 0, 1, 0, 0, 0, 0], &[0x80, 3, 0, 1, 0, 0, 0, 1, 0]] {
        let mut bytes = BytesMut::from(bytes);
        // The first reads as a data frame of enormous length.
        assert!(Codec::new().decode(&mut bytes).is_err());
    }
}

#[tokio::test]
async fn a_client_opens_streams_and_gets_what_the_server_writes() {
    let (client, server) = tokio::io::duplex(1 << 16);
    let echo = serve(server, |mut streams| async move {
        let mut stream = streams.recv().await.unwrap();
        assert_eq!(stream.header("streamtype"), "data");
        while let Some(data) = stream.input.recv().await {
            stream.output.send(data).await;
        }
        stream.output.finish().await;
    });
    let talk = async {
        let mut client = Framed::new(client, Codec::new());
        let headers = vec![("streamtype".to_owned(), "data".to_owned())];
        client.send(Frame::Open { id: 1, headers, last: false }).await.unwrap();
        client.send(Frame::Data { id: 1, data: Bytes::from_static(b"hello"), last: true }).await.unwrap();
        let mut got = Vec::new();
        while let Some(frame) = client.next().await {
            got.push(frame.unwrap());
        }
        assert_eq!(
            got,
            [
                Frame::Reply { id: 1, headers: Vec::new() },
                Frame::Data { id: 1, data: Bytes::from_static(b"hello"), last: false },
                Frame::Data { id: 1, data: Bytes::new(), last: true },
            ]
        );
    };
    let (served, ()) = tokio::join!(echo, talk);
    served.unwrap();
}
