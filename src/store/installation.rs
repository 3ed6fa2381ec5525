//! Which installation this is, and the latest time it has seen.

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

    /// Raises the high-water mark of the clock to `now`, never lowers it, and returns where it stands.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn raise_clock_high_water(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.write("raise clock high-water mark", move |tx| {
            let mark = tx.query_row(
                "UPDATE installation SET clock_high_water = max(clock_high_water, ?1) WHERE id = 1 RETURNING clock_high_water",
                [now],
                |row| row.get(0),
            );
            Ok(mark.optional()?.unwrap_or(now))
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
        assert_eq!(store.raise_clock_high_water(at(2_000)).await.unwrap(), at(2_000));
        assert_eq!(store.raise_clock_high_water(at(10)).await.unwrap(), at(2_000));
    }
}
