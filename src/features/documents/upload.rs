//! From a file to a document: checked, read, and refused with the reason when it cannot be used.

use tokio_util::sync::CancellationToken;
use url::Url;

use super::DocumentError;
use crate::base::clock::Timestamp;
use crate::base::secret::sha256_hex;
use crate::model::document::DocumentNotice;
use crate::model::ids::{CompanyId, DocumentId, UserId};
use crate::model::report::SourceRef;
use crate::services::collect::page::{self, PageError, TEXT_BYTES_MAX};
use crate::services::collect::texts::kept_text;
use crate::store::documents::NewDocument;

/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 200;

/// A file as it came.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The file's name, as the sender says.
    pub name: String,
    /// Its type, as the sender says.
    pub media_type: Option<String>,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl Upload {
    /// Reads the file; blocking work.
    pub(super) fn read(
        self,
        id: DocumentId,
        company: CompanyId,
        uploaded_by: UserId,
        uploaded_at: Timestamp,
        limit_bytes: u64,
        stop: &CancellationToken,
    ) -> Result<NewDocument, DocumentError> {
        let name = clean_name(&self.name)?;
        if u64::try_from(self.content.len()).unwrap_or(u64::MAX) > limit_bytes {
            return Err(DocumentError::TooLarge { limit_bytes });
        }
        let unreadable = |reason: PageError| DocumentError::Unreadable { name: name.clone(), reason };
        let media_type = trusted_type(&name, self.media_type.as_deref());
        let mut text = page::read_unless(&self.content, media_type, &address(&name)?, &|| stop.is_cancelled()).map_err(unreadable)?;
        // They point from a place that the file no longer has.
        text.links.clear();
        text.next_link = None;
        let notice = text.truncated.then(|| DocumentNotice {
            code: "text_cut".to_owned(),
            message: format!(
                "The text is longer than {} MB or has more parts than are read: only its beginning can be recalled.",
                TEXT_BYTES_MAX / (1024 * 1024)
            ),
            remedy: Some("Split the file, and upload the parts.".to_owned()),
        });
        let source = SourceRef { url: None, document_id: Some(id.clone()), title: name.clone(), page_number: None };
        let kept = kept_text(&source, &text, uploaded_at)?;
        Ok(NewDocument {
            id,
            company,
            media_type: text.format.media_type().to_owned(),
            content_hash: sha256_hex(&self.content),
            content: self.content,
            text: kept,
            notice,
            uploaded_by,
            uploaded_at,
            name,
        })
    }
}

/// The name without folders and control characters.
fn clean_name(name: &str) -> Result<String, DocumentError> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')).collect();
    let clean = clean.trim().trim_matches('.').trim();
    if clean.is_empty() || clean.len() > NAME_BYTES_MAX {
        return Err(DocumentError::Name(crate::base::text::truncate(name, NAME_BYTES_MAX).to_owned()));
    }
    Ok(clean.to_owned())
}

/// The sender's type, unless the name's ending knows better: operating systems name types as they like.
fn trusted_type<'a>(name: &str, declared: Option<&'a str>) -> Option<&'a str> {
    const KNOWN: [&str; 14] = ["html", "htm", "xhtml", "md", "markdown", "mdown", "txt", "text", "log", "rst", "csv", "tsv", "tab", "json"];
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    declared.filter(|_| !ending.is_some_and(|ending| KNOWN.contains(&ending.as_str())))
}

/// An address that carries the name, for the reader to take its ending from.
fn address(name: &str) -> Result<Url, DocumentError> {
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%2E", ".");
    Url::parse(&format!("http://document.invalid/{encoded}")).map_err(|_| DocumentError::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_folders_and_tricks() {
        assert_eq!(clean_name("C:\\tmp\\..\\Größe.csv").unwrap(), "Größe.csv");
        assert_eq!(clean_name("a\u{202e}fdp.txt\n").unwrap(), "afdp.txt");
        for name in ["", "/", "..", "\u{7}"] {
            assert!(clean_name(name).is_err(), "{name:?}");
        }
        assert!(clean_name(&"x".repeat(201)).is_err());
    }

    #[test]
    fn the_ending_knows_better_than_the_sender() {
        assert_eq!(trusted_type("a.csv", Some("application/vnd.ms-excel")), None);
        assert_eq!(trusted_type("a", Some("text/html")), Some("text/html"));
        assert_eq!(address("a b/c.md").unwrap().path(), "/a%20b%2Fc.md");
    }
}
