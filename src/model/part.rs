//! A part of a list that may be long.

/// Items of one part, unless fewer are asked for.
pub const ITEMS_DEFAULT: u32 = 200;
/// Most items of one part.
pub const ITEMS_MAX: u32 = 500;

/// Which part of a list: `limit` items from after the one named on, in the list's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<I> {
    /// The last item of the part before; `None` = from the start. After one that is not there, nothing comes.
    pub after: Option<I>,
    /// Most items.
    pub limit: u32,
}

impl<I> Part<I> {
    /// The part after an item, of `limit` items if that is given and allowed.
    #[must_use]
    pub fn new(after: Option<I>, limit: Option<u32>) -> Self {
        Self { after, limit: limit.unwrap_or(ITEMS_DEFAULT).clamp(1, ITEMS_MAX) }
    }

    /// The item after which the next part begins; `None` when this one, whose items are given, was not full.
    #[must_use]
    pub fn next<T>(&self, items: &[T], id: impl Fn(&T) -> I) -> Option<I> {
        items.last().filter(|_| items.len() >= self.limit as usize).map(id)
    }
}

impl<I> Default for Part<I> {
    fn default() -> Self {
        Self::new(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_bounds_and_says_where_the_next_begins() {
        assert_eq!([None, Some(0), Some(7), Some(9_999)].map(|limit| Part::<u8>::new(None, limit).limit), [200, 1, 7, 500]);
        let part = Part::new(Some(1), Some(2));
        assert_eq!((part.next(&[2, 3], |item| *item), part.next(&[2], |item| *item), part.next(&[], |item| *item)), (Some(3), None, None));
    }
}
