//! Bodies within bounds: bytes on the wire and bytes after decompression are both counted, and cut at the limit.

use std::io::Write;

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Collects a body up to a limit.
pub(super) struct BodySink {
    decoder: Decoder,
    wire_bytes: u64,
    limit_bytes: u64,
    cut: bool,
}

enum Decoder {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Deflate(Box<ZlibDecoder<Bounded>>),
}

/// A body as far as it was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more.
    pub(super) truncated: bool,
}

impl BodySink {
    /// A sink for a body with these headers.
    ///
    /// # Errors
    /// Names an encoding that was not asked for.
    pub(super) fn new(headers: &HeaderMap, limit_bytes: u64) -> Result<Self, String> {
        let out = Bounded { bytes: Vec::new(), limit: usize::try_from(limit_bytes).unwrap_or(usize::MAX), full: false };
        let encodings: Vec<String> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| String::from_utf8_lossy(value.as_bytes()).split(',').map(|part| part.trim().to_ascii_lowercase()).collect::<Vec<_>>())
            .filter(|encoding| !encoding.is_empty() && encoding != "identity")
            .collect();
        let decoder = match encodings.as_slice() {
            [] => Decoder::Plain(out),
            [one] if one == "gzip" || one == "x-gzip" => Decoder::Gzip(Box::new(MultiGzDecoder::new(out))),
            [one] if one == "deflate" => Decoder::Deflate(Box::new(ZlibDecoder::new(out))),
            other => return Err(format!("its body is encoded as {}, which was not asked for", other.join(", "))),
        };
        Ok(Self { decoder, wire_bytes: 0, limit_bytes, cut: false })
    }

    /// Bytes taken from the wire so far.
    pub(super) const fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Takes the next bytes from the wire. `false`: there is no room for more.
    ///
    /// # Errors
    /// When they cannot be decompressed.
    pub(super) fn push(&mut self, mut chunk: &[u8]) -> Result<bool, String> {
        let room = usize::try_from(self.limit_bytes.saturating_sub(self.wire_bytes)).unwrap_or(usize::MAX);
        if chunk.len() > room {
            chunk = &chunk[..room];
            self.cut = true;
        }
        self.wire_bytes += chunk.len() as u64;
        let written = match &mut self.decoder {
            Decoder::Plain(out) => out.write_all(chunk),
            Decoder::Gzip(decoder) => decoder.write_all(chunk),
            Decoder::Deflate(decoder) => decoder.write_all(chunk),
        };
        match written {
            Ok(()) => Ok(!self.cut),
            Err(_) if self.out().full => {
                self.cut = true;
                Ok(false)
            }
            Err(error) => Err(format!("its compressed body is damaged: {error}")),
        }
    }

    fn out(&self) -> &Bounded {
        match &self.decoder {
            Decoder::Plain(out) => out,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Deflate(decoder) => decoder.get_ref(),
        }
    }

    /// The body. A compressed one that ends too early counts as cut.
    pub(super) fn finish(mut self) -> Taken {
        let whole = match &mut self.decoder {
            Decoder::Plain(_) => true,
            // No byte at all is how a 304 or a HEAD looks.
            _ if self.wire_bytes == 0 => true,
            Decoder::Gzip(decoder) => decoder.try_finish().is_ok(),
            Decoder::Deflate(decoder) => decoder.try_finish().is_ok(),
        };
        let full = self.out().full;
        let bytes = match &mut self.decoder {
            Decoder::Plain(out) => std::mem::take(&mut out.bytes),
            Decoder::Gzip(decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            Decoder::Deflate(decoder) => std::mem::take(&mut decoder.get_mut().bytes),
        };
        Taken { bytes, truncated: self.cut || full || !whole }
    }
}

/// Memory that refuses to grow beyond a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let room = self.limit - self.bytes.len();
        if room == 0 && !buffer.is_empty() {
            self.full = true;
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        let taken = buffer.len().min(room);
        self.bytes.extend_from_slice(&buffer[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn sink(encoding: &str, limit: u64) -> BodySink {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        BodySink::new(&headers, limit).unwrap()
    }

    #[test]
    fn a_bomb_stops_at_the_limit_of_what_comes_out() {
        // 64 MiB of zeros are 64 KiB in gzip.
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let mut sink = sink("gzip", 1 << 20);
        let more = bomb.chunks(8192).all(|chunk| sink.push(chunk).unwrap());
        assert!(!more);
        let taken = sink.finish();
        assert!(taken.truncated);
        assert_eq!(taken.bytes.len(), 1 << 20);
    }

    #[test]
    fn whole_bodies_come_out_whole_even_at_exactly_the_limit() {
        let text = b"hello, hello, hello".as_slice();
        for (encoding, wire) in [("identity", text.to_vec()), ("gzip", gzip(text))] {
            let mut sink = sink(encoding, text.len().max(wire.len()) as u64);
            assert!(wire.iter().all(|byte| sink.push(&[*byte]).unwrap()), "{encoding}");
            assert_eq!(sink.finish(), Taken { bytes: text.to_vec(), truncated: false }, "{encoding}");
        }
    }

    #[test]
    fn damage_and_unknown_encodings_are_told() {
        assert!(sink("gzip", 100).push(b"this is not gzip at all").is_err());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "zstd".parse().unwrap());
        assert!(BodySink::new(&headers, 1).is_err());
        let mut early = sink("gzip", 100);
        let wire = gzip(b"hello");
        early.push(&wire[..wire.len() - 4]).unwrap();
        assert!(early.finish().truncated);
    }
}
