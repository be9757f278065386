//! Likelihoods of tokens.

use std::f64::consts::LN_2;

use ablate_proto::stage::{Head, LikelihoodSpec, Part, Prior, Unseen};

use super::*;

const BOTH: [(&str, &str); 3] = [
    ("prior", "prior"),
    ("codes", "codes"),
    ("held_out", "unseen"),
];

/// [`prepared`], and the codes of the held-out images.
fn with_unseen() -> Bench {
    let bench = prepared();
    let spec = EncodeSpec {
        from: Part::HeldOut,
    };
    bench.run("unseen", spec, &[("data", "data"), ("encoder", "ae")]);
    bench
}

/// The training loss of γ-ARVM is the cross-entropy less its floor.
#[test]
fn the_divergence_is_what_is_above_the_floor() {
    let bench = with_unseen();
    for head in [Head::Codebook, Head::Bits] {
        let spec = ArvmSpec {
            head,
            ..small_arvm()
        };
        let trained = bench.run("prior", spec, &[("codes", "codes")]);
        let measured = bench.run("measured", LikelihoodSpec {}, &BOTH);
        let above = measured.get("nll_train") - measured.get("nll_floor");
        let kl = trained.get("kl") / (3.0 * LN_2);
        assert!(
            kl > 0.01 && (above - kl).abs() < 1e-5,
            "{head:?}: {above} {kl}"
        );
        assert!(measured.get("nll_held_out_possible").is_finite());
        // Bits put out every token.
        if head == Head::Bits {
            let both = ["nll_held_out", "nll_held_out_possible"].map(|name| measured.get(name));
            assert!((both[0] - both[1]).abs() < 1e-12, "{both:?}");
            assert_eq!(measured.get("impossible_token_rate"), 0.0);
        }
    }
}

#[test]
fn counts_are_their_own_floor_with_either_head() {
    let bench = with_unseen();
    let mut rows = Vec::new();
    for head in [Head::Codebook, Head::Bits] {
        let spec = ArvmSpec {
            head,
            prior: Prior::Table,
            unseen: Unseen::Backoff,
            ..small_arvm()
        };
        bench.run("prior", spec, &[("codes", "codes")]);
        let measured = bench.run("measured", LikelihoodSpec {}, &BOTH);
        let above = measured.get("nll_train") - measured.get("nll_floor");
        assert!(above.abs() < 1e-12, "{above}");
        rows.push(measured);
    }
    assert_eq!(rows[0], rows[1], "by the chain rule");
    let impossible = rows[0].get("impossible_token_rate");
    assert!(impossible > 0.0, "{impossible}");
    let all = rows[0].0.iter().find(|row| row.name == "nll_held_out");
    let note = all.and_then(|row| row.note.clone()).unwrap();
    assert!(note.contains("never drawn"), "{note}");
}

/// The curve of the training is the mean over the same tokens, in nats.
#[test]
fn a_pixelcnn_is_measured_as_it_is_trained() {
    let bench = with_unseen();
    let trained = bench.run("prior", models::pixelcnn(), &[("codes", "codes")]);
    let measured = bench.run("measured", LikelihoodSpec {}, &BOTH);
    let nats = measured.get("nll_train") * 3.0 * LN_2;
    assert!((nats - trained.get("nll")).abs() < 1e-5, "{nats}");
    assert!(measured.get("nll_floor") < measured.get("nll_train"));
    let alone = bench.run("alone", LikelihoodSpec {}, &BOTH[..2]);
    assert_eq!(alone.get("nll_train"), measured.get("nll_train"));
    let skipped = alone.0.iter().find(|row| row.name == "nll_gap").unwrap();
    assert!(skipped.value.is_none(), "{skipped:?}");
}

#[test]
fn tokens_of_another_size_are_refused() {
    let bench = with_unseen();
    bench.run("prior", small_arvm(), &[("codes", "codes")]);
    let spec = AutoencoderSpec {
        latent_channels: 4,
        ..small_autoencoder()
    };
    bench.run("other", spec, &[("data", "data")]);
    let inputs = [("data", "data"), ("encoder", "other")];
    bench.run("others", EncodeSpec::default(), &inputs);
    let inputs = [
        ("prior", "prior"),
        ("codes", "codes"),
        ("held_out", "others"),
    ];
    let refused = execute(bench.job("refused", LikelihoodSpec {}, &inputs), None);
    let cause = refused.result.unwrap_err().cause;
    assert!(
        cause.contains("`held_out`") && cause.contains("4 bits"),
        "{cause}"
    );
    let none = DatasetSpec {
        held_out: 0,
        ..small_data()
    };
    bench.run("none", none, &[]);
    let spec = EncodeSpec {
        from: Part::HeldOut,
    };
    let job = bench.job("nothing", spec, &[("data", "none"), ("encoder", "ae")]);
    let cause = execute(job, None).result.unwrap_err().cause;
    assert!(cause.contains("keeps no images back"), "{cause}");
}
