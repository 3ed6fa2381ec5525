//! The places of work that runs at once. Runs of automations and answers share them, and neither can take all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::signal::Nudge;

/// What takes places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A run of an automation: it may take an hour.
    Run,
    /// An answer: somebody waits for it.
    Answer,
}

/// A bounded number of places. Of more than one, each kind of work leaves one to the other, so that no question waits for crawls alone, and no
/// schedule for talk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    max: usize,
    state: Mutex<State>,
    nudges: [Nudge; 2],
}

#[derive(Debug, Default)]
struct State {
    taken: [usize; 2],
    /// Which work was refused a place since one was free again.
    refused: [bool; 2],
}

impl Places {
    /// So many places, at least one.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { inner: Arc::new(Inner { max: max.max(1), state: Mutex::default(), nudges: [Nudge::default(), Nudge::default()] }) }
    }

    /// Places of all work together.
    #[must_use]
    pub fn max(&self) -> usize {
        self.inner.max
    }

    /// The most that one kind of work takes.
    #[must_use]
    pub fn most(&self) -> usize {
        leaves_one(self.inner.max)
    }

    /// The most that one company takes of a kind of work while there are others.
    #[must_use]
    pub fn most_of_one(&self) -> u32 {
        u32::try_from(leaves_one(self.most())).unwrap_or(u32::MAX)
    }

    /// Wakes whoever gives places to this work: asked from outside, and whenever a place is free again.
    #[must_use]
    pub fn nudge(&self, work: Work) -> Nudge {
        self.inner.nudges[work as usize].clone()
    }

    /// A place, if one is free for this work.
    #[must_use]
    pub fn take(&self, work: Work) -> Option<Place> {
        let mut state = self.state();
        if state.taken.iter().sum::<usize>() >= self.inner.max || state.taken[work as usize] >= self.most() {
            state.refused[work as usize] = true;
            return None;
        }
        state.taken[work as usize] += 1;
        Some(Place { places: self.clone(), work, used: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All but one, as long as there is more than one.
const fn leaves_one(places: usize) -> usize {
    if places > 1 { places - 1 } else { places }
}

/// A place, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    work: Work,
    used: bool,
}

impl Place {
    /// Work began in it: when it ends, whoever waits is told. One that was only looked at wakes
    /// whoever was refused it meanwhile and nobody else, or looks would wake each other.
    #[must_use]
    pub fn begin(mut self) -> Self {
        self.used = true;
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.taken[self.work as usize] -= 1;
        let refused = std::mem::take(&mut state.refused);
        drop(state);
        for (nudge, refused) in self.places.inner.nudges.iter().zip(refused) {
            if self.used || refused {
                nudge.nudge();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take_all(places: &Places, work: Work) -> Vec<Place> {
        std::iter::from_fn(|| places.take(work)).collect()
    }

    #[test]
    fn the_kinds_share_the_places_and_each_leaves_one() {
        let places = Places::new(4);
        assert_eq!((places.most(), places.most_of_one()), (3, 2));
        let mut runs = take_all(&places, Work::Run);
        let answers = take_all(&places, Work::Answer);
        assert_eq!((runs.len(), answers.len()), (3, 1), "four in all");
        runs.pop();
        let more = take_all(&places, Work::Answer);
        assert_eq!((more.len(), take_all(&places, Work::Run).len()), (1, 0));
    }

    #[test]
    fn one_place_is_had_by_either() {
        let places = Places::new(0);
        assert_eq!((places.max(), places.most(), places.most_of_one()), (1, 1, 1));
        let run = take_all(&places, Work::Run);
        assert_eq!((run.len(), take_all(&places, Work::Answer).len()), (1, 0));
        drop(run);
        assert_eq!(take_all(&places, Work::Answer).len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_is_free_again_wakes_both() {
        let places = Places::new(2);
        drop(places.take(Work::Run).unwrap().begin());
        places.nudge(Work::Run).nudged().await;
        places.nudge(Work::Answer).nudged().await;
    }

    #[test]
    fn a_place_that_was_only_looked_at_wakes_whoever_was_refused_it_and_nobody_twice() {
        let places = Places::new(1);
        let woken = |work| places.nudge(work).nudged().now_or_never().is_some();
        drop(places.take(Work::Run));
        assert!(!woken(Work::Run) && !woken(Work::Answer), "nobody was refused");
        let look = places.take(Work::Run).unwrap();
        assert!(places.take(Work::Answer).is_none());
        drop(look);
        assert!(woken(Work::Answer) && !woken(Work::Run));
        drop(places.take(Work::Answer));
        assert!(!woken(Work::Answer) && !woken(Work::Run), "told once");
    }
}
