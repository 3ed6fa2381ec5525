//! What can be recalled: pieces of reports, pages and documents, and how they are cited.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::freshness::Freshness;
use super::ids::{CompanyId, DocumentId, ReportId, RunId, UserId, WidgetId};
use crate::base::clock::Timestamp;

/// Tokens of a chunk, its title and the model's two markers counted.
pub const CHUNK_TOKENS: usize = 512;
/// Most tokens that a chunk repeats of the one before it.
pub const CHUNK_OVERLAP_TOKENS: usize = 64;

/// A chunk's number: `(company number + 1) << 32 | sequence`. Never used twice, so that an old citation cannot point at something new.
/// As text `chk_` and 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(i64);

impl ChunkId {
    /// The number as stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// From the number as stored.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Every number that a company's chunks can have.
    #[must_use]
    pub const fn range_of(company_number: u32) -> std::ops::RangeInclusive<i64> {
        let first = (company_number as i64 + 1) << 32;
        first..=(first | 0xffff_ffff)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chk_{:016x}", self.0)
    }
}

/// Text that names no chunk.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a chunk id: expected chk_ and 16 hexadecimal digits")]
pub struct InvalidChunkId;

impl FromStr for ChunkId {
    type Err = InvalidChunkId;

    fn from_str(text: &str) -> Result<Self, InvalidChunkId> {
        let digits = text.strip_prefix("chk_").filter(|digits| digits.len() == 16 && !digits.starts_with('+')).ok_or(InvalidChunkId)?;
        i64::from_str_radix(digits, 16).ok().filter(|number| *number >= 0).map(Self).ok_or(InvalidChunkId)
    }
}

impl Serialize for ChunkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// As stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(UnknownWord(text.to_owned())) }
            }
        }
    };
}

/// A word that no version of Onsite writes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is unknown")]
pub struct UnknownWord(String);

text_enum! {
    /// Where a chunk came from.
    Origin {
        /// A widget's run.
        Automation = "automation",
        /// An uploaded document.
        Document = "document",
    }
}

impl Origin {
    /// Added to the cosine of its chunks: what a company uploaded is preferred a little to what was collected.
    #[must_use]
    pub const fn boost(self) -> f32 {
        match self {
            Self::Document => 0.15,
            Self::Automation => 0.10,
        }
    }
}

text_enum! {
    /// What a chunk is.
    ChunkType {
        /// A statement of a report.
        Finding = "finding",
        /// A key figure of a report.
        Metric = "metric",
        /// A passage of a collected page.
        Evidence = "evidence",
        /// A row of a report's table.
        TableRow = "table_row",
        /// A passage of an uploaded document.
        Document = "document",
    }
}

/// What is known about a chunk beside its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkMetadata {
    /// The widget's source class when it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_class: Option<String>,
    /// The widget's visibility when it ran. Who may recall is decided by what it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widget_visibility: Option<String>,
    /// Who made the widget or uploaded the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<UserId>,
    /// Where the content was put together (a table row, a figure): what stands in the source word for word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotes: Vec<String>,
}

/// A chunk without its number: as it is made, and most of how it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkBody {
    /// Where it came from.
    pub origin: Origin,
    /// The widget, of an automation's chunk.
    pub widget_id: Option<WidgetId>,
    /// The run, of an automation's chunk.
    pub run_id: Option<RunId>,
    /// The report, of an automation's chunk.
    pub report_id: Option<ReportId>,
    /// The document, of a document's chunk, or of an automation's over documents.
    pub document_id: Option<DocumentId>,
    /// What it is.
    pub chunk_type: ChunkType,
    /// Its place in the run or the document.
    pub ordinal: u32,
    /// Title of its source.
    pub title: String,
    /// The text.
    pub content: String,
    /// Addresses of its sources; empty for a document.
    pub source_urls: Vec<String>,
    /// The page of a paged document, from 1.
    pub page_number: Option<u32>,
    /// SHA-256 of its source's canonical text, hexadecimal.
    pub content_hash: String,
    /// Who and what it names.
    pub entity_tags: Vec<String>,
    /// The figures it holds, by name.
    pub metric_tags: Vec<String>,
    /// The figure, of a metric.
    pub metric_value: Option<f64>,
    /// When its source was collected or uploaded.
    pub collected_at: Timestamp,
    /// After how many hours it counts as stale.
    pub stale_after_hours: u32,
    /// The rest.
    pub metadata: ChunkMetadata,
}

impl ChunkBody {
    /// What the embedding model reads.
    #[must_use]
    pub fn embedded_text(&self) -> String {
        if self.title.is_empty() { self.content.clone() } else { format!("{}\n{}", self.title, self.content) }
    }

    /// Names what the embedding depends on: the same hash has the same vector.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(crate::base::secret::sha256(self.embedded_text().as_bytes()))
    }

    /// What stands in the source word for word: each line is part of one of its blocks.
    #[must_use]
    pub fn quotable(&self) -> String {
        if self.metadata.quotes.is_empty() { self.content.clone() } else { self.metadata.quotes.join("\n") }
    }
}

/// A chunk as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its number.
    pub id: ChunkId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// What it says.
    pub body: ChunkBody,
    /// Tokens the embedding model read.
    pub tokens: u32,
    /// The embedding model.
    pub embedding_model: String,
    /// Whether a later version of its document says something else.
    pub outdated: bool,
}

impl Chunk {
    /// How old it is at `now`, for its kind. What a later version of its document has replaced is stale, however young it is.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if self.outdated { Freshness::Stale } else { Freshness::at(now, self.body.collected_at, self.body.stale_after_hours) }
    }

    /// The citation `[n]` of this chunk by a quote from it.
    #[must_use]
    pub fn cite(&self, n: u32, quote: String, now: Timestamp) -> Citation {
        Citation {
            n,
            chunk_id: self.id,
            quote,
            quotes: Vec::new(),
            title: self.body.title.clone(),
            url: self.body.source_urls.first().cloned(),
            document_id: self.body.document_id.clone(),
            page_number: self.body.page_number,
            content_hash: self.body.content_hash.clone(),
            collected_at: self.body.collected_at,
            freshness: self.freshness(now),
        }
    }
}

/// Says where a statement stands: written `[n]` in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// Its number in the answer, from 1.
    pub n: u32,
    /// The chunk it quotes. After its run's retention the chunk may be gone; the citation stands on its own.
    #[schema(value_type = String)]
    pub chunk_id: ChunkId,
    /// Word for word: part of one block of the source's canonical text.
    pub quote: String,
    /// Every part of the source that the answer quotes, in its order, `quote` among them: that is the one that answers. Left out when there is only that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotes: Vec<String>,
    /// Title of the source.
    pub title: String,
    /// Address of the page; absent for a document.
    pub url: Option<String>,
    /// The document; absent for a page.
    #[schema(value_type = Option<String>)]
    pub document_id: Option<DocumentId>,
    /// The page within a paged document, from 1.
    pub page_number: Option<u32>,
    /// SHA-256 of the source's canonical text, hexadecimal.
    pub content_hash: String,
    /// When the source was collected, RFC 3339.
    #[schema(value_type = String)]
    pub collected_at: Timestamp,
    /// How old that is, for its kind.
    pub freshness: Freshness,
}

impl Citation {
    /// Cites what an answer quotes.
    pub fn quote_all(&mut self, answering: Option<&str>, quotes: &[String]) {
        let mut distinct: Vec<String> = Vec::with_capacity(quotes.len());
        for quote in quotes {
            if !distinct.contains(quote) {
                distinct.push(quote.clone());
            }
        }
        if let Some(main) = answering.or(distinct.first().map(String::as_str)) {
            main.clone_into(&mut self.quote);
        }
        self.quotes = if distinct.len() > 1 { distinct } else { Vec::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_id_round_trips_and_refuses_others() {
        let id = ChunkId::from_number((8i64 << 32) | 5);
        assert_eq!(id.to_string(), "chk_0000000800000005");
        assert_eq!(id.to_string().parse::<ChunkId>(), Ok(id));
        assert!(ChunkId::range_of(7).contains(&id.number()) && !ChunkId::range_of(6).contains(&id.number()));
        for wrong in ["", "chk_5", "chk_+000000800000005", "chk_ffffffffffffffff", "wgt_0000000800000005"] {
            assert!(wrong.parse::<ChunkId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_stored_as_the_schema_knows_them() {
        assert_eq!(ChunkType::TableRow.as_str().parse(), Ok(ChunkType::TableRow));
        assert_eq!(serde_json::to_string(&ChunkType::TableRow).unwrap(), "\"table_row\"");
        assert!("page".parse::<Origin>().is_err());
    }
}
