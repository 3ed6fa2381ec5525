//! The vectors of the companies that are being searched, in memory: a question costs one pass over them and next to no reading from SQLite.
//!
//! Each number of a unit vector is kept in 16 bits: half the memory of f32, and a dot product that the compiler turns into SIMD for every processor.
//! What that loses is less than [`ERROR_MAX`], so the exact comparison of all that come within it of the last place finds exactly the nearest.
//!
//! Nobody tells this about changes. Ids are given in order and never twice: what a snapshot has beyond the last id seen is new, and what it no longer
//! has is gone for good. A query notices both in its own snapshot, so nothing is seen here before it is committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::chunk::Origin;

/// Numbers of a vector, as the table says.
const DIMENSION: usize = 384;
/// Most memory of all companies together: 345,000 chunks. A company above it is searched by sqlite-vec, as exactly and several times slower.
const BYTES_MAX: usize = 256 << 20;
/// Memory of a chunk: its vector, its id and its origin.
const ROW_BYTES: usize = 2 * DIMENSION + 8 + 1;
/// One, in 16 bits. A sum of products of unit vectors stays below its square, which 32 bits hold.
const SCALE: f32 = 32_767.0;
/// How far a dot product can be off: rounding moves a vector by at most √384 half steps (0.0003), and two are rounded.
const ERROR_MAX: f32 = 6.1e-4;
/// How much worse than another a score can be of a vector that is as near: about 1.3 million.
#[expect(clippy::cast_possible_truncation, reason = "it fits")]
pub(super) const MARGIN: i32 = (2.0 * ERROR_MAX * SCALE * SCALE) as i32;

/// The vectors in memory, by company number.
pub(super) struct VectorScan {
    companies: Mutex<HashMap<u32, Entry>>,
    bytes_max: usize,
}

struct Entry {
    vectors: Arc<CompanyVectors>,
    /// Searches since the last look of [`VectorScan::release_idle`].
    searches: u64,
}

/// One company's vectors.
#[derive(Default)]
pub(super) struct CompanyVectors(RwLock<Rows>);

/// Vectors in the order of their ids.
#[derive(Default)]
pub(super) struct Rows {
    ids: Vec<i64>,
    values: Vec<[i16; DIMENSION]>,
    /// What each was made of: it never changes.
    origins: Vec<Origin>,
    /// Every id up to here that a snapshot had is in.
    seen: i64,
    /// There are too many for memory.
    too_many: bool,
}

impl Default for VectorScan {
    fn default() -> Self {
        Self { companies: Mutex::default(), bytes_max: BYTES_MAX }
    }
}

impl VectorScan {
    /// A company's vectors; empty when they were not asked for lately.
    pub(super) fn company(&self, number: u32) -> Arc<CompanyVectors> {
        let mut companies = self.lock();
        let entry = companies.entry(number).or_insert_with(|| Entry { vectors: Arc::default(), searches: 0 });
        entry.searches += 1;
        Arc::clone(&entry.vectors)
    }

    /// Whether so many rows of one company may be in memory.
    pub(super) fn holds(&self, rows: usize) -> bool {
        rows.saturating_mul(ROW_BYTES) <= self.bytes_max
    }

    /// Lets go of other companies, the least searched first, until all fit.
    pub(super) fn make_room_beside(&self, number: u32) {
        let mut companies = self.lock();
        let mut sizes: Vec<(u64, u32, usize)> =
            companies.iter().filter(|(other, _)| **other != number).map(|(other, entry)| (entry.searches, *other, entry.vectors.bytes())).collect();
        sizes.sort_unstable();
        let own = companies.get(&number).map_or(0, |entry| entry.vectors.bytes());
        let mut total = own + sizes.iter().map(|(_, _, bytes)| bytes).sum::<usize>();
        for (_, other, bytes) in sizes {
            if total <= self.bytes_max {
                break;
            }
            companies.remove(&other);
            total -= bytes;
        }
    }

    /// Lets go of the companies that were not searched since the last call.
    pub(super) fn release_idle(&self) {
        self.lock().retain(|_, entry| std::mem::take(&mut entry.searches) > 0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.companies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CompanyVectors {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without waiting: one that is being filled counts when it is full.
    fn bytes(&self) -> usize {
        self.0.try_read().map_or(0, |rows| rows.values.capacity() * ROW_BYTES)
    }
}

impl Rows {
    pub(super) const fn seen(&self) -> i64 {
        self.seen
    }

    pub(super) const fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) const fn too_many(&self) -> bool {
        self.too_many
    }

    /// There are more than memory is given for: none are kept until the company was idle.
    pub(super) fn give_up(&mut self) {
        *self = Self { too_many: true, ..Self::default() };
    }

    /// Makes room for more at once, with little beyond.
    pub(super) fn reserve(&mut self, more: usize) {
        let spare = if self.ids.is_empty() { more } else { more.max(self.ids.len() / 8) };
        if self.ids.capacity() - self.ids.len() < more {
            self.ids.reserve_exact(spare);
            self.values.reserve_exact(spare);
            self.origins.reserve_exact(spare);
        }
    }

    /// Puts in the next vector; ids come in order.
    pub(super) fn push(&mut self, id: i64, origin: Origin, vector: &[f32]) {
        self.ids.push(id);
        self.values.push(short(vector));
        self.origins.push(origin);
        self.seen = id;
    }

    /// Every id up to `id` is in now.
    pub(super) fn saw(&mut self, id: i64) {
        self.seen = self.seen.max(id);
    }

    /// Takes out what is not among `there`, which is all that a snapshot has up to `last`, in order.
    pub(super) fn keep(&mut self, there: &[i64], last: i64) {
        let mut kept = 0;
        for at in 0..self.ids.len() {
            let id = self.ids[at];
            if id > last || there.binary_search(&id).is_ok() {
                self.ids[kept] = id;
                self.values[kept] = self.values[at];
                self.origins[kept] = self.origins[at];
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.values.truncate(kept);
        self.origins.truncate(kept);
    }

    /// All that can be among the `limit` best of the ids up to `last`, or of those that are `allowed` (in order): a few more than `limit`, each
    /// with its score, which is its dot product and the boost of its origin, the best first. What is worse than the last place by more than [`MARGIN`] is not among them.
    pub(super) fn candidates(&self, vector: &[f32], limit: usize, last: i64, allowed: Option<&[i64]>) -> Vec<(i32, i64)> {
        let query = short(vector);
        let mut scored: Vec<(i32, i64)> = match allowed {
            None => {
                let end = self.ids.partition_point(|id| *id <= last);
                let rows = self.ids[..end].iter().zip(&self.values).zip(&self.origins);
                rows.map(|((id, value), origin)| (dot(value, &query) + boost(*origin), *id)).collect()
            }
            Some(allowed) => {
                let places = allowed.iter().filter_map(|id| self.ids.binary_search(id).ok());
                places.map(|at| (dot(&self.values[at], &query) + boost(self.origins[at]), self.ids[at])).collect()
            }
        };
        if limit > 0 && scored.len() > limit {
            let (_, last_place, _) = scored.select_nth_unstable_by(limit - 1, |a, b| b.0.cmp(&a.0));
            let least = last_place.0.saturating_sub(MARGIN);
            scored.retain(|(score, _)| *score >= least);
        }
        scored.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        scored
    }
}

/// In 16 bits, rounded. Less than [`DIMENSION`] numbers are followed by zeros.
fn short(vector: &[f32]) -> [i16; DIMENSION] {
    let mut values = [0; DIMENSION];
    for (value, x) in values.iter_mut().zip(vector) {
        let scaled = x * SCALE;
        #[expect(clippy::cast_possible_truncation, reason = "a cast saturates")]
        let rounded = (scaled + 0.5f32.copysign(scaled)) as i16;
        *value = rounded;
    }
    values
}

/// The boost of an origin beside a dot product. The sum stays within 32 bits.
const fn boost(origin: Origin) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "it fits")]
    const fn scaled(boost: f32) -> i32 {
        (boost * SCALE * SCALE) as i32
    }
    match origin {
        Origin::Document => const { scaled(Origin::Document.boost()) },
        Origin::Automation => const { scaled(Origin::Automation.boost()) },
    }
}

/// The dot product. Wrapping, because a check at each step would keep it from becoming SIMD; with unit vectors nothing wraps.
fn dot(a: &[i16; DIMENSION], b: &[i16; DIMENSION]) -> i32 {
    a.iter().zip(b).fold(0, |sum, (x, y)| sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::{Random, SeededRandom};

    fn unit(random: &SeededRandom) -> Vec<f32> {
        let mut bytes = [0u8; DIMENSION];
        random.fill(&mut bytes);
        let vector: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) - 127.5).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter().map(|x| x / length).collect()
    }

    #[test]
    fn a_dot_product_is_never_further_off_than_said() {
        let random = SeededRandom::new(3);
        let axis = |at: usize| (0..DIMENSION).map(|n| f32::from(u8::from(n == at))).collect::<Vec<f32>>();
        let mut vectors: Vec<Vec<f32>> = (0..40).map(|_| unit(&random)).collect();
        vectors.extend([axis(0), axis(0).iter().map(|x| -x).collect(), vec![(1.0 / DIMENSION as f32).sqrt(); DIMENSION]]);
        for a in &vectors {
            for b in &vectors {
                let exact: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                let short = f64::from(dot(&short(a), &short(b))) / f64::from(SCALE) / f64::from(SCALE);
                assert!((exact - short).abs() < f64::from(ERROR_MAX), "{exact} {short}");
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_idle_goes() {
        let scan = VectorScan { bytes_max: 3 * ROW_BYTES, ..VectorScan::default() };
        let fill = |number: u32, rows: usize| {
            let company = scan.company(number);
            let mut rows_of = company.write();
            rows_of.reserve(rows);
            (1..).take(rows).for_each(|id| rows_of.push(id, Origin::Document, &[1.0]));
            drop(rows_of);
            scan.make_room_beside(number);
        };
        let there = || scan.lock().iter().filter(|(_, entry)| entry.vectors.read().len() > 0).map(|(number, _)| *number).collect::<Vec<_>>();
        assert!(scan.holds(3) && !scan.holds(4));
        fill(1, 2);
        scan.company(1);
        fill(2, 1);
        fill(3, 1);
        let mut left = there();
        left.sort_unstable();
        assert_eq!(left, [1, 3], "the least searched went");
        scan.release_idle();
        scan.company(3);
        scan.release_idle();
        assert_eq!(there(), [3]);
    }

    #[test]
    fn a_snapshot_takes_out_only_what_it_could_have_seen() {
        let mut rows = Rows::default();
        for id in [2, 3, 5, 9] {
            rows.push(id, if id == 3 { Origin::Document } else { Origin::Automation }, &[1.0]);
        }
        let first = rows.candidates(&[1.0], 4, 9, None)[0];
        assert_eq!((first.1, first.0 - dot(&short(&[1.0]), &short(&[1.0]))), (3, boost(Origin::Document)));
        rows.keep(&[2, 5], 5);
        assert_eq!((rows.ids.as_slice(), rows.values.len(), rows.seen()), (&[2, 5, 9][..], 3, 9));
        let ids = |found: Vec<(i32, i64)>| found.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
        assert_eq!(ids(rows.candidates(&[1.0], 5, 5, None)), [2, 5], "an older snapshot does not see what is newer");
        assert_eq!(ids(rows.candidates(&[1.0], 5, 9, Some(&[3, 9]))), [9]);
    }
}
