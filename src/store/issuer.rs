//! Orders for activation codes on the issuer.

use rusqlite::{Connection, OptionalExtension, Row};

use super::audit::append_audit;
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::audit::Entry;
use crate::model::ids::IssueRequestId;
use crate::model::issuer::{IssueRequest, IssueState};
use crate::model::licence::SignedCode;

crate::text_column!(IssueState);

const COLUMNS: &str = "id, state, order_json, created_at, created_by, signed_at, code";

impl Store {
    /// Keeps an order with its audit row.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_issue_request(&self, request: IssueRequest, entry: Entry) -> Result<(), StoreError> {
        let order = serde_json::to_string(&request.order)?;
        self.write("add issue request", move |tx| {
            tx.execute(
                "INSERT INTO issue_requests (id, number, state, customer, order_json, created_at, created_by)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM issue_requests",
                (&request.id, request.state, &request.order.customer, &order, request.created_at, &request.created_by),
            )?;
            append_audit(tx, &entry)
        })
        .await
    }

    /// The newest orders.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn issue_requests(&self, limit: u32) -> Result<Vec<IssueRequest>, StoreError> {
        self.read("read issue requests", move |conn| {
            read_all(conn, &format!("SELECT {COLUMNS} FROM issue_requests ORDER BY number DESC LIMIT ?1"), limit)
        })
        .await
    }

    /// The oldest orders that wait for a key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending_issue_requests(&self, limit: u32) -> Result<Vec<IssueRequest>, StoreError> {
        self.read("read pending issue requests", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM issue_requests WHERE state = 'pending_signing_key' ORDER BY number LIMIT ?1");
            read_all(conn, &sql, limit)
        })
        .await
    }

    /// How many orders wait for a key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending_issue_count(&self) -> Result<u64, StoreError> {
        self.read("count pending issue requests", |conn| {
            let sql = "SELECT count(*) FROM issue_requests WHERE state = 'pending_signing_key'";
            Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// One order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn issue_request(&self, id: IssueRequestId) -> Result<Option<IssueRequest>, StoreError> {
        self.read("read issue request", move |conn| {
            let raw = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM issue_requests WHERE id = ?1"))?.query_row([&id], raw).optional()?;
            raw.map(Raw::read).transpose()
        })
        .await
    }

    /// The counter of a customer's newest code; 0 when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest_issued_seq(&self, customer: String) -> Result<u64, StoreError> {
        self.read("read newest issued count", move |conn| {
            let sql = "SELECT coalesce(max(seq), 0) FROM issue_requests WHERE customer = ?1";
            Ok(conn.query_row(sql, [&customer], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// Keeps the code of an order that waited, with its audit row. False when it does not wait any more: nothing is kept then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_issued(&self, id: IssueRequestId, code: SignedCode, at: Timestamp, entry: Entry) -> Result<bool, StoreError> {
        let seq = i64::try_from(code.claims().seq).map_err(|_| StoreError::corrupt("a code's counter beyond 2^63"))?;
        self.write("keep issued code", move |tx| {
            let changed = tx.execute(
                "UPDATE issue_requests SET state = 'signed', signed_at = ?2, seq = ?3, jti = ?4, code = ?5 WHERE id = ?1 AND state = 'pending_signing_key'",
                (&id, at, seq, &code.claims().jti, code.to_line()),
            )?;
            if changed > 0 {
                append_audit(tx, &entry)?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Takes an order back that waited, with its audit row. False when it does not wait any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn withdraw_issue_request(&self, id: IssueRequestId, entry: Entry) -> Result<bool, StoreError> {
        self.write("withdraw issue request", move |tx| {
            let sql = "UPDATE issue_requests SET state = 'withdrawn', withdrawn_at = ?2 WHERE id = ?1 AND state = 'pending_signing_key'";
            let changed = tx.execute(sql, (&id, entry.at))?;
            if changed > 0 {
                append_audit(tx, &entry)?;
            }
            Ok(changed > 0)
        })
        .await
    }
}

struct Raw {
    id: IssueRequestId,
    state: IssueState,
    order_json: String,
    created_at: Timestamp,
    created_by: String,
    signed_at: Option<Timestamp>,
    code: Option<String>,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        state: row.get(1)?,
        order_json: row.get(2)?,
        created_at: row.get(3)?,
        created_by: row.get(4)?,
        signed_at: row.get(5)?,
        code: row.get(6)?,
    })
}

impl Raw {
    fn read(self) -> Result<IssueRequest, StoreError> {
        let code = self.code.map(|line| SignedCode::from_text(&line).map_err(|_| StoreError::corrupt("an issued code that does not read")));
        Ok(IssueRequest {
            id: self.id,
            state: self.state,
            order: serde_json::from_str(&self.order_json)?,
            created_at: self.created_at,
            created_by: self.created_by,
            signed_at: self.signed_at,
            code: code.transpose()?,
        })
    }
}

fn read_all(conn: &Connection, sql: &str, limit: u32) -> Result<Vec<IssueRequest>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let raws = statement.query_map([limit], raw)?.collect::<Result<Vec<_>, _>>()?;
    raws.into_iter().map(Raw::read).collect()
}
