//! The events of widget runs and chat runs: appended once, followed from any point.

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::chat_event::ChatEvent;
use crate::model::ids::ChatRunId;
use crate::model::stream_event::{StoredEvent, ends_stream};

/// An event to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened: the SSE `event:` field.
    pub kind: &'static str,
    /// Its data: the SSE `data:` field.
    pub data: Value,
}

impl Store {
    /// The place of a stream's terminal event; `None` while it goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stream_end(&self, stream_id: String) -> Result<Option<u64>, StoreError> {
        self.read("read a stream's end", move |conn| {
            let mut last = conn.prepare_cached("SELECT seq, kind FROM run_events WHERE stream_id = ?1 ORDER BY seq DESC LIMIT 1")?;
            let last = last.query_row([&stream_id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).optional()?;
            Ok(last.filter(|(_, kind)| ends_stream(kind)).and_then(|(seq, _)| u64::try_from(seq).ok()))
        })
        .await
    }

    /// Appends events to a stream in order and returns the last one's place. What the appliance appends goes with what it tells of, in one transaction.
    #[cfg(test)]
    pub async fn append_events(&self, stream_id: String, events: Vec<NewEvent>, at: Timestamp) -> Result<u64, StoreError> {
        self.write("append events", move |tx| append_in(tx, &stream_id, &events, at)).await
    }

    /// At most `limit` events of a stream after place `after` (0 = from the start), in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events_after(&self, stream_id: String, after: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.read("read events", move |conn| {
            let mut statement =
                conn.prepare_cached("SELECT seq, kind, data_json, at FROM run_events WHERE stream_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
            let mut rows = statement.query((&stream_id, i64::try_from(after).unwrap_or(i64::MAX), limit))?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                let seq: i64 = row.get(0)?;
                events.push(StoredEvent {
                    seq: u64::try_from(seq).map_err(|_| StoreError::corrupt("a negative event place"))?,
                    kind: row.get(1)?,
                    data: serde_json::from_str(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
                    at: row.get(3)?,
                });
            }
            Ok(events)
        })
        .await
    }
}

impl Store {
    /// Appends events of an answer that is being made.
    ///
    /// # Errors
    /// When they could not be kept.
    pub async fn tell_chat_run(&self, run: ChatRunId, events: Vec<ChatEvent>, now: Timestamp) -> Result<(), StoreError> {
        self.write("tell of an answer", move |tx| tell_answer(tx, &run, &events, now)).await
    }
}

/// Appends an answer's events inside another store method's transaction.
pub(in crate::store) fn tell_answer(tx: &Connection, run: &ChatRunId, events: &[ChatEvent], at: Timestamp) -> Result<(), StoreError> {
    let new = events.iter().map(|event| Ok(NewEvent { kind: event.kind(), data: event.data()? }));
    append_in(tx, run.as_str(), &new.collect::<Result<Vec<_>, StoreError>>()?, at).map(|_| ())
}

/// Appends inside another store method's transaction.
pub(in crate::store) fn append_in(tx: &Connection, stream_id: &str, events: &[NewEvent], at: Timestamp) -> Result<u64, StoreError> {
    let mut seq: i64 =
        tx.prepare_cached("SELECT coalesce(max(seq), 0) FROM run_events WHERE stream_id = ?1")?.query_row([stream_id], |row| row.get(0))?;
    let mut insert = tx.prepare_cached("INSERT INTO run_events (stream_id, seq, kind, data_json, at) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for event in events {
        seq += 1;
        insert.execute((stream_id, seq, event.kind, serde_json::to_string(&event.data)?, at))?;
    }
    u64::try_from(seq).map_err(|_| StoreError::corrupt("a negative event place"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;
    use serde_json::json;

    #[tokio::test]
    async fn events_have_places_without_gaps_and_are_read_from_any_of_them() {
        let (store, _folder) = testing::store();
        let at = Timestamp::from_millis(7);
        let event = |n: u32| NewEvent { kind: "delta", data: json!({ "n": n }) };
        assert_eq!(store.append_events("run_a".into(), vec![event(1), event(2)], at).await.unwrap(), 2);
        assert_eq!(store.append_events("run_b".into(), vec![event(9)], at).await.unwrap(), 1);
        assert_eq!(store.append_events("run_a".into(), vec![event(3)], at).await.unwrap(), 3);
        let rest = store.events_after("run_a".into(), 1, 10).await.unwrap();
        assert_eq!(rest.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(rest[1].data, json!({ "n": 3 }));
        assert_eq!(store.events_after("run_a".into(), 0, 1).await.unwrap().len(), 1);
        assert_eq!(store.stream_end("run_a".into()).await.unwrap(), None);
        store.append_events("run_a".into(), vec![NewEvent { kind: "done", data: json!({}) }], at).await.unwrap();
        assert_eq!(store.stream_end("run_a".into()).await.unwrap(), Some(4));
    }
}
