//! Names of things by their ids, for lists that show both: one query a list.

use std::collections::HashMap;

use rusqlite::{Params, Statement};

use super::{Store, StoreError};
use crate::model::ids::CompanyId;

impl Store {
    /// The names of the people and companies among these ids; whatever else they name is left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account_names(&self, ids: Vec<String>) -> Result<HashMap<String, String>, StoreError> {
        self.read("names of accounts", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, opened('users', 'name', id, name) FROM users WHERE id IN (SELECT value FROM json_each(?1))
                 UNION ALL SELECT id, name FROM companies WHERE id IN (SELECT value FROM json_each(?1))",
            )?;
            named(&mut statement, [serde_json::to_string(&ids)?])
        })
        .await
    }

    /// What the runs, conversations and documents of a company among these ids are called: a run by its automation. Deleted ones keep their
    /// names here, since what they cost stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn work_names(&self, company: CompanyId, ids: Vec<String>) -> Result<HashMap<String, String>, StoreError> {
        self.read("names of work", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT r.id, w.title FROM widget_runs r JOIN widgets w ON w.id = r.widget_id
                   WHERE r.company_id = ?1 AND r.id IN (SELECT value FROM json_each(?2))
                 UNION ALL SELECT id, title FROM conversations WHERE company_id = ?1 AND id IN (SELECT value FROM json_each(?2))
                 UNION ALL SELECT id, name FROM documents WHERE company_id = ?1 AND id IN (SELECT value FROM json_each(?2))",
            )?;
            named(&mut statement, (company, serde_json::to_string(&ids)?))
        })
        .await
    }
}

fn named(statement: &mut Statement<'_>, params: impl Params) -> Result<HashMap<String, String>, StoreError> {
    Ok(statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}
