//! Chat from question to answer, with a toy embedder, the narrator, and a scripted model server.

use std::ops::Range;

use futures_util::future::BoxFuture;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::random::SeededRandom;
use crate::model::chat::{ChatRun, ChatRunState, Message, MessageRole, QUESTION_MAX_BYTES};
use crate::model::chat_event::ChatEvent;
use crate::model::chunker::TokenSpans;
use crate::model::egress::RuleDraft;
use crate::model::ids::ConversationId;
use crate::model::ledger::TxType;
use crate::model::part::Part;
use crate::model::report::SourceRef;
use crate::services::egress::{Egress, EgressSettings};
use crate::services::embed::{EmbedError, EmbedKind, Embedder, Embedding, EmbeddingModel};
use crate::services::gateway::model_server::{ModelServer, Reply, Signal};
use crate::services::gateway::narrator::Narrator;
use crate::services::gateway::{ModelServerSettings, OpenAiCompatible};
use crate::services::ledger::LedgerSettings;
use crate::services::recall::{DocumentSource, RecallSettings, SourceText};
use crate::store::testing;

const TEXT: &str = "Facts about cities.\nBerlin has 3,755,251 inhabitants. Berlin is the capital of Germany.\nHamburg has 1,910,160 inhabitants.";

/// Vectors of words: texts that share words are near. No model.
struct WordVectors(EmbeddingModel);

struct WordSpans;

impl TokenSpans for WordSpans {
    fn token_spans(&self, text: &str) -> Vec<Range<usize>> {
        text.split_whitespace()
            .map(|word| word.as_ptr() as usize - text.as_ptr() as usize)
            .zip(text.split_whitespace())
            .map(|(at, word)| at..at + word.len())
            .collect()
    }
}

impl Embedder for WordVectors {
    fn model(&self) -> &EmbeddingModel {
        &self.0
    }

    fn embed(&self, texts: Vec<String>, _kind: EmbedKind) -> BoxFuture<'static, Result<Vec<Embedding>, EmbedError>> {
        Box::pin(async move {
            assert!(!texts.iter().any(|text| text.contains("PANIC")), "on purpose");
            Ok(texts.iter().map(|text| vector(text)).collect())
        })
    }

    fn tokenizer(&self) -> Result<Arc<dyn TokenSpans>, EmbedError> {
        Ok(Arc::new(WordSpans))
    }
}

fn vector(text: &str) -> Embedding {
    let mut vector = vec![0.01_f32; 384];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2).collect();
    for word in &words {
        let hash = word.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        vector[hash % 384] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    Embedding { vector: vector.iter().map(|x| x / length).collect(), tokens: words.len() as u32 }
}

struct Bench {
    parts: ChatParts,
    chat: Chat,
    clock: Arc<FakeClock>,
    owner: ChatOwner,
    conversation: ConversationId,
    server: Option<ModelServer>,
    _folder: tempfile::TempDir,
}

const SETTINGS: ChatSettings = ChatSettings { answer_max: Some(Duration::from_secs(300)) };

/// With replies: over a model server. Without: the narrator.
async fn bench(replies: Vec<Reply>) -> Bench {
    let (store, folder) = testing::store();
    let clock = Arc::new(FakeClock::new("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap()));
    let seams = Seams { clock: clock.clone(), random: Arc::new(SeededRandom::new(5)) };
    let tasks = Tasks::default();
    let (user, company) = testing::user_and_company(&store).await;
    let model = EmbeddingModel { name: "words", dimension: 384, tokens_max: 512, licence: "MIT" };
    let ledger = Ledger::new(store.clone(), seams.clone(), tasks.clone(), LedgerSettings { daily_free_tokens: 50_000 });
    let recall = Recall::new(store.clone(), Arc::new(WordVectors(model)), seams.clone(), tasks.clone(), ledger.clone(), RecallSettings::default());
    let (provider, server): (Arc<dyn Provider>, _) = if replies.is_empty() {
        (Arc::new(Narrator), None)
    } else {
        let server = ModelServer::start(replies);
        let egress = Egress::new(store.clone(), Seams::system(), &tasks, EgressSettings::default()).await.unwrap();
        let draft = RuleDraft { destination: "127.0.0.1".into(), port: None, allow_private: false, reason: "test".into() };
        egress.add_rule(&draft, &crate::model::audit::Actor::System, None).await.unwrap();
        let settings = ModelServerSettings::new(server.url().parse().unwrap(), "tiny", None);
        (Arc::new(OpenAiCompatible::new(egress, seams.clone(), settings).unwrap()), Some(server))
    };
    let parts = ChatParts { store, seams, tasks, signals: Signals::default(), places: Places::new(5), ledger, recall, provider };
    let chat = Chat::new(parts.clone(), SETTINGS);
    let owner = ChatOwner { company, user };
    let conversation = chat.begin(&owner, None).await.unwrap().id;
    let bench = Bench { parts, chat, clock, owner, conversation, server, _folder: folder };
    bench.know(TEXT).await;
    bench
}

impl Bench {
    /// Puts a document into recall.
    async fn know(&self, text: &str) {
        // Somebody else pays for it.
        let (uploaded_by, _) = testing::user_and_company(&self.parts.store).await;
        let document = testing::document(&self.parts.store, &self.owner.company, &uploaded_by).await;
        let source = DocumentSource { company: self.owner.company.clone(), document: document.clone(), uploaded_by };
        let page = SourceText {
            source: SourceRef { url: None, document_id: Some(document), title: "Cities".into(), page_number: Some(1) },
            text: text.into(),
            rows: Vec::new(),
            content_hash: "ab".repeat(32),
            collected_at: self.parts.seams.now(),
        };
        self.parts.recall.ingest_document(source, vec![page], &|_| {}).await.unwrap();
    }

    async fn ask(&self, text: &str) -> ChatRun {
        self.chat.send(&self.owner, &self.conversation, text).await.unwrap().1
    }

    /// Makes whatever waits, and returns the run once it is over.
    async fn over(&self, run: &ChatRun) -> ChatRun {
        let mut wake = self.parts.signals.subscribe(run.id.as_str());
        loop {
            self.chat.make_answers().await.unwrap();
            let now = self.chat.run(&self.owner, &run.id).await.unwrap().unwrap();
            if now.state.is_over() {
                return now;
            }
            wake.changed().await;
        }
    }

    async fn events(&self, run: &ChatRun) -> Vec<ChatEvent> {
        let events = self.parts.store.events_after(run.id.to_string(), 0, 1_000).await.unwrap();
        events.into_iter().map(|event| ChatEvent::read(&event.kind, &event.data).unwrap()).collect()
    }

    async fn messages(&self) -> Vec<Message> {
        let mut messages = self.chat.messages(&self.owner, &self.conversation, &Part::default()).await.unwrap().unwrap();
        messages.reverse();
        messages
    }

    /// The rows of chat, and that the ledger holds.
    async fn charged(&self) -> Vec<i64> {
        assert_eq!(self.parts.ledger.verify().await.unwrap().first_error, None);
        let rows = self.parts.ledger.statement(&self.owner.user, 100).await.unwrap();
        rows.into_iter().filter(|row| row.tx_type == TxType::ChatSpend).map(|row| row.amount).collect()
    }

    async fn reserved(&self) -> u64 {
        self.parts.ledger.balance(&self.owner.user).await.unwrap().reserved
    }
}

fn text_of(events: &[ChatEvent]) -> String {
    events.iter().filter_map(|event| if let ChatEvent::Delta { text } = event { Some(text.as_str()) } else { None }).collect()
}

#[tokio::test]
async fn the_narrator_quotes_and_cites_and_is_charged_once() {
    let bench = bench(vec![]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    assert_eq!(bench.over(&run).await.state, ChatRunState::Succeeded);
    let messages = bench.messages().await;
    let answer = &messages[1];
    assert_eq!((answer.role, answer.quoted, answer.model.as_deref()), (MessageRole::Assistant, true, Some("built-in narrator")));
    assert!(answer.text.contains("“Berlin has 3,755,251 inhabitants.” [1]"), "{}", answer.text);
    assert_eq!(answer.citations[0].quote, "Berlin has 3,755,251 inhabitants.");
    assert!(answer.citations.iter().all(|citation| TEXT.contains(&citation.quote)));
    let events = bench.events(&run).await;
    assert_eq!(text_of(&events), answer.text);
    assert_eq!(*events.last().unwrap(), ChatEvent::Done { message: Box::new(answer.clone()) });
    assert!(events.len() <= 8, "text is gathered: {}", events.len());
    let tokens = answer.tokens.unwrap();
    assert_eq!(bench.charged().await, [-i64::try_from(tokens.prompt + tokens.completion).unwrap()]);
    assert_eq!(bench.reserved().await, 0);
    let title = bench.chat.conversation(&bench.owner, &bench.conversation).await.unwrap().unwrap().title;
    assert_eq!(title, "How many inhabitants does Berlin have?");
}

#[tokio::test]
async fn a_short_question_is_understood_from_the_one_before() {
    let bench = bench(vec![]).await;
    let first = bench.ask("How many inhabitants does Berlin have?").await;
    bench.over(&first).await;
    let second = bench.ask("And Hamburg?").await;
    bench.over(&second).await;
    let answer = bench.messages().await.pop().unwrap();
    assert!(answer.text.contains("“Hamburg has 1,910,160 inhabitants.”"), "{}", answer.text);
}

#[tokio::test]
async fn what_is_not_in_the_sources_is_not_answered() {
    let bench = bench(vec![]).await;
    let run = bench.ask("Who painted the ceiling of the Sistine Chapel?").await;
    bench.over(&run).await;
    let answer = bench.messages().await.pop().unwrap();
    assert!(answer.citations.is_empty() && answer.text.contains("What you can do"), "{}", answer.text);
}

#[tokio::test]
async fn a_models_answer_keeps_only_citations_that_exist() {
    let reply = Reply::answer("Berlin has 3,755,251 inhabitants [1]. It is old [99].");
    let bench = bench(vec![reply]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    assert_eq!(bench.over(&run).await.state, ChatRunState::Succeeded);
    let answer = bench.messages().await.pop().unwrap();
    assert_eq!(answer.text, "Berlin has 3,755,251 inhabitants [1]. It is old.");
    assert_eq!((answer.citations.len(), answer.quoted), (1, false));
    assert_eq!(bench.charged().await, [-18]);
    let prompt = bench.server.as_ref().unwrap().received()[0].body["messages"][0]["content"].to_string();
    assert!(prompt.contains("[1] [FRESH] Cities"), "{prompt}");
}

#[tokio::test]
async fn a_failure_is_told_and_costs_nothing() {
    let bench = bench(vec![Reply::stream().text("Berlin has ").disconnect()]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    let over = bench.over(&run).await;
    assert_eq!((over.state, over.error.unwrap().code.as_str()), (ChatRunState::Failed, "model_disconnected"));
    let ChatEvent::Failed { error } = bench.events(&run).await.pop().unwrap() else { panic!("it did not fail") };
    assert_eq!(error.code, "model_disconnected");
    assert!(error.remedy.len() > 10);
    assert_eq!(bench.messages().await.len(), 1, "no message is made up");
    assert_eq!((bench.charged().await, bench.reserved().await), (vec![], 0));
}

#[tokio::test]
async fn an_answer_cut_off_by_a_restart_is_made_again_and_charged_once() {
    let (hold, written) = (Signal::default(), Signal::default());
    let interrupted = Reply::stream().text("Berlin has ").reached(&written).wait_for(&hold);
    let bench = bench(vec![interrupted, Reply::answer("Berlin has 3,755,251 inhabitants [1].")]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    let mut wake = bench.parts.signals.subscribe(run.id.as_str());
    bench.chat.make_answers().await.unwrap();
    while text_of(&bench.events(&run).await).is_empty() {
        wake.changed().await;
    }
    // The process stops: its tasks end, the run stays marked as running.
    assert_eq!(bench.parts.tasks.stop(Duration::from_secs(5)).await, 0);
    hold.give();
    bench.parts.ledger.recover().await.unwrap();
    let parts = ChatParts { tasks: Tasks::default(), signals: Signals::default(), ..bench.parts.clone() };
    let again = Bench { chat: Chat::new(parts.clone(), SETTINGS), parts, ..bench };
    let over = again.over(&run).await;
    assert_eq!((over.state, over.attempt), (ChatRunState::Succeeded, 1), "a stop in good order costs no attempt");
    let kinds: Vec<_> = again.events(&run).await.iter().map(ChatEvent::kind).collect();
    let reset = kinds.iter().position(|kind| *kind == "reset").unwrap();
    assert!(kinds[..reset].contains(&"delta") && kinds[reset..].contains(&"delta"), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "done").count(), 1);
    assert_eq!(again.messages().await.len(), 2);
    assert_eq!(again.charged().await, [-18]);
}

#[tokio::test]
async fn an_answer_whose_making_panics_is_given_up_and_the_next_one_is_made() {
    let bench = bench(vec![]).await;
    let run = bench.ask("PANIC").await;
    let over = bench.over(&run).await;
    assert_eq!((over.state, over.error.unwrap().code.as_str()), (ChatRunState::Failed, "answer_interrupted"));
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    assert_eq!(bench.over(&run).await.state, ChatRunState::Succeeded);
}

#[tokio::test]
async fn a_deleted_conversation_keeps_neither_words_nor_events_and_one_that_is_stopped_waits() {
    let bench = bench(vec![]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    bench.over(&run).await;
    let owner = || ChatOwner { company: bench.owner.company.clone(), user: bench.owner.user.clone() };
    let store = &bench.parts.store;
    testing::put_chat_runs(store, "running").await;
    assert!(store.delete_conversation(owner(), run.conversation_id.clone(), bench.parts.seams.now()).await.unwrap().is_some());
    assert_eq!(store.empty_deleted_conversations(10).await.unwrap(), 0, "its answer is still being stopped");
    assert!(!bench.events(&run).await.is_empty());
    testing::put_chat_runs(store, "cancelled").await;
    bench.chat.prune_events().await.unwrap();
    assert!(bench.events(&run).await.is_empty());
    assert_eq!(store.empty_deleted_conversations(10).await.unwrap(), 0, "it is done");
}

#[tokio::test]
async fn the_events_of_an_old_answer_shrink_to_the_last_which_holds_it() {
    let bench = bench(vec![]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    bench.over(&run).await;
    let all = bench.events(&run).await;
    assert_eq!(bench.chat.prune_events().await.unwrap(), 0, "somebody may still follow it");
    bench.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(bench.chat.prune_events().await.unwrap(), 1);
    assert_eq!(bench.events(&run).await, all[all.len() - 1..]);
    assert_eq!(bench.chat.prune_events().await.unwrap(), 0);
    // A run with one event only has nothing to let go of, and is not looked at again and again.
    testing::put_event_first(&bench.parts.store, run.id.as_str()).await;
    assert_eq!(bench.chat.prune_events().await.unwrap(), 0);
}

#[tokio::test]
async fn a_stopped_answer_ends_without_a_message_and_costs_what_it_had_used() {
    let hold = Signal::default();
    let bench = bench(vec![Reply::stream().text("Berlin has ").wait_for(&hold)]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    let mut wake = bench.parts.signals.subscribe(run.id.as_str());
    bench.chat.make_answers().await.unwrap();
    while text_of(&bench.events(&run).await).is_empty() {
        wake.changed().await;
    }
    bench.chat.cancel(&bench.owner, &run.id).await.unwrap().unwrap();
    assert_eq!(bench.over(&run).await.state, ChatRunState::Cancelled);
    hold.give();
    assert_eq!(bench.events(&run).await.pop(), Some(ChatEvent::Cancelled {}));
    assert_eq!((bench.messages().await.len(), bench.reserved().await), (1, 0));
    let row = bench.parts.ledger.statement(&bench.owner.user, 1).await.unwrap().remove(0);
    let detail: serde_json::Value = serde_json::from_str(&row.metadata_json).unwrap();
    assert_eq!((detail["completion_tokens"].as_i64(), &detail["cancelled"]), (Some(3), &serde_json::json!(true)), "“Berlin has ”");
    let prompt = detail["prompt_tokens"].as_i64().unwrap();
    assert!(prompt > 100, "the passages and the question were read: {prompt}");
    assert_eq!(bench.charged().await, [-(prompt + 3)]);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let hold = Signal::default();
    let bench = bench(vec![Reply::stream().text("Berlin has ").wait_for(&hold)]).await;
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    let mut wake = bench.parts.signals.subscribe(run.id.as_str());
    bench.chat.make_answers().await.unwrap();
    while text_of(&bench.events(&run).await).is_empty() {
        wake.changed().await;
    }
    bench.clock.advance(Duration::from_secs(301));
    let over = bench.over(&run).await;
    assert!(matches!(over.error.unwrap().code.as_str(), "answer_timeout" | "model_timeout"));
    hold.give();
}

#[tokio::test]
async fn too_few_tokens_are_told_before_anything_is_done() {
    let mut bench = bench(vec![]).await;
    bench.parts.ledger =
        Ledger::new(bench.parts.store.clone(), bench.parts.seams.clone(), bench.parts.tasks.clone(), LedgerSettings { daily_free_tokens: 10 });
    bench.chat = Chat::new(bench.parts.clone(), SETTINGS);
    let run = bench.ask("How many inhabitants does Berlin have?").await;
    assert_eq!(bench.over(&run).await.error.unwrap().code, "insufficient_tokens");
}

#[tokio::test]
async fn questions_have_bounds() {
    let bench = bench(vec![]).await;
    let empty = bench.chat.send(&bench.owner, &bench.conversation, " \n\t").await;
    assert!(matches!(empty, Err(SendError::Empty)));
    let long = bench.chat.send(&bench.owner, &bench.conversation, &"x".repeat(QUESTION_MAX_BYTES + 1)).await;
    assert!(matches!(long, Err(SendError::TooLong { bytes }) if bytes == QUESTION_MAX_BYTES + 1));
    assert!(bench.messages().await.is_empty());
}
