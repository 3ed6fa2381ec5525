//! Azure Communication Services: `POST emails:send`, signed with HMAC-SHA256 as its documentation of authentication says.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ring::hmac;
use serde_json::json;
use url::Url;

use super::MailError;
use super::message::Letter;
use crate::base::clock::Timestamp;
use crate::base::secret::sha256;
use crate::base::text::truncate;
use crate::config::mail::AzureAccount;
use crate::services::egress::{Egress, FetchRequest, Purpose};

/// The version of the interface that is spoken.
const API_VERSION: &str = "2023-03-31";
/// Most bytes read of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The longest time for one mail.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer that an error repeats.
const REASON_BYTES_MAX: usize = 300;

/// Hands a mail over. Azure answers 202 and sends it on by itself.
pub(super) async fn send(egress: &Egress, account: &AzureAccount, letter: &Letter, now: Timestamp) -> Result<(), MailError> {
    let body = json!({
        "senderAddress": letter.from,
        "content": { "subject": letter.subject, "plainText": letter.text.expose() },
        "recipients": { "to": [{ "address": letter.to }] },
        "userEngagementTrackingDisabled": true,
    });
    let body = Bytes::from(body.to_string());
    let mut url = account.endpoint.clone();
    url.set_path("/emails:send");
    url.set_query(Some(&format!("api-version={API_VERSION}")));
    let mut request = FetchRequest::post_json(url.clone(), Purpose::Mail, body.clone());
    (request.max_bytes, request.timeout) = (ANSWER_BYTES_MAX, TIMEOUT);
    for (name, value) in sign(account, &url, &body, now) {
        let value = HeaderValue::from_str(&value).map_err(|error| MailError::Message(error.to_string()))?;
        request.headers.insert(name, value);
    }
    let answer = egress.fetch(request).await?;
    match answer.status {
        status if status.is_success() => Ok(()),
        status => Err(refusal(status, &answer.body)),
    }
}

/// The headers that sign a request: the date, the hash of the body, and the signature over both, the host and the path.
fn sign(account: &AzureAccount, url: &Url, body: &[u8], now: Timestamp) -> [(HeaderName, String); 3] {
    let date = now.to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let hash = BASE64.encode(&sha256(body));
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let signed = format!("POST\n{path}\n{date};{host};{hash}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, account.access_key.expose());
    let signature = BASE64.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    let authorization = format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}");
    [(HeaderName::from_static("x-ms-date"), date), (HeaderName::from_static("x-ms-content-sha256"), hash), (header::AUTHORIZATION, authorization)]
}

fn refusal(status: StatusCode, body: &[u8]) -> MailError {
    let said = String::from_utf8_lossy(body);
    let message = serde_json::from_str::<serde_json::Value>(&said).ok().and_then(|said| said["error"]["message"].as_str().map(str::to_owned));
    let reply = format!("{} {}", status.as_u16(), truncate(&message.unwrap_or_else(|| said.into_owned()), REASON_BYTES_MAX));
    // A wrong key or sender is mended in the settings; a mail that is not understood never gets better.
    MailError::Refused { step: "the mail", reply: crate::base::text::collapse_whitespace(&reply), for_good: status == StatusCode::BAD_REQUEST }
}
