//! Memory for keys and values: pages of 16 positions, counted by their users, kept for reuse by prefix.
//!
//! A full page is published under the page before it and its 16 tokens. A later prompt with the same beginning takes
//! the page over instead of computing it again. The number of pages is fixed; when none is free, the published page
//! that was unused the longest is given up.

use std::collections::HashMap;

/// Positions of a page.
pub(crate) const PAGE: usize = 16;

/// The published page a page continues; the beginning of every prompt continues `ROOT`.
pub(crate) type Serial = u64;
pub(crate) const ROOT: Serial = 0;

type Key = (Serial, [u32; PAGE]);

#[derive(Debug)]
struct Slot {
    halves: Box<[u16]>,
    users: u32,
    published: Option<(Key, Serial)>,
    last_used: u64,
}

#[derive(Debug)]
pub(crate) struct Pages {
    /// Half-precision numbers of a page.
    size: usize,
    limit: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
    index: HashMap<Key, usize>,
    serials: Serial,
    clock: u64,
}

impl Pages {
    pub(crate) fn new(size: usize, limit: usize) -> Self {
        Self { size, limit, slots: Vec::new(), free: Vec::new(), index: HashMap::new(), serials: ROOT, clock: 0 }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn read(&self, page: usize) -> &[u16] {
        &self.slots[page].halves
    }

    pub(crate) fn write(&mut self, page: usize) -> &mut [u16] {
        &mut self.slots[page].halves
    }

    /// A page of one's own, or `None` when every page is in use.
    pub(crate) fn claim(&mut self) -> Option<usize> {
        let page = self.free.pop().or_else(|| self.grow()).or_else(|| self.evict())?;
        self.slots[page].users = 1;
        Some(page)
    }

    fn grow(&mut self) -> Option<usize> {
        (self.slots.len() < self.limit).then(|| {
            let halves = vec![0; self.size].into_boxed_slice();
            self.slots.push(Slot { halves, users: 0, published: None, last_used: 0 });
            self.slots.len() - 1
        })
    }

    fn evict(&mut self) -> Option<usize> {
        // Of pages last used together, the later part of the prefix goes first: without its beginning it is no use.
        let unused = self.slots.iter().enumerate().filter(|(_, slot)| slot.users == 0);
        let (page, _) =
            unused.min_by_key(|(_, slot)| (slot.last_used, std::cmp::Reverse(slot.published.map(|p| p.1))))?;
        if let Some((key, _)) = self.slots[page].published.take() {
            self.index.remove(&key);
        }
        Some(page)
    }

    /// The published pages that hold the beginning of `tokens`, now used once more, and the serial of the last.
    pub(crate) fn share(&mut self, tokens: &[u32]) -> (Vec<usize>, Serial) {
        self.clock += 1;
        let (mut pages, mut parent) = (Vec::new(), ROOT);
        for tokens in tokens.as_chunks::<PAGE>().0 {
            let Some(&page) = self.index.get(&(parent, *tokens)) else { break };
            let slot = &mut self.slots[page];
            slot.users += 1;
            slot.last_used = self.clock;
            parent = slot.published.map_or(parent, |(_, serial)| serial);
            pages.push(page);
        }
        (pages, parent)
    }

    /// Offers a full page to later prompts. Returns the serial under which the next page continues.
    pub(crate) fn publish(&mut self, page: usize, parent: Serial, tokens: [u32; PAGE]) -> Serial {
        let key = (parent, tokens);
        if let Some(known) = self.index.get(&key)
            && let Some((_, serial)) = self.slots[*known].published
        {
            return serial;
        }
        self.serials += 1;
        self.slots[page].published = Some((key, self.serials));
        self.index.insert(key, page);
        self.serials
    }

    /// Ends one use of each of `pages`.
    pub(crate) fn release(&mut self, pages: &[usize]) {
        self.clock += 1;
        for &page in pages {
            let slot = &mut self.slots[page];
            slot.users -= 1;
            slot.last_used = self.clock;
            if slot.users == 0 && slot.published.is_none() {
                self.free.push(page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(of: u32) -> [u32; PAGE] {
        std::array::from_fn(|i| of * 100 + i as u32)
    }

    #[test]
    fn a_prefix_is_shared_and_a_difference_ends_it() {
        let mut pages = Pages::new(4, 4);
        let (a, b) = (pages.claim().unwrap(), pages.claim().unwrap());
        let first = pages.publish(a, ROOT, tokens(1));
        pages.publish(b, first, tokens(2));
        pages.release(&[a, b]);

        let prompt = [tokens(1), tokens(2)].concat();
        assert_eq!(pages.share(&prompt).0, [a, b]);
        assert_eq!(pages.share(&prompt[..20]).0, [a]);
        assert!(pages.share(&tokens(2)).0.is_empty(), "the same tokens elsewhere are another prefix");
    }

    #[test]
    fn used_pages_stay_and_the_oldest_unused_goes() {
        let mut pages = Pages::new(4, 3);
        let held: Vec<usize> = (0..3).map(|_| pages.claim().unwrap()).collect();
        assert_eq!(pages.claim(), None, "every page is in use");
        for (&page, of) in held.iter().zip(1..) {
            pages.publish(page, ROOT, tokens(of));
        }
        pages.release(&held[1..2]);
        pages.release(&held[2..]);
        assert_eq!(pages.claim(), Some(held[1]));
        assert!(pages.share(&tokens(2)).0.is_empty(), "a page given up is no longer offered");
        assert_eq!(pages.share(&tokens(3)).0, [held[2]]);
    }

    proptest! {
        /// Random use never hands one page to two owners, and never exceeds the limit.
        #[test]
        fn pages_have_one_writer(steps in proptest::collection::vec((0u8..4, 0u32..6), 1..200)) {
            let mut pages = Pages::new(1, 5);
            let mut owned: Vec<(Vec<usize>, Serial)> = Vec::new();
            for (step, of) in steps {
                match step {
                    0 => owned.push(pages.share(&[tokens(of), tokens(of + 1)].concat())),
                    1 if !owned.is_empty() => {
                        let (held, _) = owned.remove(of as usize % owned.len());
                        pages.release(&held);
                    }
                    _ => if let Some(page) = pages.claim() {
                        prop_assert!(owned.iter().all(|(held, _)| !held.contains(&page)), "a page in use was claimed");
                        let serial = pages.publish(page, ROOT, tokens(of));
                        owned.push((vec![page], serial));
                    },
                }
                prop_assert!(pages.slots.len() <= 5);
                let used = pages.slots.iter().map(|slot| slot.users as usize).sum::<usize>();
                prop_assert_eq!(used, owned.iter().map(|(held, _)| held.len()).sum::<usize>());
            }
        }
    }
}
