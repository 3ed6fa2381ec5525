//! Just enough of the tar format (POSIX pax) to write files whose length is known, one after the other.

use crate::base::clock::Timestamp;

/// Everything in a tar is a multiple of this.
const BLOCK: usize = 512;
/// The longest path that the plain header holds; a longer one, or one with other than ASCII letters, comes in an extended header.
const PATH_BYTES_MAX: usize = 100;

/// What stands before a file's content.
pub(super) fn header(path: &str, bytes: u64, at: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK);
    if !path.is_ascii() || path.len() > PATH_BYTES_MAX || bytes >= 1 << 33 {
        let extended = record("path", path) + &record("size", &bytes.to_string());
        out.extend(block("pax", extended.len() as u64, at, b'x'));
        out.extend(extended.as_bytes());
        out.extend(padding(extended.len() as u64));
    }
    let plain: String = path.chars().filter(char::is_ascii).take(PATH_BYTES_MAX).collect();
    out.extend(block(&plain, bytes, at, b'0'));
    out
}

/// What stands after a content of so many bytes.
pub(super) fn padding(bytes: u64) -> Vec<u8> {
    let over = usize::try_from(bytes % BLOCK as u64).unwrap_or_default();
    vec![0; if over == 0 { 0 } else { BLOCK - over }]
}

/// What ends an archive.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// `length key=value\n`, where the length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}")
}

fn block(path: &str, bytes: u64, at: Timestamp, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(field) {
            *place = *byte;
        }
    };
    let seconds = u64::try_from(at.millis() / 1000).unwrap_or_default();
    put(0, path.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", bytes & ((1 << 33) - 1)).as_bytes());
    put(136, format!("{:011o}\0", seconds & ((1 << 33) - 1)).as_bytes());
    // The sum is taken with spaces in its own place.
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (place, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        for length in 80..110 {
            let record = record("path", &"a".repeat(length));
            let (counted, _) = record.split_once(' ').unwrap();
            assert_eq!(counted.parse::<usize>().unwrap(), record.len());
        }
    }

    /// Another program's reading is the test.
    #[test]
    fn tar_reads_what_is_written() {
        let at = Timestamp::from_millis(1_795_300_000_000);
        let long = format!("documents/{}/Grüße.txt", "x".repeat(120));
        let mut archive = Vec::new();
        for (path, content) in [("a/company.json", "{}"), (long.as_str(), "hello"), ("empty", "")] {
            archive.extend(header(path, content.len() as u64, at));
            archive.extend(content.as_bytes());
            archive.extend(padding(content.len() as u64));
        }
        archive.extend(end());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.tar"), &archive).unwrap();
        let unpacked = std::process::Command::new("tar").args(["-xf", "x.tar"]).current_dir(folder.path()).status().unwrap();
        assert!(unpacked.success());
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!((read("a/company.json"), read(&long), read("empty")), ("{}".into(), "hello".into(), String::new()));
    }
}
