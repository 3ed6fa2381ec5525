//! The wire format of `/v1/chat/completions`, as far as it is used here.

use serde::{Deserialize, Serialize};

use super::provider::{CompletionRequest, Delta, FinishReason, ProviderError};
use super::sse_decode::excerpt;

#[derive(Debug, Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    messages: Vec<MessageBody<'a>>,
    max_tokens: u32,
    temperature: f32,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Debug, Serialize)]
struct MessageBody<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body of a request.
pub(super) fn request_body(model: &str, request: &CompletionRequest) -> Result<Vec<u8>, ProviderError> {
    let messages = request.messages.iter().map(|message| MessageBody { role: message.speaker.as_str(), content: &message.text }).collect();
    let body = RequestBody {
        model,
        messages,
        max_tokens: request.max_tokens,
        temperature: request.temperature,
        stream: true,
        stream_options: StreamOptions { include_usage: true },
    };
    serde_json::to_vec(&body).map_err(|error| ProviderError::Misconfigured(error.to_string()))
}

#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<ChoiceDelta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ChoiceDelta {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// What one event says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Parts of the answer, in order; may be none.
    Parts(Vec<Delta>),
    /// `[DONE]`.
    Done,
}

/// Reads the data of one event.
pub(super) fn read_event(data: &str) -> Result<Said, ProviderError> {
    if data.trim() == "[DONE]" {
        return Ok(Said::Done);
    }
    let chunk: Chunk = serde_json::from_str(data)
        .map_err(|error| ProviderError::Malformed(format!("an event that is not a completion chunk ({error}): {:?}", excerpt(data))))?;
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(ProviderError::Server(error_text(&error)));
    }
    let mut parts = Vec::new();
    // Only one answer is asked for; a server that sends several is read for its first.
    if let Some(choice) = chunk.choices.into_iter().next() {
        let text = choice.delta.and_then(|delta| delta.content.or(delta.refusal)).filter(|text| !text.is_empty());
        parts.extend(text.map(Delta::Text));
        parts.extend(choice.finish_reason.map(|reason| finish_reason(&reason).map(Delta::Finish)).transpose()?);
    }
    parts.extend(chunk.usage.map(|usage| Delta::Usage { prompt: usage.prompt_tokens, completion: usage.completion_tokens, estimated: false }));
    Ok(Said::Parts(parts))
}

fn finish_reason(reason: &str) -> Result<FinishReason, ProviderError> {
    match reason {
        "length" => Ok(FinishReason::Length),
        "content_filter" => Ok(FinishReason::Filtered),
        "tool_calls" | "function_call" => Err(ProviderError::Malformed("the model called a tool, and none was offered".to_owned())),
        // "stop", and what other servers call it ("eos", "end_turn").
        _ => Ok(FinishReason::Stop),
    }
}

/// The words of an error body: `{"error": {"message": …}}`, `{"error": "…"}`, `{"detail": …}`, or the text itself.
pub(super) fn error_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => error_text(value.get("error").or_else(|| value.get("detail")).unwrap_or(&value)),
        Err(_) => crate::base::text::collapse_whitespace(&text),
    };
    let words = crate::base::text::truncate(&words, 300).to_owned();
    if words.is_empty() { "no explanation".to_owned() } else { words }
}

fn error_text(error: &serde_json::Value) -> String {
    let message = error.get("message").and_then(|message| message.as_str());
    message.or_else(|| error.as_str()).map_or_else(|| error.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_several_servers_are_read() {
        let text = |data: &str| read_event(data).unwrap();
        assert_eq!(text(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#), Said::Parts(vec![]));
        assert_eq!(text(r#"{"choices":[{"delta":{"content":"Hi"}}],"usage":null}"#), Said::Parts(vec![Delta::Text("Hi".into())]));
        assert_eq!(text(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Said::Parts(vec![Delta::Finish(FinishReason::Stop)]));
        let usage = Delta::Usage { prompt: 3, completion: 4, estimated: false };
        assert_eq!(text(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#), Said::Parts(vec![usage]));
        assert_eq!(text("[DONE]"), Said::Done);
    }

    #[test]
    fn errors_in_the_stream_are_named() {
        let server = read_event(r#"{"error":{"message":"out of memory","type":"server_error"}}"#);
        assert!(matches!(server, Err(ProviderError::Server(words)) if words == "out of memory"));
        assert!(matches!(read_event(r#"{"choices":[{"delta":{"#), Err(ProviderError::Malformed(_))));
        assert!(matches!(read_event(r#"{"choices":[{"delta":{"tool_calls":[]},"finish_reason":"tool_calls"}]}"#), Err(ProviderError::Malformed(_))));
    }

    #[test]
    fn the_words_of_an_error_body_are_found() {
        assert_eq!(error_words(br#"{"error":{"message":"no such model","code":404}}"#), "no such model");
        assert_eq!(error_words(br#"{"error":"busy"}"#), "busy");
        assert_eq!(error_words(b"<h1>Bad\n gateway</h1>"), "<h1>Bad gateway</h1>");
        assert_eq!(error_words(b""), "no explanation");
    }
}
