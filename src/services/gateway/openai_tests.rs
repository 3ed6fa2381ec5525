//! The back-end against a scripted server, through the real way out.

use std::sync::Arc;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::random::SeededRandom;
use crate::base::tasks::Tasks;
use crate::model::egress::RuleDraft;
use crate::services::egress::EgressSettings;
use crate::services::gateway::model_server::{ModelServer, Reply, Signal};
use crate::services::gateway::{PromptMessage, Speaker};
use crate::store::testing;

const KEY: &str = "sk-very-secret";

struct Bench {
    provider: OpenAiCompatible,
    server: ModelServer,
    clock: Arc<FakeClock>,
    _folder: tempfile::TempDir,
}

async fn bench(replies: Vec<Reply>) -> Bench {
    let server = ModelServer::start(replies);
    let (store, folder) = testing::store();
    // Egress takes real time, the back-end the fake clock's: a test decides when it gives up.
    let egress = Egress::new(store, Seams::system(), &Tasks::default(), EgressSettings::default()).await.unwrap();
    let draft = RuleDraft { destination: "127.0.0.1".into(), port: Some(server.port()), allow_private: false, reason: "test".into() };
    egress.add_rule(&draft, &crate::model::audit::Actor::System, None).await.unwrap();
    let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
    let seams = Seams { clock: clock.clone(), random: Arc::new(SeededRandom::new(1)) };
    let settings = ModelServerSettings::new(server.url().parse().unwrap(), "tiny", Some(Secret::new(KEY.into())));
    Bench { provider: OpenAiCompatible::new(egress, seams, settings).unwrap(), server, clock, _folder: folder }
}

fn request() -> CompletionRequest {
    CompletionRequest {
        company: None,
        question: "How many?".into(),
        messages: vec![PromptMessage { speaker: Speaker::User, text: "How many?".into() }],
        recalled: vec![],
        max_tokens: 64,
        temperature: 0.2,
        cancel: CancellationToken::new(),
    }
}

async fn collect(provider: &OpenAiCompatible, request: CompletionRequest) -> (Vec<Delta>, Option<ProviderError>) {
    match provider.complete(request).await {
        Ok(mut completion) => rest(&mut completion).await,
        Err(error) => (Vec::new(), Some(error)),
    }
}

async fn rest(completion: &mut Completion) -> (Vec<Delta>, Option<ProviderError>) {
    let mut deltas = Vec::new();
    while let Some(part) = completion.next().await {
        match part {
            Ok(delta) => deltas.push(delta),
            Err(error) => return (deltas, Some(error)),
        }
    }
    (deltas, None)
}

/// Moves the clock while the future runs. The pause leaves the sockets, which know no fake clock, time to move.
async fn while_time_passes<T>(clock: &FakeClock, step: Duration, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    loop {
        tokio::select! {
            biased;
            value = &mut future => return value,
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(step),
        }
    }
}

#[tokio::test]
async fn an_answer_comes_in_parts_with_its_usage() {
    let bench = bench(vec![Reply::answer("There are twelve [1].")]).await;
    let (deltas, error) = collect(&bench.provider, request()).await;
    assert!(error.is_none(), "{error:?}");
    let text: String = deltas.iter().filter_map(|delta| if let Delta::Text(text) = delta { Some(text.as_str()) } else { None }).collect();
    assert_eq!(text, "There are twelve [1].");
    assert_eq!(deltas[2..], [Delta::Usage { prompt: 11, completion: 7, estimated: false }, Delta::Finish(FinishReason::Stop)]);
    let received = &bench.server.received()[0];
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.header("authorization"), Some("Bearer sk-very-secret"));
    assert_eq!(received.body["model"], "tiny");
    assert_eq!(received.body["stream_options"]["include_usage"], true);
    assert_eq!(received.body["messages"][0]["role"], "user");
}

#[tokio::test]
async fn usage_is_estimated_when_the_server_does_not_say() {
    let bench = bench(vec![Reply::stream().text("Twelve.").finish("length")]).await;
    let (deltas, error) = collect(&bench.provider, request()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(deltas[1..], [Delta::Usage { prompt: 3, completion: 2, estimated: true }, Delta::Finish(FinishReason::Length)]);
}

#[tokio::test]
async fn what_may_pass_is_asked_again_before_the_first_part() {
    let limited = Reply::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "2");
    let replies = vec![limited, Reply::status(503, "loading"), Reply::stream().disconnect(), Reply::answer("Twelve.")];
    let bench = bench(replies).await;
    let (deltas, error) = while_time_passes(&bench.clock, Duration::from_millis(20), collect(&bench.provider, request())).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(deltas.len(), 4);
    assert_eq!(bench.server.received().len(), 4);
}

#[tokio::test]
async fn what_will_not_pass_is_told_at_once_and_without_the_key() {
    let bench =
        bench(vec![Reply::status(401, &format!(r#"{{"error":{{"message":"wrong key {KEY}"}}}}"#)), Reply::status(404, "no such model")]).await;
    let (_, error) = collect(&bench.provider, request()).await;
    let error = error.unwrap();
    assert_eq!(error.code(), "model_key_refused");
    assert!(error.to_string().contains("wrong key [redacted]"), "{error}");
    assert!(!format!("{error:?} {:?}", bench.provider).contains(KEY));
    let (_, error) = collect(&bench.provider, request()).await;
    assert!(matches!(error, Some(ProviderError::Status { status: 404, .. })), "{error:?}");
    assert_eq!(bench.server.received().len(), 2);
}

#[tokio::test]
async fn a_disconnection_in_the_middle_is_an_error_and_not_an_answer() {
    let bench = bench(vec![Reply::stream().text("There are ").disconnect(), Reply::answer("unused")]).await;
    let (deltas, error) = collect(&bench.provider, request()).await;
    assert_eq!(deltas, [Delta::Text("There are ".into())]);
    assert_eq!(error.unwrap().code(), "model_disconnected");
    // The same when the server ends the body properly, but not the answer.
    let bench = self::bench(vec![Reply::stream().text("There are ")]).await;
    let (_, error) = collect(&bench.provider, request()).await;
    assert_eq!(error.unwrap().code(), "model_disconnected");
    assert_eq!(bench.server.received().len(), 1);
}

#[tokio::test]
async fn what_is_not_the_wire_format_is_named() {
    let cases = [
        (Reply::stream().raw("<html>busy</html>\n"), "<html>busy</html>"),
        (Reply::stream().raw("data: {\"choices\": [\n\n"), "not a completion chunk"),
        (Reply::stream().text("a").raw("data: {\"error\": {\"message\": \"out of memory\"}}\n\n"), "out of memory"),
        (Reply::stream().tool_call("search", "{}"), "called a tool"),
        (Reply::stream().finish("stop").done(), "without any text"),
    ];
    for (reply, expected) in cases {
        let bench = bench(vec![reply]).await;
        let (_, error) = collect(&bench.provider, request()).await;
        let told = error.unwrap().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn silence_is_not_waited_for_without_end() {
    let (never, first) = (Signal::default(), Signal::default());
    let bench = bench(vec![Reply::stream().wait_for(&never), Reply::stream().text("There ").wait_for(&first)]).await;
    let (_, error) = while_time_passes(&bench.clock, Duration::from_secs(1), collect(&bench.provider, request())).await;
    assert!(matches!(error, Some(ProviderError::Timeout { .. })), "{error:?}");
    let mut completion = bench.provider.complete(request()).await.unwrap();
    let (deltas, error) = while_time_passes(&bench.clock, Duration::from_secs(1), rest(&mut completion)).await;
    assert_eq!(deltas, [Delta::Text("There ".into())]);
    assert!(matches!(error, Some(ProviderError::Timeout { what: "go on with its answer", .. })), "{error:?}");
    never.give();
    first.give();
}

#[tokio::test]
async fn a_stopped_answer_ends() {
    let hold = Signal::default();
    let bench = bench(vec![Reply::stream().text("There ").wait_for(&hold)]).await;
    let request = request();
    let cancel = request.cancel.clone();
    let mut completion = bench.provider.complete(request).await.unwrap();
    cancel.cancel();
    let (_, error) = rest(&mut completion).await;
    assert!(matches!(error, Some(ProviderError::Cancelled)), "{error:?}");
    hold.give();
}

#[tokio::test]
async fn a_server_that_is_not_allowed_is_not_asked() {
    let server = ModelServer::start([]);
    let (store, _folder) = testing::store();
    let egress = Egress::new(store, Seams::system(), &Tasks::default(), EgressSettings::default()).await.unwrap();
    let settings = ModelServerSettings::new(server.url().parse().unwrap(), "tiny", None);
    let provider = OpenAiCompatible::new(egress, Seams::system(), settings).unwrap();
    let (_, error) = collect(&provider, request()).await;
    assert_eq!(error.unwrap().code(), "egress_not_allowed");
    assert!(server.received().is_empty());
}

#[test]
fn the_address_may_end_in_v1_or_not() {
    let at = |base: &str| endpoint(&base.parse().unwrap()).map(|url| url.to_string());
    assert_eq!(at("http://localhost:11434").unwrap(), "http://localhost:11434/v1/chat/completions");
    assert_eq!(at("http://localhost:11434/v1/").unwrap(), "http://localhost:11434/v1/chat/completions");
    assert_eq!(at("https://host/openai/v1beta").unwrap(), "https://host/openai/v1beta/chat/completions");
    assert_eq!(at("https://host/api").unwrap(), "https://host/api/v1/chat/completions");
    assert_eq!(at("https://host/v1/chat/completions").unwrap(), "https://host/v1/chat/completions");
    assert!(at("ftp://host").is_err());
}
