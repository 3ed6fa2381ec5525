//! Checks citations the hard way: the source is fetched again, and the quote must be in it.

use std::collections::HashMap;

use serde_json::Value;
use url::Url;

use super::show::{list, text};
use super::{CheckedCitation, DemoError};
use crate::base::text::collapse_whitespace;
use crate::services::collect::page;
use crate::services::egress::{Egress, FetchRequest, Purpose};

/// Fetches each source once.
pub(super) struct Verifier {
    egress: Egress,
    sources: HashMap<String, String>,
}

impl Verifier {
    pub(super) fn new(egress: Egress) -> Self {
        Self { egress, sources: HashMap::new() }
    }

    /// Checks every citation of a message.
    pub(super) async fn check(&mut self, message: &Value) -> Result<Vec<CheckedCitation>, DemoError> {
        let mut checked = Vec::new();
        for citation in list(message, "citations") {
            let (url, quote) = (text(citation, "url"), collapse_whitespace(text(citation, "quote")));
            let verified = !quote.is_empty() && self.source(url).await?.contains(&quote);
            checked.push(CheckedCitation {
                n: citation["n"].as_u64().unwrap_or_default(),
                url: url.to_owned(),
                quote,
                freshness: text(citation, "freshness").to_owned(),
                verified,
            });
        }
        Ok(checked)
    }

    async fn source(&mut self, address: &str) -> Result<&str, DemoError> {
        let step = "fetching a cited source again";
        if !self.sources.contains_key(address) {
            let url = Url::parse(address).map_err(|error| DemoError::new(step, format!("{address}: {error}")))?;
            let fetched = self.egress.fetch(FetchRequest::get(url.clone(), Purpose::Collect)).await.map_err(|error| DemoError::new(step, error))?;
            let content_type = fetched.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let read = page::read(&fetched.body, content_type, &url).map_err(|error| DemoError::new(step, error))?;
            self.sources.insert(address.to_owned(), collapse_whitespace(&read.canonical_text()));
        }
        Ok(self.sources.get(address).map_or("", String::as_str))
    }
}
