//! What a run found: findings, metrics and tables, each pointing at the evidence it rests on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::DocumentId;
use crate::base::clock::Timestamp;

/// The name of the extractor inside the binary, as reports carry it.
pub const BUILT_IN_EXTRACTOR: &str = "built-in";

/// A piece of evidence within one report: `e1`, `e2`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct EvidenceId(pub String);

impl EvidenceId {
    /// The id of the evidence at `position`, counted from 0.
    #[must_use]
    pub fn at(position: usize) -> Self {
        Self(format!("e{}", position + 1))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything a report says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportBody {
    /// A few sentences of the sources, word for word, that say most about the objective. Empty when nothing was found.
    pub summary: String,
    /// Key sentences, the most telling first.
    pub findings: Vec<Finding>,
    /// Key figures. The first is the headline.
    pub metrics: Vec<Metric>,
    /// Tables of the sources.
    pub tables: Vec<ReportTable>,
    /// What all of the above rests on.
    pub evidence: Vec<Evidence>,
    /// Who extracted it: [`BUILT_IN_EXTRACTOR`] or a model's name.
    pub extractor: String,
}

impl ReportBody {
    /// The evidence with this id.
    #[must_use]
    pub fn evidence(&self, id: &EvidenceId) -> Option<&Evidence> {
        // Ids count from 1 in order; a report by a model may not keep to it.
        let place = id.0.strip_prefix('e').and_then(|n| n.parse::<usize>().ok()).and_then(|n| n.checked_sub(1));
        place.and_then(|at| self.evidence.get(at)).filter(|found| found.id == *id).or_else(|| self.evidence.iter().find(|found| found.id == *id))
    }
}

/// A statement of the sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// `f1`, `f2`, and so on: within this report.
    pub id: String,
    /// The statement, without markup and reference marks.
    pub text: String,
    /// What it rests on: never empty.
    pub evidence: Vec<EvidenceId>,
    /// Who and what it names.
    pub entities: Vec<String>,
}

/// A key figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    /// `m1`, `m2`, and so on: within this report.
    pub id: String,
    /// Of what: `Rhine: Length`. The same source gives the same name in every report.
    pub name: String,
    /// The figure, with thousands and millions multiplied out.
    pub value: f64,
    /// Digits behind the decimal mark as the source writes them, where the value alone would lose some: 2 of `4.20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// What it is counted in: `km`, `%`, `USD`; absent for a bare count.
    pub unit: Option<String>,
    /// The date it holds for, as the source says: `2024`, `2024-03` or `2024-03-12`.
    pub as_of: Option<String>,
    /// What it rests on: never empty.
    pub evidence: Vec<EvidenceId>,
}

impl Metric {
    /// The figure as the source writes it, without separators: `4.20`.
    #[must_use]
    pub fn figure(&self) -> String {
        match self.decimals {
            Some(decimals) => format!("{:.*}", usize::from(decimals), self.value),
            None => self.value.to_string(),
        }
    }

    /// Name and unit where the unit is not shown beside the value: `Rhine: Length (km)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{} ({unit})", self.name),
            None => self.name.clone(),
        }
    }
}

/// A table of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportTable {
    /// `t1`, `t2`, and so on: within this report.
    pub id: String,
    /// Its caption, or the heading it stands under.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Its rows; each has as many cells as there are columns.
    pub rows: Vec<TableRow>,
    /// What the table as a whole rests on: its caption or first row.
    pub evidence: Vec<EvidenceId>,
}

/// What the columns of a table of names and values are called that names none itself.
pub const PAIR_COLUMNS: [&str; 2] = ["Name", "Value"];

/// A row with the names of its columns, so that it means something alone: `Price list. name: Kestrel; price: 4.20 EUR`.
#[must_use]
pub fn read_as(title: &str, columns: &[String], cells: &[String]) -> String {
    let named = match cells {
        [name, value] if columns == PAIR_COLUMNS => format!("{}: {value}", name.trim_end_matches(':')),
        _ => {
            let filled = cells.iter().enumerate().filter(|(_, cell)| !cell.trim().is_empty());
            let named = filled.map(|(at, cell)| match columns.get(at).filter(|name| !name.trim().is_empty()) {
                Some(name) => format!("{name}: {cell}"),
                None => cell.clone(),
            });
            named.collect::<Vec<_>>().join("; ")
        }
    };
    if title.trim().is_empty() { named } else { format!("{}. {named}", title.trim()) }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TableRow {
    /// One text a column.
    pub cells: Vec<String>,
    /// The row as the source has it.
    pub evidence: Vec<EvidenceId>,
}

/// A quote and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// `e1`, `e2`, and so on: within this report.
    pub id: EvidenceId,
    /// Word for word: part of one block of the source's canonical text.
    pub quote: String,
    /// Where it stands.
    pub source: SourceRef,
    /// SHA-256 of the source's canonical text, hexadecimal.
    pub content_hash: String,
    /// When the source was collected.
    #[schema(value_type = String)]
    pub collected_at: Timestamp,
}

/// A source: a page of a site, or a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceRef {
    /// The page's address.
    pub url: Option<String>,
    /// The document.
    #[schema(value_type = Option<String>)]
    pub document_id: Option<DocumentId>,
    /// Its title.
    pub title: String,
    /// The page within a paged document, from 1.
    pub page_number: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_with_the_names_of_its_columns() {
        let row = |columns: &[&str], cells: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            read_as("Prices", &owned(columns), &owned(cells))
        };
        assert_eq!(row(&["name", "price", "note"], &["Kestrel", "4.20 EUR", ""]), "Prices. name: Kestrel; price: 4.20 EUR");
        assert_eq!(row(&PAIR_COLUMNS, &["Height:", "1,200 m"]), "Prices. Height: 1,200 m");
    }

    #[test]
    fn a_report_survives_its_json_form() {
        let body = ReportBody {
            summary: "The Rhine is long.".into(),
            metrics: vec![Metric {
                id: "m1".into(),
                name: "Rhine: Length".into(),
                value: 1230.0,
                decimals: Some(2),
                unit: Some("km".into()),
                as_of: Some("2024-03".into()),
                evidence: vec![EvidenceId::at(0)],
            }],
            evidence: vec![Evidence {
                id: EvidenceId::at(0),
                quote: "Rhine 1,230".into(),
                source: SourceRef { url: Some("http://a.example/".into()), document_id: None, title: "Rivers".into(), page_number: None },
                content_hash: "00".into(),
                collected_at: Timestamp::from_millis(0),
            }],
            extractor: BUILT_IN_EXTRACTOR.into(),
            ..ReportBody::default()
        };
        let json = serde_json::to_string(&body).unwrap();
        assert!(json.contains("\"evidence\":[\"e1\"]"), "{json}");
        assert_eq!(serde_json::from_str::<ReportBody>(&json).unwrap(), body);
        assert_eq!(body.metrics[0].figure(), "1230.00");
        assert_eq!(body.metrics[0].label(), "Rhine: Length (km)");
        assert_eq!(body.evidence(&EvidenceId::at(0)).map(|e| e.quote.as_str()), Some("Rhine 1,230"));
        assert_eq!(body.evidence(&EvidenceId::at(1)), None);
    }
}
