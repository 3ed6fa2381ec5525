//! An order from a file (YAML or JSON), from arguments, or from both: what is given as an argument counts.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use super::super::outcome::Failure;
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;
use crate::model::licence::{Environment, GRACE_DAYS_DEFAULT, LicenceRequest};
use crate::services::licensing::issue;

/// Days a code lasts when nobody says.
pub(super) const DAYS_DEFAULT: u32 = 365;
/// Longest order file, bytes.
const BYTES_MAX: u64 = 64 << 10;

/// What an order file may hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OrderFile {
    pub(super) customer: Option<String>,
    pub(super) company: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) seats: Option<u32>,
    pub(super) features: BTreeMap<String, LimitGiven>,
    pub(super) days: Option<u32>,
    pub(super) grace_days: Option<u32>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) install_id: Option<String>,
    pub(super) seq: Option<u64>,
    pub(super) supersedes: Vec<LicenceId>,
    pub(super) issuer: Option<String>,
    pub(super) environment: Option<Environment>,
}

/// A limit as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum LimitGiven {
    Number(u64),
    Word(String),
}

impl LimitGiven {
    fn limit(&self, key: &str) -> Result<Option<u64>, Failure> {
        match self {
            Self::Number(number) => Ok(Some(*number)),
            Self::Word(word) if word == "unlimited" => Ok(None),
            Self::Word(word) => Err(Failure::Usage(format!("the order's features.{key} is `{word}`: expected a number or `unlimited`"))),
        }
    }
}

impl OrderFile {
    /// Reads a file; JSON when its name ends so, else YAML.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
        read.map_err(|error| Failure::failed(format!("{shown}: {error}")))?;
        if text.len() as u64 > BYTES_MAX {
            return Err(Failure::Usage(format!("{shown} is longer than any order (64 kB)")));
        }
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let parsed = if is_json { serde_json::from_str(&text).map_err(|error| error.to_string()) } else { from_yaml(&text) };
        parsed.map_err(|error| {
            Failure::Usage(format!(
                "{shown} is not an order: {error}\nAn order holds: customer, company, plan, seats, features (key: number or unlimited), days, grace_days, \
                 not_before, install_id, seq, supersedes, issuer, environment"
            ))
        })
    }

    /// Fills what is open from the customer's request.
    pub(super) fn with_request(mut self, request: &LicenceRequest) -> Self {
        self.install_id.get_or_insert_with(|| request.install_id.clone());
        self.company = self.company.or_else(|| request.company.clone());
        self
    }

    /// The order, with the next counter of the customer.
    pub(super) fn order(self, next_seq: impl FnOnce(&str) -> u64) -> Result<issue::Order, Failure> {
        let need = |value: Option<String>, name: &str| {
            value.ok_or_else(|| Failure::Usage(format!("the order does not say its {name}: give --{name}, or `{name}:` in the order file")))
        };
        let customer = need(self.customer, "customer")?;
        let features = self.features.iter().map(|(key, limit)| Ok((key.clone(), limit.limit(key)?))).collect::<Result<_, Failure>>()?;
        Ok(issue::Order {
            issuer: self.issuer.unwrap_or_else(|| "onsite".to_owned()),
            company: need(self.company, "company")?,
            plan: need(self.plan, "plan")?,
            features,
            seats: self.seats,
            not_before: self.not_before,
            days: self.days.unwrap_or(DAYS_DEFAULT),
            grace_days: self.grace_days.unwrap_or(GRACE_DAYS_DEFAULT),
            install_id: self.install_id,
            seq: self.seq.unwrap_or_else(|| next_seq(&customer)),
            supersedes: self.supersedes,
            environment: self.environment.unwrap_or(Environment::Production),
            customer,
        })
    }
}

fn from_yaml(text: &str) -> Result<OrderFile, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<OrderFile, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        OrderFile::read(&path)
    }

    #[test]
    fn an_order_reads_alike_from_yaml_and_json() {
        let yaml = "customer: acme\ncompany: Acme Überwerke AG\nplan: business\nseats: 40\nfeatures:\n  max_widgets: unlimited\n  crawl_pages_max: 500\n\
                    days: 730\nnot_before: 2030-02-01T00:00:00Z\nsupersedes: [lic_01h00000000000000000000000]\n";
        let json = r#"{"customer":"acme","company":"Acme Überwerke AG","plan":"business","seats":40,"features":{"max_widgets":"unlimited","crawl_pages_max":500},
            "days":730,"not_before":"2030-02-01T00:00:00Z","supersedes":["lic_01h00000000000000000000000"]}"#;
        for (name, text) in [("order.yaml", yaml), ("order.json", json)] {
            let order = read(name, text).unwrap().order(|customer| if customer == "acme" { 4 } else { 0 }).unwrap();
            assert_eq!((order.seq, order.days, order.grace_days, order.seats), (4, 730, 14, Some(40)), "{name}");
            assert_eq!(order.features, [("crawl_pages_max".to_owned(), Some(500)), ("max_widgets".to_owned(), None)].into());
            assert_eq!((order.supersedes.len(), order.not_before), (1, Some("2030-02-01T00:00:00Z".parse().unwrap())));
        }
    }

    #[test]
    fn what_is_wrong_with_an_order_is_named() {
        let told = |result: Result<OrderFile, Failure>| match result {
            Err(Failure::Usage(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(told(read("order.yaml", "customer: acme\nseets: 4\n")).contains("seets"));
        assert!(told(read("order.json", "{\"seats\": \"many\"}")).contains("order.json"));
        let missing = read("order.yaml", "customer: acme\nplan: team\n").unwrap().order(|_| 1);
        assert!(matches!(missing, Err(Failure::Usage(text)) if text.contains("--company")));
        let limit = read("order.yaml", "customer: a\ncompany: b\nplan: team\nfeatures: {max_widgets: lots}\n").unwrap().order(|_| 1);
        assert!(matches!(limit, Err(Failure::Usage(text)) if text.contains("features.max_widgets")));
    }
}
