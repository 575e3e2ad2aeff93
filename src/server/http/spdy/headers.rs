//! Header blocks: names and values, compressed with a dictionary in one context per direction.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The largest header block that is taken, unpacked.
const LIMIT: usize = 64 * 1024;

/// The dictionary's beginning: each with its length before it.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";

/// The dictionary's end.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
    404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug \
    Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
    charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary that both sides know.
pub(super) fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        bytes.put_slice(&u32::try_from(word.len()).unwrap_or_default().to_be_bytes());
        bytes.put_slice(word.as_bytes());
    }
    bytes.put_slice(TAIL.as_bytes());
    bytes
}

/// Names and values of one block.
pub(crate) type Headers = Vec<(String, String)>;

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Unpacks the blocks of one direction.
#[derive(Debug)]
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Unpacks the next block.
    pub(super) fn unpack(&mut self, mut block: &[u8]) -> io::Result<Headers> {
        let mut plain: Vec<u8> = Vec::with_capacity(4096);
        loop {
            let before = (self.0.total_in(), plain.len());
            let result = self.0.decompress_vec(block, &mut plain, FlushDecompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before.0).unwrap_or(usize::MAX);
            block = block.get(taken..).unwrap_or_default();
            match result {
                Ok(Status::StreamEnd) => return Err(broken("the header compression ended")),
                Ok(_) if plain.len() == plain.capacity() => {
                    if plain.len() >= LIMIT {
                        return Err(broken("a header block is too large"));
                    }
                    plain.reserve(plain.len());
                }
                Ok(_) if block.is_empty() => return parse(&plain),
                Ok(_) if (taken, plain.len()) == (0, before.1) => return Err(broken("a header block is broken")),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| broken("another header dictionary is in use"))?;
                }
                Err(_) => return Err(broken("a header block is broken")),
            }
        }
    }
}

fn parse(mut plain: &[u8]) -> io::Result<Headers> {
    let mut number = || plain.try_get_u32().map(|number| number as usize).ok();
    let Some(count) = number() else { return Err(broken("a header block is cut off")) };
    let mut headers = Headers::new();
    for _ in 0..count {
        let mut text = || {
            let length = plain.try_get_u32().ok()? as usize;
            let (text, rest) = plain.split_at_checked(length)?;
            plain = rest;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        match (text(), text()) {
            (Some(name), Some(value)) => headers.push((name.to_ascii_lowercase(), value)),
            _ => return Err(broken("a header block is cut off")),
        }
    }
    Ok(headers)
}

/// Packs the blocks of one direction.
#[derive(Debug)]
pub(super) struct Packer {
    context: Compress,
    begun: bool,
}

impl Packer {
    pub(super) fn new() -> Self {
        Self { context: Compress::new(Compression::fast(), true), begun: false }
    }

    /// Packs the next block.
    pub(super) fn pack(&mut self, headers: &Headers) -> io::Result<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            self.context.set_dictionary(&dictionary()).map_err(io::Error::other)?;
        }
        let mut plain = BytesMut::new();
        let number = |length: usize| u32::try_from(length).unwrap_or_default();
        plain.put_u32(number(headers.len()));
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(number(text.len()));
            plain.put_slice(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let mut rest = &plain[..];
        loop {
            let before = self.context.total_in();
            self.context.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(io::Error::other)?;
            rest = &rest[usize::try_from(self.context.total_in() - before).unwrap_or(rest.len())..];
            // A flush is complete when it leaves room.
            if rest.is_empty() && packed.len() < packed.capacity() {
                return Ok(packed.into());
            }
            packed.reserve(packed.capacity().max(64));
        }
    }
}
