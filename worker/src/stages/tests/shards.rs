//! What shards leave, put together, is what the stage leaves in one piece.

use ablate_proto::stage::{GatherSpec, GenerateSpec, Head, Nearness, NeighboursSpec, Prior};
use proptest::prelude::*;

use super::*;

/// Models to draw from, each with the stage that draws and its inputs.
fn drawing(bench: &Bench) -> Vec<(StageSpec, Vec<(&'static str, &'static str)>)> {
    bench.run("arvm", small_arvm(), &[("codes", "codes")]);
    let bits = ArvmSpec {
        head: Head::Bits,
        ..small_arvm()
    };
    bench.run("bits", bits, &[("codes", "codes")]);
    bench.run("pixelcnn", models::pixelcnn(), &[("codes", "codes")]);
    bench.run("gan", models::gan(), &[("data", "data")]);
    bench.run("diffusion", models::diffusion(), &[("data", "data")]);
    let sample = |prior| {
        let spec = SampleSpec::default().into();
        (spec, vec![("prior", prior), ("decoder", "ae")])
    };
    let generate = |model| (GenerateSpec::default().into(), vec![("model", model)]);
    vec![
        sample("arvm"),
        sample("bits"),
        sample("pixelcnn"),
        generate("gan"),
        generate("diffusion"),
    ]
}

fn of_count(spec: &StageSpec, count: usize) -> StageSpec {
    let mut parameters = spec.parameters();
    parameters.insert("count".to_owned(), count.into());
    StageSpec::build(spec.kind(), &parameters).unwrap()
}

/// Runs a stage in shards, and what gathers them as `gathered`.
fn in_shards(
    bench: &Bench,
    spec: &StageSpec,
    inputs: &[(&str, &str)],
    shards: usize,
) -> (Metrics, Vec<String>) {
    let cut = spec.in_shards(shards, false).unwrap();
    let names: Vec<String> = (0..shards).map(|i| format!("shard {i}")).collect();
    for (name, shard) in names.iter().zip(cut.shards) {
        bench.run(name, shard, inputs);
    }
    let roles: Vec<String> = (0..shards).map(|i| format!("shard.{i}")).collect();
    let of_shards = roles.iter().zip(&names);
    let of_shards = of_shards.map(|(role, name)| (role.as_str(), name.as_str()));
    let prior = inputs.iter().filter(|(role, _)| *role == "prior").copied();
    let inputs: Vec<(&str, &str)> = prior.chain(of_shards).collect();
    (bench.run("gathered", cut.whole, &inputs), names)
}

#[test]
fn samples_do_not_depend_on_the_number_of_shards() {
    let bench = prepared();
    let drawing = drawing(&bench);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(10));
    let cases = (0..drawing.len(), 129usize..400, 2usize..=4);
    let each = |(which, count, shards): (usize, usize, usize)| {
        let (spec, inputs) = &drawing[which];
        let spec = of_count(spec, count);
        let shards = shards.min(count.div_ceil(128));
        let whole = bench.run("whole", spec.clone(), inputs);
        let (gathered, _) = in_shards(&bench, &spec, inputs, shards);
        prop_assert_eq!(whole, gathered);
        prop_assert!(bench.bytes("whole") == bench.bytes("gathered"));
        Ok(())
    };
    runner.run(&cases, each).unwrap();
}

#[test]
fn evaluations_do_not_depend_on_the_number_of_shards() {
    let bench = prepared();
    bench.run("arvm", small_arvm(), &[("codes", "codes")]);
    let inputs = [("prior", "arvm"), ("decoder", "ae")];
    let spec = of_count(&SampleSpec::default().into(), 300);
    let (_, drawn) = in_shards(&bench, &spec, &inputs, 3);
    for nearest in [Nearness::Psnr, Nearness::Ssim] {
        let spec = EvaluateSpec {
            nearest,
            ..EvaluateSpec::default()
        };
        let inputs = [
            ("data", "data"),
            ("samples", "gathered"),
            ("codes", "codes"),
            ("encoder", "ae"),
        ];
        let whole = bench.run("whole", spec.clone(), &inputs);
        // Each search takes a shard of the samples, or a part of them all.
        for (aligned, parts) in [(true, 3), (false, 3), (false, 2)] {
            let cut = StageSpec::from(spec.clone());
            let cut = cut.in_shards(parts, aligned).unwrap();
            let mut found = inputs
                .map(|(role, name)| (role.to_owned(), name.to_owned()))
                .to_vec();
            for (i, shard) in cut.shards.into_iter().enumerate() {
                let samples = if aligned {
                    drawn[i].as_str()
                } else {
                    "gathered"
                };
                let name = format!("search {i}");
                bench.run(&name, shard, &[("data", "data"), ("samples", samples)]);
                found.push((format!("neighbours.{i}"), name));
            }
            let found: Vec<(&str, &str)> = found.iter().map(|(r, n)| (&**r, &**n)).collect();
            assert_eq!(bench.run("joined", cut.whole.clone(), &found), whole);
            assert!(bench.bytes("joined") == bench.bytes("whole"));
            // Without one of them there are too few.
            let few = bench.job("few", cut.whole, &found[..found.len() - 1]);
            let refused = execute(few, None).result.unwrap_err();
            assert!(refused.cause.contains("300 samples"), "{refused:?}");
        }
    }
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let bench = prepared();
    bench.run("gan", models::gan(), &[("data", "data")]);
    bench.run("arvm", small_arvm(), &[("codes", "codes")]);
    bench.run("images", GenerateSpec::default(), &[("model", "gan")]);
    bench.run(
        "grids",
        SampleSpec::default(),
        &[("prior", "arvm"), ("decoder", "ae")],
    );
    let inputs = [("shard.0", "images"), ("shard.1", "grids")];
    let refused = execute(bench.job("both", GatherSpec {}, &inputs), None);
    let refused = refused.result.unwrap_err();
    assert_eq!(refused.class, FailureClass::Config);
    assert!(refused.cause.contains("put together"), "{refused:?}");
    let refused = execute(bench.job("none", GatherSpec {}, &[]), None);
    assert!(refused.result.unwrap_err().cause.contains("shard.0"));
    let beyond = NeighboursSpec {
        shard: 2,
        of: 2,
        ..NeighboursSpec::default()
    };
    assert!(StageSpec::from(beyond).validate().is_err());
}

/// 32 bits a site: more tokens than any histogram has.
#[test]
fn tokens_of_32_bits_are_drawn_bit_by_bit() {
    let bench = Bench::new();
    bench.run("data", small_data(), &[]);
    let spec = AutoencoderSpec {
        latent_channels: 32,
        ..small_autoencoder()
    };
    bench.run("ae", spec, &[("data", "data")]);
    let inputs = [("data", "data"), ("encoder", "ae")];
    bench.run("codes", EncodeSpec::default(), &inputs);
    for prior in [Prior::Net, Prior::Table] {
        let spec = ArvmSpec {
            gamma: 7,
            head: Head::Bits,
            prior,
            ..small_arvm()
        };
        let trained = bench.run("arvm", spec, &[("codes", "codes")]);
        assert_eq!(trained.get("bit_chain"), 1.0);
        let inputs = [("prior", "arvm"), ("decoder", "ae")];
        bench.run("samples", SampleSpec::default(), &inputs);
        let inputs = [("data", "data"), ("samples", "samples"), ("codes", "codes")];
        let measured = bench.run("evaluated", EvaluateSpec::default(), &inputs);
        // The counts under a global window return training latents only.
        if prior == Prior::Table {
            assert_eq!(measured.get("exact_latent_rate"), 1.0);
        }
    }
}
