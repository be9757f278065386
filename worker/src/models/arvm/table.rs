//! The empirical conditional q(k | site, context): counts of the tokens that
//! followed each context in training (science.md §1).
//!
//! Contexts are found by a 128-bit hash and verified against the stored ids.
//! The order is that of the hash, so that shards merge into the same table
//! whatever their order.

use std::collections::BTreeMap;
use std::path::Path;

use ablate_proto::failure::Failure;
use ablate_proto::stage::Tie;

use super::window::Windows;
use crate::data::arrays::{self, Array};

pub(crate) const FILE: &str = "counts.safetensors";

/// Two contexts with one hash: their counts cannot be told apart.
#[derive(Debug, thiserror::Error)]
#[error("two contexts have the hash {0:032x}")]
pub(crate) struct Collision(u128);

impl From<Collision> for Failure {
    fn from(error: Collision) -> Self {
        Self::bug(format!("counting contexts: {error}"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Zero when sites share their conditionals.
    pub(crate) site: u32,
    pub(crate) context: Vec<i32>,
    /// Token id → count, at least one.
    pub(crate) counts: BTreeMap<u32, u32>,
}

impl Entry {
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().map(|c| u64::from(*c)).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    per_site: bool,
    entries: BTreeMap<u128, Entry>,
}

impl Table {
    pub(crate) fn new(tie: Tie) -> Self {
        Self {
            per_site: tie == Tie::PerSite,
            entries: BTreeMap::new(),
        }
    }

    /// Counts grids of ids.
    ///
    /// # Errors
    /// When two contexts collide.
    pub(crate) fn count<'a>(
        tie: Tie,
        windows: &Windows,
        grids: impl Iterator<Item = &'a [i32]>,
    ) -> Result<Self, Collision> {
        let mut table = Self::new(tie);
        for ids in grids {
            for (site, id) in ids.iter().enumerate() {
                table.add(site, &windows.context(ids, site), id.unsigned_abs(), 1)?;
            }
        }
        Ok(table)
    }

    fn key(&self, site: usize, context: &[i32]) -> (u32, u128) {
        let site = if self.per_site { site } else { 0 };
        let site = u32::try_from(site).unwrap_or(u32::MAX);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&site.to_le_bytes());
        for id in context {
            hasher.update(&id.to_le_bytes());
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        (site, u128::from_be_bytes(bytes))
    }

    fn add(
        &mut self,
        site: usize,
        context: &[i32],
        token: u32,
        count: u32,
    ) -> Result<(), Collision> {
        let (site, key) = self.key(site, context);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            site,
            context: context.to_vec(),
            counts: BTreeMap::new(),
        });
        if entry.site != site || entry.context != context {
            return Err(Collision(key));
        }
        *entry.counts.entry(token).or_insert(0) += count;
        Ok(())
    }

    /// What followed a context, if it was seen.
    pub(crate) fn get(&self, site: usize, context: &[i32]) -> Option<&Entry> {
        let (site, key) = self.key(site, context);
        let entry = self.entries.get(&key)?;
        (entry.site == site && entry.context == context).then_some(entry)
    }

    pub(crate) fn tie(&self) -> Tie {
        match self.per_site {
            true => Tie::PerSite,
            false => Tie::Shared,
        }
    }

    /// Whether every token that it names has an id below `k`.
    pub(crate) fn names_up_to(&self, k: usize) -> bool {
        let known = |id: i64| (-1..k as i64).contains(&id);
        self.entries().all(|entry| {
            entry.context.iter().all(|id| known((*id).into()))
                && entry.counts.keys().all(|id| known((*id).into()))
        })
    }

    /// Adds the counts of another shard.
    ///
    /// # Errors
    /// When two contexts collide.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Collision> {
        for entry in other.entries.into_values() {
            for (token, count) in entry.counts {
                self.add(entry.site as usize, &entry.context, token, count)?;
            }
        }
        Ok(())
    }

    /// The table of contexts with only the `keep` nearest slots.
    ///
    /// # Errors
    /// When two contexts collide.
    pub(crate) fn truncated(&self, keep: usize) -> Result<Self, Collision> {
        let mut table = Self {
            per_site: self.per_site,
            entries: BTreeMap::new(),
        };
        for entry in self.entries.values() {
            for (token, count) in &entry.counts {
                let context = &entry.context[..keep];
                table.add(entry.site as usize, context, *token, *count)?;
            }
        }
        Ok(table)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// Σ of all counts: images × sites.
    pub(crate) fn total(&self) -> u64 {
        self.entries.values().map(Entry::total).sum()
    }

    /// H(q): the mean entropy of what follows a context, in nats a token. No
    /// prior with these windows finds the training tokens more likely.
    pub(crate) fn entropy(&self) -> f64 {
        let all = self.total() as f64;
        let of_entry = |entry: &Entry| {
            let total = entry.total() as f64;
            let counts = entry.counts.values().map(|c| f64::from(*c));
            counts.map(|c| c / all * (total / c).ln()).sum::<f64>()
        };
        self.entries.values().map(of_entry).sum()
    }

    /// Writes the table as CSR, sorted by key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, folder: &Path, slots: usize) -> Result<(), Failure> {
        let mut offsets = vec![0u32];
        let (mut sites, mut contexts) = (Vec::new(), Vec::new());
        let (mut tokens, mut counts) = (Vec::new(), Vec::new());
        for entry in self.entries.values() {
            sites.push(entry.site);
            contexts.extend_from_slice(&entry.context);
            tokens.extend(entry.counts.keys().copied());
            counts.extend(entry.counts.values().copied());
            let end = u32::try_from(tokens.len())
                .map_err(|_| Failure::config("more than 2^32 counts cannot be stored"))?;
            offsets.push(end);
        }
        let n = sites.len();
        let arrays = BTreeMap::from([
            ("sites".to_owned(), Array::u32(&[n], sites)),
            ("contexts".to_owned(), Array::i32(&[n, slots], contexts)),
            ("offsets".to_owned(), Array::u32(&[n + 1], offsets)),
            ("tokens".to_owned(), Array::u32(&[tokens.len()], tokens)),
            ("counts".to_owned(), Array::u32(&[counts.len()], counts)),
        ]);
        Ok(arrays::write(&folder.join(FILE), &self.per_site, &arrays)?)
    }

    /// # Errors
    /// When the file is absent, broken, or of windows of another size.
    pub(crate) fn read(folder: &Path, slots: usize) -> Result<Self, Failure> {
        let (per_site, mut file) = arrays::read::<bool>(&folder.join(FILE))?;
        let ([n], sites) = file.u32("sites")?;
        let ([rows, width], contexts) = file.i32("contexts")?;
        let ([ends], offsets) = file.u32("offsets")?;
        let ([nnz], tokens) = file.u32("tokens")?;
        let ([pairs], counts) = file.u32("counts")?;
        let ordered = offsets.is_sorted() && offsets.first() == Some(&0);
        let whole = offsets.last().is_some_and(|end| *end as usize == nnz);
        if rows != n || width != slots || ends != n + 1 || pairs != nnz || !ordered || !whole {
            return Err(file.wrong("its arrays do not fit together").into());
        }
        let mut table = Self {
            per_site,
            entries: BTreeMap::new(),
        };
        for (row, site) in sites.iter().enumerate() {
            let context = &contexts[row * slots..(row + 1) * slots];
            for at in offsets[row] as usize..offsets[row + 1] as usize {
                table.add(*site as usize, context, tokens[at], counts[at])?;
            }
        }
        file.finish()?;
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::Window;
    use proptest::prelude::*;

    use super::*;

    fn grids() -> impl Strategy<Value = Vec<Vec<i32>>> {
        proptest::collection::vec(proptest::collection::vec(0..5i32, 9), 1..12)
    }

    fn count(tie: Tie, windows: &Windows, grids: &[Vec<i32>]) -> Table {
        Table::count(tie, windows, grids.iter().map(Vec::as_slice)).unwrap()
    }

    fn tie(shared: bool) -> Tie {
        if shared { Tie::Shared } else { Tie::PerSite }
    }

    proptest! {
        #[test]
        fn counts_sum_to_images_times_sites(grids in grids(), gamma in 0usize..3, shared: bool) {
            let windows = Windows::new(Window::Square, 2 * gamma + 1, 3);
            let table = count(tie(shared), &windows, &grids);
            prop_assert_eq!(table.total(), 9 * grids.len() as u64);
            for keep in 0..=windows.slots() {
                prop_assert_eq!(table.truncated(keep).unwrap().total(), table.total());
            }
        }

        #[test]
        fn merged_shards_are_the_single_pass(grids in grids(), cut: prop::sample::Index, shared: bool) {
            let windows = Windows::new(Window::Square, 3, 3);
            let (a, b) = grids.split_at(cut.index(grids.len() + 1));
            let whole = count(tie(shared), &windows, &grids);
            let (a, b) = (count(tie(shared), &windows, a), count(tie(shared), &windows, b));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(b).unwrap();
            ba.merge(a).unwrap();
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
        }

        #[test]
        fn files_give_the_table_back(grids in grids()) {
            let windows = Windows::new(Window::Square, 3, 3);
            let table = count(Tie::PerSite, &windows, &grids);
            let folder = tempfile::tempdir().unwrap();
            table.write(folder.path(), windows.slots()).unwrap();
            prop_assert_eq!(Table::read(folder.path(), windows.slots()).unwrap(), table);
            prop_assert!(Table::read(folder.path(), 5).is_err());
        }
    }
}
