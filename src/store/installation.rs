//! Which installation this is, and the latest time it has seen.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::installation::Installation;

impl Store {
    /// The installation, made with `candidate` as its id if this is the first start. Raises the high-water mark of the clock to `now`.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn open_installation(&self, candidate: String, now: Timestamp) -> Result<Installation, StoreError> {
        self.write("open installation", move |tx| {
            tx.execute(
                "INSERT INTO installation (id, install_id, created_at, clock_high_water) VALUES (1, ?1, ?2, ?2)
                 ON CONFLICT (id) DO UPDATE SET clock_high_water = max(clock_high_water, excluded.clock_high_water)",
                (&candidate, now),
            )?;
            installation_in(tx)?.ok_or_else(|| StoreError::corrupt("the installation row is gone"))
        })
        .await
    }

    /// The installation; `None` before the first start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn installation(&self) -> Result<Option<Installation>, StoreError> {
        self.read("read installation", installation_in).await
    }

    /// Moves the high-water mark of the clock on by time that has passed.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn advance_clock_high_water(&self, passed: Duration) -> Result<(), StoreError> {
        let millis = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        self.write("advance clock high-water mark", move |tx| {
            tx.execute("UPDATE installation SET clock_high_water = clock_high_water + ?1 WHERE id = 1", [millis])?;
            Ok(())
        })
        .await
    }
}

fn installation_in(conn: &Connection) -> Result<Option<Installation>, StoreError> {
    let read = |row: &Row<'_>| Ok(Installation { install_id: row.get(0)?, created_at: row.get(1)?, clock_high_water: row.get(2)? });
    Ok(conn.query_row("SELECT install_id, created_at, clock_high_water FROM installation WHERE id = 1", [], read).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[tokio::test]
    async fn the_id_is_made_once_and_the_mark_never_falls() {
        let (store, _folder) = testing::store();
        assert_eq!(store.installation().await.unwrap(), None);
        let at = Timestamp::from_millis;
        let first = store.open_installation("ins_1".into(), at(1_000)).await.unwrap();
        let second = store.open_installation("ins_2".into(), at(500)).await.unwrap();
        assert_eq!((second.install_id.as_str(), second.created_at, second.clock_high_water), ("ins_1", at(1_000), at(1_000)));
        assert_eq!(first, second);
        store.advance_clock_high_water(Duration::from_millis(500)).await.unwrap();
        assert_eq!(store.installation().await.unwrap().unwrap().clock_high_water, at(1_500));
    }
}
