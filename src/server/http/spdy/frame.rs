//! Frames: what goes over the connection.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::headers::{Headers, Packer, Unpacker};

/// The largest frame that is taken. Clients send pieces of some 32 KiB.
const LIMIT: usize = 1024 * 1024;

const VERSION: u16 = 3;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// A frame, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A stream opens.
    Open { id: u32, headers: Headers, last: bool },
    /// A stream is accepted.
    Reply { id: u32, headers: Headers },
    /// Data of a stream.
    Data { id: u32, data: Bytes, last: bool },
    /// A stream ends at once.
    Reset { id: u32 },
    /// Are you there.
    Ping { id: u32 },
    /// No more streams.
    GoAway,
    /// Anything that nothing is done about: settings, windows, late headers.
    Other,
}

/// Reads and writes frames.
#[derive(Debug)]
pub(crate) struct Codec {
    unpacker: Unpacker,
    packer: Packer,
}

impl Codec {
    pub(crate) fn new() -> Self {
        Self { unpacker: Unpacker::new(), packer: Packer::new() }
    }

    fn control(&mut self, kind: u16, flags: u8, mut body: Bytes) -> io::Result<Frame> {
        let cut = |_| io::Error::new(io::ErrorKind::InvalidData, "a frame is cut off");
        let id = |body: &mut Bytes| body.try_get_u32().map(|id| id & 0x7fff_ffff).map_err(cut);
        Ok(match kind {
            SYN_STREAM => {
                let stream = id(&mut body)?;
                // The associated stream, the priority and the slot.
                let _ = (body.try_get_u32().map_err(cut)?, body.try_get_u16().map_err(cut)?);
                Frame::Open { id: stream, headers: self.unpacker.unpack(&body)?, last: flags & FIN != 0 }
            }
            SYN_REPLY => Frame::Reply { id: id(&mut body)?, headers: self.unpacker.unpack(&body)? },
            RST_STREAM => Frame::Reset { id: id(&mut body)? },
            PING => Frame::Ping { id: body.try_get_u32().map_err(cut)? },
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(&[a, b, c, d, flags, l0, l1, l2]) = source.first_chunk::<8>() else { return Ok(None) };
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        if length > LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
        }
        if source.len() < 8 + length {
            source.reserve(8 + length - source.len());
            return Ok(None);
        }
        source.advance(8);
        let body = source.split_to(length).freeze();
        if a & 0x80 == 0 {
            let id = u32::from_be_bytes([a, b, c, d]);
            return Ok(Some(Frame::Data { id, data: body, last: flags & FIN != 0 }));
        }
        if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not SPDY/3"));
        }
        self.control(u16::from_be_bytes([c, d]), flags, body).map(Some)
    }
}

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> io::Result<()> {
        let mut body = BytesMut::new();
        let (kind, flags) = match frame {
            Frame::Data { id, data, last } => {
                out.put_u32(id & 0x7fff_ffff);
                put_length(out, if last { FIN } else { 0 }, data.len());
                out.put_slice(&data);
                return Ok(());
            }
            Frame::Open { id, headers, last } => {
                body.put_u32(id);
                body.put_u32(0);
                body.put_u16(0);
                body.put_slice(&self.packer.pack(&headers)?);
                (SYN_STREAM, if last { FIN } else { 0 })
            }
            Frame::Reply { id, headers } => {
                body.put_u32(id);
                body.put_slice(&self.packer.pack(&headers)?);
                (SYN_REPLY, 0)
            }
            Frame::Reset { id } => {
                body.put_u32(id);
                // CANCEL
                body.put_u32(5);
                (RST_STREAM, 0)
            }
            Frame::Ping { id } => {
                body.put_u32(id);
                (PING, 0)
            }
            Frame::GoAway => {
                body.put_u64(0);
                (GOAWAY, 0)
            }
            Frame::Other => return Ok(()),
        };
        out.put_u16(0x8000 | VERSION);
        out.put_u16(kind);
        put_length(out, flags, body.len());
        out.put_slice(&body);
        Ok(())
    }
}

fn put_length(out: &mut BytesMut, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    out.put_u32(u32::from(flags) << 24 | length);
}
