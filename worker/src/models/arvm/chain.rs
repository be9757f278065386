//! The bit-chain head (science.md §1, Codebook): a token's bits one at a time,
//! the most significant first, each a Bernoulli given the context and the bits
//! before it.
//!
//! Tokens that begin alike are neighbours in a sorted list. So the counts of q
//! under a key that is extended by the bits so far are differences of
//! cumulated counts, and need no table of their own.

use super::table::{Entry, Table};

/// A bit of a token, given those above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Those above are the token's; the rest does not matter.
    pub(crate) token: u32,
    /// From NoD − 1 down to 0.
    pub(crate) bit: usize,
}

impl Asked {
    /// The token so far, with zeros below.
    fn start(self) -> u64 {
        u64::from(self.token) >> self.bit >> 1 << 1 << self.bit
    }

    /// Whether it stands above the bit that is asked for.
    pub(crate) fn knows(self, bit: usize) -> bool {
        bit > self.bit
    }
}

/// What followed one context: sorted tokens, and how often one up to each.
struct Counts<'a> {
    tokens: &'a [u32],
    upto: &'a [u64],
}

impl Counts<'_> {
    fn below(&self, token: u64) -> u64 {
        match self.tokens.partition_point(|t| u64::from(*t) < token) {
            0 => 0,
            at => self.upto[at - 1],
        }
    }

    /// How often the bit was 0, and 1.
    fn of(&self, asked: Asked) -> [u64; 2] {
        let (start, half) = (asked.start(), 1 << asked.bit);
        let [a, b, c] = [start, start + half, start + 2 * half].map(|t| self.below(t));
        [b - a, c - b]
    }
}

/// What followed the contexts of a table, in its order, for every bit of every
/// token.
pub(crate) struct Chains {
    bits: usize,
    /// Where the tokens of each context begin, and where the last end.
    starts: Vec<usize>,
    tokens: Vec<u32>,
    upto: Vec<u64>,
}

impl Chains {
    pub(crate) fn of_table(table: &Table, codebook: &[u32], bits: usize) -> Self {
        Self::of_entries(table.entries(), codebook, bits)
    }

    pub(crate) fn of_entry(entry: &Entry, codebook: &[u32], bits: usize) -> Self {
        Self::of_entries(std::iter::once(entry), codebook, bits)
    }

    fn of_entries<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        codebook: &[u32],
        bits: usize,
    ) -> Self {
        let (mut starts, mut tokens, mut upto) = (vec![0], Vec::new(), Vec::new());
        for entry in entries {
            let mut total = 0;
            // Ids are in the order of the tokens.
            for (id, count) in &entry.counts {
                total += u64::from(*count);
                tokens.push(codebook[*id as usize]);
                upto.push(total);
            }
            starts.push(tokens.len());
        }
        Self {
            bits,
            starts,
            tokens,
            upto,
        }
    }

    fn context(&self, context: usize) -> Counts<'_> {
        let tokens = self.starts[context]..self.starts[context + 1];
        Counts {
            tokens: &self.tokens[tokens.clone()],
            upto: &self.upto[tokens],
        }
    }

    /// Bits of all tokens of all contexts.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() * self.bits
    }

    /// The context of one of them, and what is asked of it.
    pub(crate) fn asked(&self, index: usize) -> (usize, Asked) {
        let (place, bit) = (index / self.bits, index % self.bits);
        let context = self.starts.partition_point(|start| *start <= place) - 1;
        let token = self.tokens[place];
        (context, Asked { token, bit })
    }

    /// How often the token of one of them followed its context.
    pub(crate) fn count(&self, index: usize) -> u64 {
        let place = index / self.bits;
        let (context, _) = self.asked(index);
        let before = match place == self.starts[context] {
            true => 0,
            false => self.upto[place - 1],
        };
        self.upto[place] - before
    }

    /// How often the bit was 0, and 1, after a context.
    pub(crate) fn counts(&self, context: usize, asked: Asked) -> [u64; 2] {
        self.context(context).of(asked)
    }
}

/// 1 in proportion to its weight.
pub(crate) fn one([zero, one]: [f64; 2], unit: f64) -> u32 {
    u32::from(unit * (zero + one) >= zero)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(counts: &BTreeMap<u32, u32>) -> (Vec<u32>, Entry) {
        let codebook: Vec<u32> = counts.keys().copied().collect();
        let entry = Entry {
            site: 0,
            context: Vec::new(),
            counts: (0..).zip(counts.values().copied()).collect(),
        };
        (codebook, entry)
    }

    /// The probability of a token: the product of those of its bits.
    fn chained(chains: &Chains, bits: usize, token: u32) -> f64 {
        let mut all = 1.0;
        for bit in (0..bits).rev() {
            let counts = chains.counts(0, Asked { token, bit });
            let own = counts[(token >> bit & 1) as usize];
            if own == 0 {
                return 0.0;
            }
            all *= own as f64 / (counts[0] + counts[1]) as f64;
        }
        all
    }

    proptest! {
        /// Sampling from q by the chain of bits has the distribution that it
        /// has by the codebook.
        #[test]
        fn a_chain_of_bits_has_the_probabilities_of_the_counts(
            counts in proptest::collection::btree_map(0u32..32, 1u32..9, 1..12),
        ) {
            let (codebook, entry) = entry(&counts);
            let chains = Chains::of_entry(&entry, &codebook, 5);
            let total = entry.total() as f64;
            for token in 0..32 {
                let expected = counts.get(&token).map_or(0.0, |c| f64::from(*c) / total);
                let found = chained(&chains, 5, token);
                prop_assert!((found - expected).abs() < 1e-12, "{token}: {found} {expected}");
            }
            let of_tokens: u64 = (0..chains.len()).step_by(5).map(|i| chains.count(i)).sum();
            prop_assert_eq!(of_tokens, entry.total());
        }

        #[test]
        fn only_tokens_that_followed_are_drawn(
            counts in proptest::collection::btree_map(any::<u32>(), 1u32..5, 1..6),
            units in proptest::collection::vec(0f64..1.0, 32),
        ) {
            let (codebook, entry) = entry(&counts);
            let chains = Chains::of_entry(&entry, &codebook, 32);
            let mut units = units.into_iter();
            let draw = |token: u32, bit: usize| {
                let counts = chains.counts(0, Asked { token, bit });
                token | one(counts.map(|c| c as f64), units.next().unwrap()) << bit
            };
            let token = (0..32).rev().fold(0, draw);
            prop_assert!(counts.contains_key(&token), "{token} never followed");
        }
    }

    #[test]
    fn every_bit_of_every_token_is_asked_once() {
        let of = |tokens: &[u32]| {
            let counts: BTreeMap<u32, u32> = tokens.iter().map(|t| (*t, 1)).collect();
            entry(&counts).1
        };
        // Ids 0 and 1 of the codebook 4, 7.
        let entries = [of(&[4, 7]), of(&[4])];
        let chains = Chains::of_entries(entries.iter(), &[4, 7], 3);
        assert_eq!(chains.len(), 9);
        let asked: Vec<_> = (0..9).map(|i| chains.asked(i)).collect();
        let (context, last) = asked[8];
        assert_eq!((context, last), (1, Asked { token: 4, bit: 2 }));
        assert_eq!(asked[4], (0, Asked { token: 7, bit: 1 }));
        assert_eq!(chains.counts(0, asked[4].1), [1, 1]);
        assert_eq!(chains.counts(0, Asked { token: 7, bit: 0 }), [0, 1]);
        assert_eq!(one([1.0, 0.0], 0.999), 0);
        assert_eq!(one([0.0, 1.0], 0.0), 1);
    }
}
