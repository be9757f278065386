//! Counts that tasks of their own make, whole or in shards, give the prior
//! that counts itself.

use ablate_proto::stage::{CountSpec, Prior, Tie};

use super::*;

fn counting(tie: Tie) -> CountSpec {
    CountSpec {
        gamma: 3,
        tie,
        ..CountSpec::default()
    }
}

#[test]
fn a_prior_of_known_counts_is_that_without_to_the_last_bit() {
    let bench = prepared();
    let codes = [("codes", "codes")];
    let with = [("codes", "codes"), ("counts", "counts")];
    for tie in [Tie::PerSite, Tie::Shared] {
        let whole = bench.run("counts", counting(tie), &codes);
        // More shards than images: some are empty.
        for shards in [2, 5, 20] {
            let cut = StageSpec::from(counting(tie)).in_shards(shards, false);
            let cut = cut.unwrap();
            let mut inputs = vec![("codes".to_owned(), "codes".to_owned())];
            for (i, shard) in cut.shards.into_iter().enumerate() {
                let name = format!("shard {i}");
                bench.run(&name, shard, &codes);
                inputs.push((format!("shard.{i}"), name));
            }
            let inputs: Vec<(&str, &str)> = inputs.iter().map(|(r, n)| (&**r, &**n)).collect();
            assert_eq!(bench.run("merged", cut.whole, &inputs), whole);
            assert!(bench.bytes("merged") == bench.bytes("counts"), "{shards}");
        }
        for (prior, head) in [
            (Prior::Net, Head::Codebook),
            (Prior::Net, Head::Bits),
            (Prior::Table, Head::Auto),
        ] {
            let spec = ArvmSpec {
                tie,
                prior,
                head,
                ..small_arvm()
            };
            let expected = bench.run("plain", spec.clone(), &codes);
            assert_eq!(expected.get("contexts"), whole.get("contexts"));
            assert_eq!(bench.run("known", spec, &with), expected);
            assert!(bench.bytes("known") == bench.bytes("plain"));
        }
    }
}

#[test]
fn counts_of_other_tokens_windows_or_ties_are_refused() {
    let bench = prepared();
    let codes = [("codes", "codes")];
    let few = DatasetSpec {
        images: 11,
        ..small_data()
    };
    bench.run("fewer", few, &[]);
    let inputs = [("data", "fewer"), ("encoder", "ae")];
    bench.run("other codes", EncodeSpec::default(), &inputs);
    let own = counting(Tie::PerSite);
    bench.run("fewer tokens", own.clone(), &[("codes", "other codes")]);
    bench.run("shared", counting(Tie::Shared), &codes);
    let wider = CountSpec { gamma: 5, ..own };
    bench.run("wider", wider, &codes);
    let part = CountSpec { parts: 2, ..own };
    bench.run("part", part, &codes);
    for (counts, word) in [
        ("fewer tokens", "tokens of 12 images"),
        ("shared", "tokens of 12 images"),
        ("part", "tokens of 12 images"),
        ("wider", "do not fit together"),
        ("codes", "counts.safetensors"),
    ] {
        let inputs = [("codes", "codes"), ("counts", counts)];
        let refused = execute(bench.job("refused", small_arvm(), &inputs), None);
        let refused = refused.result.unwrap_err();
        assert!(refused.cause.contains(word), "{counts}: {refused:?}");
    }
    let inputs = [
        ("codes", "codes"),
        ("shard.0", "part"),
        ("shard.1", "shared"),
    ];
    let refused = execute(bench.job("refused", own, &inputs), None);
    let refused = refused.result.unwrap_err();
    assert!(refused.cause.contains("tie PerSite"), "{refused:?}");
}
