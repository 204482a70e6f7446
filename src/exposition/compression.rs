//! Compresses the blocks of a page as they come.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Blocks;
use super::negotiation::Encoding;

/// The blocks, compressed; they then begin and end elsewhere.
pub(super) fn compress(blocks: Blocks, encoding: Encoding) -> io::Result<Blocks> {
    // A page compresses to a tenth at the first level already; the others take three times as long.
    Ok(match encoding {
        Encoding::Identity => blocks,
        Encoding::Gzip => Box::new(Compressed {
            blocks,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        }),
        Encoding::Zstd => Box::new(Compressed {
            blocks,
            encoder: Some(zstd::Encoder::new(Vec::new(), 1)?),
        }),
    })
}

struct Compressed<E> {
    blocks: Blocks,
    /// Absent after the last block, and after an error.
    encoder: Option<E>,
}

impl<E: Encoder> Iterator for Compressed<E> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut encoder = self.encoder.take()?;
            let Some(block) = self.blocks.next() else {
                return Some(encoder.end());
            };
            if let Err(error) = block.and_then(|block| encoder.write_all(&block)) {
                return Some(Err(error));
            }
            let compressed = encoder.compressed();
            let is_enough = compressed.len() >= ENOUGH;
            let compressed = is_enough.then(|| std::mem::take(compressed));
            self.encoder = Some(encoder);
            if compressed.is_some() {
                return compressed.map(Ok);
            }
        }
    }
}

/// What both compressors can do.
trait Encoder: Write {
    /// What is compressed so far and not taken yet.
    fn compressed(&mut self) -> &mut Vec<u8>;

    /// The last of it.
    fn end(self) -> io::Result<Vec<u8>>;
}

impl Encoder for GzEncoder<Vec<u8>> {
    fn compressed(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn end(self) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

impl Encoder for zstd::Encoder<'static, Vec<u8>> {
    fn compressed(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn end(self) -> io::Result<Vec<u8>> {
        self.finish()
    }
}

/// So many compressed bytes are worth being sent.
const ENOUGH: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_cannot_be_made_is_an_error_and_ends_there() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let failing = [Ok(b"up 1".to_vec()), Err(io::ErrorKind::StorageFull.into())];
            let mut blocks = compress(Box::new(failing.into_iter()), encoding).unwrap();
            let error = blocks.find_map(Result::err).unwrap();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(blocks.next().is_none());
        }
    }
}
