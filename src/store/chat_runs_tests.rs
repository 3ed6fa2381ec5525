//! Runs from question to end, as the store sees them.

use serde_json::json;

use super::*;
use crate::base::seams::Seams;
use crate::model::chat::{AnswerTokens, Conversation, MessageRole};
use crate::model::ids::{CompanyId, ReservationId, UserId};
use crate::model::ledger::{Posting, TxType};
use crate::model::part::Part;
use crate::store::testing;

struct Bench {
    store: Store,
    seams: Seams,
    owner: ChatOwner,
    conversation: ConversationId,
    _folder: tempfile::TempDir,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn bench() -> Bench {
    let (store, folder) = testing::store();
    let seams = Seams::system();
    let (user, company) = testing::user_and_company(&store).await;
    let conversation = begin(&store, &seams, &user, &company).await;
    Bench { store, seams, owner: ChatOwner { company, user }, conversation, _folder: folder }
}

async fn begin(store: &Store, seams: &Seams, user: &UserId, company: &CompanyId) -> ConversationId {
    let id = ConversationId::new(seams);
    let new = Conversation {
        id: id.clone(),
        company_id: company.clone(),
        user_id: user.clone(),
        title: UNTITLED.into(),
        created_at: at(1),
        updated_at: at(1),
    };
    store.create_conversation(new).await.unwrap();
    id
}

impl Bench {
    async fn ask(&self, text: &str, now: i64) -> AskOutcome {
        let new = NewQuestion {
            owner: self.owner.clone(),
            conversation: self.conversation.clone(),
            message: MessageId::new(&self.seams),
            run: ChatRunId::new(&self.seams),
            text: text.into(),
        };
        self.store.ask(new, at(now)).await.unwrap()
    }

    async fn queued(&self, text: &str, now: i64) -> ChatRunId {
        match self.ask(text, now).await {
            AskOutcome::Queued(_, run) => run.id,
            other => panic!("{other:?}"),
        }
    }

    async fn finish(&self, id: &ChatRunId, text: &str) -> Option<Message> {
        let answer = Answer {
            message_id: MessageId::new(&self.seams),
            text: text.into(),
            citations: vec![],
            model: "tiny".into(),
            quoted: false,
            tokens: AnswerTokens { prompt: 3, completion: 4 },
            duration_millis: 1_500,
        };
        let settlement = Settlement {
            reservation: ReservationId::new(&self.seams),
            posting: Posting {
                user: self.owner.user.clone(),
                company: Some(self.owner.company.clone()),
                tx_type: TxType::ChatSpend,
                reference_key: id.to_string(),
                reference_id: id.to_string(),
                tokens: 7,
                metadata: json!({}),
            },
        };
        self.store.finish_chat_run(id.clone(), answer, settlement, at(90)).await.unwrap()
    }

    async fn messages(&self) -> Vec<Message> {
        let mut messages = self.store.messages(self.owner.clone(), self.conversation.clone(), Part::default()).await.unwrap().unwrap();
        messages.reverse();
        messages
    }

    async fn kinds(&self, id: &ChatRunId) -> Vec<String> {
        let events = self.store.events_after(id.to_string(), 0, 100).await.unwrap();
        events.into_iter().map(|event| if event.kind == "state" { event.data["state"].as_str().unwrap().to_owned() } else { event.kind }).collect()
    }
}

#[tokio::test]
async fn a_question_becomes_an_answer_with_everything_at_once() {
    let bench = bench().await;
    let id = bench.queued("How many?\nTell me.", 10).await;
    let claimed = bench.store.claim_chat_run(Turn::anybody(), at(20)).await.unwrap().unwrap();
    assert_eq!((&claimed.run.id, claimed.run.attempt, claimed.question.as_str()), (&id, 1, "How many?\nTell me."));
    assert_eq!(bench.store.count_active_chat_runs().await.unwrap(), 1);
    let message = bench.finish(&id, "Twelve.").await.unwrap();
    assert_eq!((message.role, message.state, message.seconds), (MessageRole::Assistant, ChatRunState::Succeeded, Some(1.5)));
    assert_eq!(bench.kinds(&id).await, ["queued", "recalling", "done"]);
    let messages = bench.messages().await;
    assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["How many?\nTell me.", "Twelve."]);
    assert_eq!(messages[1], message);
    let conversation = bench.store.conversation(bench.owner.clone(), bench.conversation.clone()).await.unwrap().unwrap();
    assert_eq!((conversation.title.as_str(), conversation.updated_at), ("How many?", at(90)));
    assert_eq!(bench.finish(&id, "Twice.").await, None, "an answer that comes twice is kept once");
    assert_eq!(bench.store.verify_ledger().await.unwrap().first_error, None);
}

#[tokio::test]
async fn questions_of_a_conversation_are_answered_in_order_each_beside_its_answer() {
    let bench = bench().await;
    let first = bench.queued("One?", 10).await;
    let second = bench.queued("Two?", 11).await;
    assert_eq!(bench.store.claim_chat_run(Turn::anybody(), at(20)).await.unwrap().unwrap().run.id, first);
    assert_eq!(bench.store.claim_chat_run(Turn::anybody(), at(20)).await.unwrap(), None, "the second waits for the first");
    bench.finish(&first, "1").await.unwrap();
    let claimed = bench.store.claim_chat_run(Turn::anybody(), at(30)).await.unwrap().unwrap();
    assert_eq!(claimed.run.id, second);
    assert_eq!(claimed.earlier.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["One?", "1"]);
    bench.finish(&second, "2").await.unwrap();
    let messages = bench.messages().await;
    assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["One?", "1", "Two?", "2"]);
}

#[tokio::test]
async fn what_nobody_runs_waits_again_and_fails_after_too_many_times() {
    let bench = bench().await;
    let id = bench.queued("One?", 10).await;
    for attempt in 1..=ATTEMPTS_MAX {
        assert_eq!(bench.store.claim_chat_run(Turn::anybody(), at(20)).await.unwrap().unwrap().run.attempt, attempt);
        assert!(bench.store.requeue_orphaned_chat_runs(vec![id.clone()], at(30)).await.unwrap().is_empty(), "it is alive");
        assert_eq!(bench.store.requeue_orphaned_chat_runs(vec![], at(30)).await.unwrap(), std::slice::from_ref(&id));
    }
    let run = bench.store.chat_run(bench.owner.clone(), id.clone()).await.unwrap().unwrap();
    assert_eq!((run.state, run.error.unwrap().code.as_str()), (ChatRunState::Failed, "answer_interrupted"));
    assert_eq!(bench.kinds(&id).await, ["queued", "recalling", "reset", "queued", "recalling", "reset", "queued", "recalling", "failed"]);
    assert!(bench.store.claim_chat_run(Turn::anybody(), at(40)).await.unwrap().is_none());
}

#[tokio::test]
async fn stopping_ends_what_waits_and_marks_what_runs() {
    let bench = bench().await;
    let (first, second) = (bench.queued("One?", 10).await, bench.queued("Two?", 11).await);
    bench.store.claim_chat_run(Turn::anybody(), at(20)).await.unwrap();
    let stop = |id: &ChatRunId| bench.store.ask_cancel_chat_run(bench.owner.clone(), id.clone(), at(30));
    assert_eq!(stop(&second).await.unwrap().unwrap().state, ChatRunState::Cancelled);
    let running = stop(&first).await.unwrap().unwrap();
    assert_eq!((running.state, running.cancel_asked), (ChatRunState::Running, true));
    assert!(bench.store.end_cancelled_chat_run(first.clone(), None, at(40)).await.unwrap());
    assert!(!bench.store.end_cancelled_chat_run(first.clone(), None, at(41)).await.unwrap());
    assert_eq!(bench.kinds(&first).await.last().unwrap(), "cancelled");
    assert_eq!(stop(&first).await.unwrap().unwrap().state, ChatRunState::Cancelled);
}

#[tokio::test]
async fn what_belongs_to_another_is_not_there() {
    let bench = bench().await;
    let id = bench.queued("One?", 10).await;
    let (other, _) = testing::user_and_company(&bench.store).await;
    let stranger = ChatOwner { user: other, company: bench.owner.company.clone() };
    let store = &bench.store;
    assert_eq!(store.conversation(stranger.clone(), bench.conversation.clone()).await.unwrap(), None);
    assert_eq!(store.messages(stranger.clone(), bench.conversation.clone(), Part::default()).await.unwrap(), None);
    assert_eq!(store.chat_run(stranger.clone(), id.clone()).await.unwrap(), None);
    assert_eq!(store.ask_cancel_chat_run(stranger.clone(), id.clone(), at(20)).await.unwrap(), None);
    assert_eq!(store.delete_conversation(stranger.clone(), bench.conversation.clone(), at(20)).await.unwrap(), None);
    assert!(store.conversations(stranger, Part::default()).await.unwrap().is_empty());
    assert_eq!(store.delete_conversation(bench.owner.clone(), bench.conversation.clone(), at(20)).await.unwrap(), Some(vec![id.clone()]));
    assert_eq!(store.chat_run(bench.owner.clone(), id).await.unwrap(), None, "deleted with its conversation");
    assert_eq!(bench.ask("Two?", 30).await, AskOutcome::NoConversation);
}

#[tokio::test]
async fn only_so_many_questions_wait() {
    let bench = bench().await;
    for n in 0..WAITING_MAX {
        bench.queued("One?", i64::from(n)).await;
    }
    assert_eq!(bench.ask("One more?", 99).await, AskOutcome::TooManyWaiting);
}

#[tokio::test]
async fn companies_take_turns_at_answers_and_none_is_given_all_places() {
    let bench = bench().await;
    let mut asked = Vec::new();
    for company in 0..2 {
        let (user, company) =
            if company == 0 { (bench.owner.user.clone(), bench.owner.company.clone()) } else { testing::user_and_company(&bench.store).await };
        for question in 0..3 {
            let conversation = begin(&bench.store, &bench.seams, &user, &company).await;
            let owner = ChatOwner { company: company.clone(), user: user.clone() };
            let bench = Bench { store: bench.store.clone(), seams: Seams::system(), owner, conversation, _folder: tempfile::tempdir().unwrap() };
            bench.queued("One?", question).await;
        }
        asked.push(company);
    }
    let mut claimed: Vec<CompanyId> = Vec::new();
    while let Some(run) = bench.store.claim_chat_run(Turn { after: claimed.last().cloned(), most_of_one: 2 }, at(20)).await.unwrap() {
        claimed.push(run.run.company_id);
    }
    asked.sort();
    assert_eq!(claimed, [&asked[..], &asked[..]].concat(), "in turns, and of each as many as one may have");
}
