use std::collections::BTreeSet;

use ablate_proto::stage::{Tie, Window};
use proptest::prelude::*;

use super::*;

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
    ) {
        let tie = if shared { Tie::Shared } else { Tie::PerSite };
        let arch = arch(3, 5 + 2 * extra, Prior::Table, Unseen::Net, tie);
        let model = prior(arch, &grids);
        let drawn = Sampler::new(&model, 1.0).draw(4, 0, 40).unwrap();
        let known: BTreeSet<&[i32]> = grids.iter().map(Vec::as_slice).collect();
        prop_assert!(drawn.ids.chunks_exact(9).all(|grid| known.contains(grid)));
        prop_assert_eq!(drawn.unseen, 0);
    }
}

#[test]
fn images_do_not_depend_on_the_shard_that_draws_them() {
    for kind in [Prior::Table, Prior::Net] {
        let model = prior(
            arch(3, 3, kind, Unseen::Backoff, Tie::PerSite),
            &some_grids(),
        );
        let sampler = Sampler::new(&model, 0.8);
        let whole = sampler.draw(9, 0, 10).unwrap();
        let part = sampler.draw(9, 6, 4).unwrap();
        assert_eq!(whole.ids[6 * 9..], part.ids);
        assert_ne!(
            whole.ids,
            sampler.draw(8, 0, 10).unwrap().ids,
            "another seed"
        );
    }
}

#[test]
fn every_policy_answers_for_unseen_contexts() {
    for kind in [Prior::Table, Prior::Net] {
        for unseen in [Unseen::Net, Unseen::Backoff, Unseen::Uniform] {
            let model = prior(arch(3, 3, kind, unseen, Tie::PerSite), &some_grids());
            let drawn = Sampler::new(&model, 3.0).draw(2, 0, 50).unwrap();
            assert!(drawn.ids.iter().all(|id| (0..3).contains(id)));
            assert!(drawn.unseen > 0, "{kind:?} {unseen:?}");
        }
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
