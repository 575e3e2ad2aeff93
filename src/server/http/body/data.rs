//! [`Data`]: what a frame of a body carries.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes one after the other that need not stand together: a hundred watches of an object share its JSON, and copy
/// none of it.
#[derive(Debug)]
pub(crate) struct Data {
    /// Empty only where all is.
    first: Bytes,
    /// None of them empty.
    rest: VecDeque<Bytes>,
    length: usize,
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self { length: bytes.len(), first: bytes, rest: VecDeque::new() }
    }
}

impl From<Data> for Bytes {
    fn from(mut data: Data) -> Self {
        data.copy_to_bytes(data.remaining()) // which copies only where it is in pieces
    }
}

impl From<Vec<Bytes>> for Data {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let length = pieces.iter().map(Bytes::len).sum();
        let mut rest = VecDeque::from(pieces);
        Self { first: rest.pop_front().unwrap_or_default(), rest, length }
    }
}

/// [`Data`] that is put together of many pieces.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    shared: Vec<Bytes>,
    /// What comes behind the last of these.
    copied: BytesMut,
}

impl Pieces {
    /// Adds a piece, which is shared.
    pub(crate) fn share(&mut self, piece: Bytes) {
        self.close();
        self.shared.push(piece);
    }

    /// Adds a piece together with those that are copied before and behind it: one of its own costs more to send than a
    /// short one costs to copy, and a system call sends few of them.
    pub(crate) fn copy(&mut self, piece: &[u8]) {
        self.copied.extend_from_slice(piece);
    }

    fn close(&mut self) {
        if !self.copied.is_empty() {
            self.shared.push(self.copied.split().freeze());
        }
    }
}

impl From<Pieces> for Data {
    fn from(mut pieces: Pieces) -> Self {
        pieces.close();
        pieces.shared.into()
    }
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.first).chain(&self.rest).filter(|piece| !piece.is_empty());
        to.iter_mut().zip(pieces).map(|(to, piece)| *to = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "there are {} bytes, not {count}", self.length);
        self.length -= count;
        while count >= self.first.len() && !self.first.is_empty() {
            count -= self.first.len();
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        self.first.advance(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if count <= self.first.len() {
            let taken = self.first.slice(..count);
            self.advance(count);
            return taken;
        }
        assert!(count <= self.length, "there are {} bytes, not {count}", self.length);
        let mut taken = BytesMut::with_capacity(count);
        taken.put(self.take(count));
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_copied_becomes_one_piece() {
        let mut pieces = Pieces::default();
        pieces.copy(b"a");
        pieces.copy(b"b");
        pieces.share(Bytes::from_static(b"cd"));
        pieces.share(Bytes::from_static(b"e"));
        pieces.copy(b"fg");
        let data = Data::from(pieces);
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = data.chunks_vectored(&mut slices);
        assert_eq!(slices[..filled].iter().map(|slice| &**slice).collect::<Vec<_>>(), [&b"ab"[..], b"cd", b"e", b"fg"]);
        assert_eq!(Bytes::from(data), "abcdefg");
    }

    proptest! {
        #[test]
        fn pieces_read_as_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6),
            steps in prop::collection::vec((0..3_usize, 0..8_usize), 0..12),
        ) {
            let whole = pieces.concat();
            let mut rest = &whole[..];
            let mut data = Data::from(pieces.into_iter().map(Bytes::from).collect::<Vec<_>>());
            for (step, count) in steps {
                let count = count.min(rest.len());
                match step {
                    0 => data.advance(count),
                    1 => prop_assert_eq!(data.copy_to_bytes(count), &rest[..count]),
                    _ => {
                        let mut slices = [IoSlice::new(&[]); 8];
                        let filled = data.chunks_vectored(&mut slices);
                        prop_assert_eq!(slices[..filled].iter().flat_map(|slice| &**slice).copied().collect::<Vec<_>>(), rest);
                        continue;
                    }
                }
                rest = &rest[count..];
                prop_assert_eq!(data.remaining(), rest.len());
                prop_assert_eq!(data.chunk().is_empty(), rest.is_empty());
                prop_assert!(rest.starts_with(data.chunk()));
            }
            prop_assert_eq!(data.copy_to_bytes(rest.len()), rest);
        }
    }
}
