use std::collections::BTreeSet;

use ablate_proto::stage::{Tie, Window};
use proptest::prelude::*;

use super::*;
use crate::data::tokens::Tokens;

fn arch(side: usize, gamma: usize, prior: Prior, unseen: Unseen, tie: Tie) -> Arch {
    Arch {
        side,
        bits: 2,
        gamma,
        window: Window::Square,
        tie,
        prior,
        unseen,
        hidden: vec![6],
        codebook: vec![0, 1, 3],
        bit_chain: false,
    }
}

fn prior(arch: Arch, grids: &[Vec<i32>]) -> Arvm {
    let windows = arch.windows();
    let table = Table::count(arch.tie, &windows, grids.iter().map(Vec::as_slice)).unwrap();
    Arvm::fresh(arch, table, 1).unwrap()
}

/// Twelve random grids of 3×3.
fn some_grids() -> Vec<Vec<i32>> {
    let grid = |i| {
        let mut rng = stream(0, "grids", i);
        (0..9)
            .map(|_| i32::try_from(rng.below(3)).unwrap())
            .collect()
    };
    (0..12).map(grid).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A hard invariant: the table under a global window returns training
    /// grids only, whatever they are.
    #[test]
    fn the_table_under_a_global_window_copies(
        grids in proptest::collection::vec(proptest::collection::vec(0..3i32, 9), 1..20),
        extra in 0usize..2,
        shared: bool,
        bit_chain: bool,
    ) {
        let tie = if shared { Tie::Shared } else { Tie::PerSite };
        let arch = arch(3, 5 + 2 * extra, Prior::Table, Unseen::Net, tie);
        let arch = Arch { bit_chain, ..arch };
        let model = prior(arch, &grids);
        let drawn = Sampler::new(&model, 1.0).draw(4, 0..40).unwrap();
        let known: BTreeSet<Vec<i32>> = grids.into_iter().collect();
        let ids = model.arch.ids(&drawn.tokens);
        prop_assert!(ids.chunks_exact(9).all(|grid| known.contains(grid)));
        prop_assert_eq!(drawn.unseen, 0);
    }
}

/// Priors of every kind with every head.
fn every_head(unseen: Unseen) -> impl Iterator<Item = Arvm> {
    let kinds = [Prior::Table, Prior::Net].into_iter();
    let heads = kinds.flat_map(|kind| [false, true].map(|bit_chain| (kind, bit_chain)));
    heads.map(move |(kind, bit_chain)| {
        let arch = arch(3, 3, kind, unseen, Tie::PerSite);
        prior(Arch { bit_chain, ..arch }, &some_grids())
    })
}

#[test]
fn images_do_not_depend_on_the_shard_that_draws_them() {
    for model in every_head(Unseen::Backoff) {
        let sampler = Sampler::new(&model, 0.8);
        let whole = sampler.draw(9, 0..10).unwrap();
        let part = sampler.draw(9, 6..10).unwrap();
        assert_eq!(whole.tokens[6 * 9..], part.tokens);
        assert_ne!(
            whole.tokens,
            sampler.draw(8, 0..10).unwrap().tokens,
            "another seed"
        );
    }
}

#[test]
fn every_policy_answers_for_unseen_contexts() {
    for unseen in [Unseen::Net, Unseen::Backoff, Unseen::Uniform] {
        for model in every_head(unseen) {
            let drawn = Sampler::new(&model, 3.0).draw(2, 0..50).unwrap();
            let Arch {
                prior, bit_chain, ..
            } = &model.arch;
            assert!(drawn.unseen > 0, "{prior:?} {unseen:?} {bit_chain}");
            let known = model.arch.ids(&drawn.tokens);
            let known = known.iter().all(|id| (0..3).contains(id));
            // A codebook has no other token; bits make the fourth as well.
            let new = *bit_chain && (*prior == Prior::Net || unseen == Unseen::Uniform);
            assert_eq!(known, !new, "{prior:?} {unseen:?} {bit_chain}");
            let tokens = Tokens {
                n: 50,
                side: 3,
                bits: 2,
                data: drawn.tokens,
            };
            assert_eq!(model.unseen(&tokens), drawn.unseen);
        }
    }
}

/// Both heads draw from one distribution: shares of many tokens at a site.
#[test]
fn bits_have_the_shares_that_the_codebook_has() {
    let arch = arch(3, 3, Prior::Table, Unseen::Net, Tie::PerSite);
    let share = |bit_chain| {
        let arch = Arch {
            bit_chain,
            ..arch.clone()
        };
        let model = prior(arch, &some_grids());
        let drawn = Sampler::new(&model, 1.0).draw(5, 0..4000).unwrap();
        let first = drawn.tokens.iter().step_by(9);
        [0, 1, 3].map(|token| first.clone().filter(|t| **t == token).count() as f64 / 4000.0)
    };
    for (codebook, bits) in share(false).into_iter().zip(share(true)) {
        assert!((codebook - bits).abs() < 0.04, "{codebook} {bits}");
    }
}

/// science.md §3.2: NoD 8, K 256, sites of their own on 4×4, 512 twice.
#[test]
fn networks_have_the_sizes_of_the_specification() {
    for (gamma, expected) in [(3, 421_120), (5, 457_984), (7, 513_280)] {
        let arch = Arch {
            bits: 8,
            hidden: vec![512, 512],
            codebook: (0..256).collect(),
            ..arch(4, gamma, Prior::Net, Unseen::Net, Tie::PerSite)
        };
        let count: usize = arch.plans().iter().map(|plan| plan.parameters()).sum();
        assert_eq!(count, expected);
    }
}
