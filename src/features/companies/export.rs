//! An export: a tar of JSON Lines and files, made while it is sent. At most a few megabytes of it are in memory, however large the company is.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::tar;
use crate::base::clock::Timestamp;
use crate::base::secret::sha256_hex;
use crate::model::company::Company;
use crate::model::ids::UserId;
use crate::store::company_export::{EXPORTED, ExportFile, ExportKind};
use crate::store::{Store, StoreError};

/// A file of rows is closed when it has grown to this. A tar says how long a file is before it begins.
const PART_BYTES: usize = 2 << 20;
/// Bytes of a document sent at once.
const PIECE_BYTES: usize = 1 << 20;
/// Characters kept of a document's name.
const NAME_CHARS_MAX: usize = 120;

/// An export on its way. [`Export::next`] gives the next bytes, [`None`] at the end. One that ends without `manifest.json` was cut off.
pub struct Export {
    store: Store,
    company: Company,
    user: UserId,
    at: Timestamp,
    stage: Stage,
    ready: VecDeque<Bytes>,
    files: Vec<serde_json::Value>,
    /// Its place among the exports at once.
    _place: OwnedSemaphorePermit,
}

enum Stage {
    Rows { kind: usize, part: u32, after: String, rows: u64, text: String },
    Files { after: String },
    File { file: ExportFile, sent: u64 },
    Manifest,
    Done,
}

impl Stage {
    const fn rows(kind: usize) -> Self {
        Self::Rows { kind, part: 1, after: String::new(), rows: 0, text: String::new() }
    }
}

impl Export {
    pub(super) fn new(store: Store, company: Company, user: UserId, at: Timestamp, place: OwnedSemaphorePermit) -> Self {
        Self { store, company, user, at, stage: Stage::rows(0), ready: VecDeque::new(), files: Vec::new(), _place: place }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When the store fails, or a document went while it was sent.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(bytes));
            }
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Rows { kind, part, after, rows, text } => self.rows(kind, part, after, rows, text).await?,
                Stage::Files { after } => self.next_file(after).await?,
                Stage::File { file, sent } => self.piece(file, sent).await?,
                Stage::Manifest => {
                    self.manifest();
                    Stage::Done
                }
                Stage::Done => return Ok(None),
            };
        }
    }

    async fn rows(&mut self, place: usize, part: u32, after: String, mut rows: u64, mut text: String) -> Result<Stage, StoreError> {
        let Some(kind) = EXPORTED.get(place) else { return Ok(Stage::Files { after: String::new() }) };
        let page = self.store.export_rows(*kind, self.company.id.clone(), self.user.clone(), after).await?;
        for row in &page.rows {
            text.push_str(row);
            text.push('\n');
        }
        rows += page.rows.len() as u64;
        let Some(last) = page.last else {
            if part == 1 || !text.is_empty() {
                self.close_part(kind, part, rows, text);
            }
            return Ok(Stage::rows(place + 1));
        };
        if text.len() < PART_BYTES {
            return Ok(Stage::Rows { kind: place, part, after: last, rows, text });
        }
        self.close_part(kind, part, rows, text);
        Ok(Stage::Rows { kind: place, part: part + 1, after: last, rows: 0, text: String::new() })
    }

    fn close_part(&mut self, kind: &ExportKind, part: u32, rows: u64, text: String) {
        let path = format!("{}-{part:03}.jsonl", kind.name);
        self.files.push(json!({"path": path, "rows": rows, "bytes": text.len(), "sha256": sha256_hex(text.as_bytes())}));
        self.put(&path, text.into());
    }

    async fn next_file(&mut self, after: String) -> Result<Stage, StoreError> {
        let Some(file) = self.store.next_export_file(self.company.id.clone(), after).await? else { return Ok(Stage::Manifest) };
        let path = format!("documents/{}/{}", file.id, plain_name(&file.name));
        self.ready.push_back(tar::header(&path, file.bytes, self.at).into());
        self.files.push(json!({"path": path, "document_id": file.id, "bytes": file.bytes}));
        Ok(Stage::File { file, sent: 0 })
    }

    async fn piece(&mut self, file: ExportFile, sent: u64) -> Result<Stage, StoreError> {
        if sent >= file.bytes {
            self.ready.push_back(tar::padding(file.bytes).into());
            return Ok(Stage::Files { after: file.id.to_string() });
        }
        let piece = self.store.document_piece(self.company.id.clone(), file.id.clone(), sent, PIECE_BYTES).await?;
        if piece.is_empty() {
            return Err(StoreError::corrupt("a document that became shorter while it was exported"));
        }
        let sent = sent + piece.len() as u64;
        self.ready.push_back(piece.into());
        Ok(Stage::File { file, sent })
    }

    fn manifest(&mut self) {
        let manifest = json!({
            "format": "onsite-company-export-1",
            "company": {"id": self.company.id, "name": self.company.name},
            "exported_at": self.at,
            "exported_by": self.user,
            "times": "milliseconds since 1970-01-01T00:00:00Z",
            "left_out": "conversations of other members, which are theirs alone; vectors and the search index, which are made anew from what is here",
            "files": self.files,
        });
        let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
        self.put("manifest.json", text.into());
        self.ready.push_back(tar::end().into());
    }

    /// A whole file.
    fn put(&mut self, path: &str, content: Bytes) {
        let length = content.len() as u64;
        self.ready.extend([tar::header(path, length, self.at).into(), content, tar::padding(length).into()]);
        self.ready.retain(|bytes| !bytes.is_empty());
    }
}

/// A name as one part of a path, whatever it was uploaded as.
fn plain_name(name: &str) -> String {
    let safe = name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).take(NAME_CHARS_MAX);
    let plain: String = safe.collect();
    if plain.chars().all(|c| c == '.') { "file".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_within_its_folder() {
        assert_eq!(plain_name("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(plain_name(".."), "file");
        assert_eq!(plain_name("Größe\n.csv"), "Größe_.csv");
    }
}
