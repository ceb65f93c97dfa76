//! A file as the buffer that messages are decoded from: each tensor's bytes are read into memory once, and nothing else is.

use std::fs::File;
use std::io::{Error, Read, Seek, SeekFrom};

use prost::bytes::{Buf, Bytes};

const WINDOW: usize = 1 << 16;

/// The rest of a file. Decoding cannot fail half-way for want of a disk, so that zeros stand for what could not be read; ask
/// [`Stream::failure`] afterwards.
pub(super) struct Stream<'a> {
    file: &'a mut File,
    /// Bytes that come after the window.
    beyond: u64,
    window: Vec<u8>,
    at: usize,
    failure: Option<Error>,
}

impl<'a> Stream<'a> {
    /// The next `length` bytes of a file.
    pub fn new(file: &'a mut File, length: u64) -> Stream<'a> {
        let mut stream = Stream { file, beyond: length, window: Vec::new(), at: 0, failure: None };
        stream.refill();
        stream
    }

    /// Why bytes could not be read.
    pub fn failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        if self.failure.is_none()
            && let Err(error) = self.file.read_exact(bytes)
        {
            self.failure = Some(error);
            bytes.fill(0);
        }
    }

    fn refill(&mut self) {
        let length = self.beyond.min(WINDOW as u64);
        let mut window = std::mem::take(&mut self.window);
        window.clear();
        window.resize(length as usize, 0);
        self.fill(&mut window);
        (self.window, self.at) = (window, 0);
        self.beyond -= length;
    }
}

impl Buf for Stream<'_> {
    fn remaining(&self) -> usize {
        let beyond = usize::try_from(self.beyond).unwrap_or(usize::MAX);
        beyond.saturating_add(self.window.len() - self.at)
    }

    fn chunk(&self) -> &[u8] {
        &self.window[self.at..]
    }

    fn advance(&mut self, count: usize) {
        let inside = count.min(self.window.len() - self.at);
        self.at += inside;
        let beyond = ((count - inside) as u64).min(self.beyond);
        if beyond > 0 {
            let skipped = i64::try_from(beyond).map_err(Error::other);
            let moved = skipped.and_then(|beyond| self.file.seek(SeekFrom::Current(beyond)));
            self.failure = self.failure.take().or(moved.err());
            self.beyond -= beyond;
        }
        if self.at == self.window.len() {
            self.refill();
        }
    }

    /// Bytes of their own, so that they go when the tensor has been made.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let length = length.min(self.remaining());
        let inside = length.min(self.window.len() - self.at);
        let mut bytes = vec![0; length];
        let (first, rest) = bytes.split_at_mut(inside);
        first.copy_from_slice(&self.window[self.at..self.at + inside]);
        self.fill(rest);
        self.at += inside;
        self.beyond -= rest.len() as u64;
        if self.at == self.window.len() {
            self.refill();
        }
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        (file, bytes)
    }

    #[test]
    fn every_way_to_read_gives_the_file() {
        let (mut file, bytes) = file(3 * WINDOW + 17);
        let mut stream = Stream::new(&mut file, bytes.len() as u64);
        let mut at = 0;
        for step in [1, 100, WINDOW - 101, WINDOW + 5, 0, 3] {
            assert_eq!(stream.remaining(), bytes.len() - at);
            assert_eq!(stream.copy_to_bytes(step), bytes[at..at + step], "{step} at {at}");
            at += step;
        }
        stream.advance(WINDOW / 2 + 40);
        at += WINDOW / 2 + 40;
        assert_eq!(stream.get_u8(), bytes[at]);
        assert_eq!(stream.copy_to_bytes(bytes.len() - at - 1), bytes[at + 1..]);
        assert_eq!((stream.remaining(), stream.chunk().len()), (0, 0));
        assert!(stream.failure().is_none());
    }

    #[test]
    fn a_file_that_shrinks_is_a_failure_and_no_panic() {
        let (mut file, bytes) = file(WINDOW + 40);
        let mut stream = Stream::new(&mut file, bytes.len() as u64 + 100);
        assert_eq!(stream.copy_to_bytes(WINDOW + 140)[..WINDOW], bytes[..WINDOW]);
        assert_eq!(stream.remaining(), 0);
        assert!(stream.failure().is_some());
    }
}
