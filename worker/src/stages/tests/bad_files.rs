//! Model files and checkpoints that are not what they should be.

use ablate_proto::id::TaskKey;

use super::*;
use crate::data::arrays::{self, Array, Data};
use crate::models::FILE;
use crate::models::family::Header;

type Tensors = BTreeMap<String, Array>;

/// Reads a file of arrays in full.
fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let (words, _) = view.data().as_chunks::<4>();
        let data = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
        (name.to_owned(), Array::f32(view.shape(), data))
    };
    file.iter().map(tensor).collect()
}

/// Its metadata, as it stands.
fn header(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let header = &metadata.metadata().as_ref().unwrap()["ablate"];
    serde_json::from_str(header).unwrap()
}

/// One way to spoil a file: what is done to it, and words of the complaint.
type Spoil = (&'static str, fn(&Path), &'static [&'static str]);

fn change(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let mut all = tensors(path);
    change(&mut all);
    arrays::write(path, &header(path), &all).unwrap();
}

fn first(all: &mut Tensors) -> &mut Array {
    all.first_entry().unwrap().into_mut()
}

/// `first` is the name of the first tensor, `{first}` in the words.
const SPOILS: &[Spoil] = &[
    (
        "missing",
        |path| change(path, |all| drop(all.pop_first())),
        &["has no {first}"],
    ),
    (
        "extra",
        |path| {
            change(path, |all| {
                drop(all.insert("zz".to_owned(), Array::f32(&[1], vec![0.0])))
            })
        },
        &["unexpected zz"],
    ),
    (
        "misshapen",
        |path| change(path, |all| first(all).shape.push(1)),
        &["{first} has shape", "is expected"],
    ),
    (
        "not a number",
        |path| {
            change(path, |all| {
                if let Data::F32(values) = &mut first(all).data {
                    values[0] = f32::NAN;
                }
            });
        },
        &["{first} holds NaN"],
    ),
    (
        "truncated",
        |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() - 5]).unwrap();
        },
        &["cut short or damaged"],
    ),
    (
        "truncated in its header",
        |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..50]).unwrap();
        },
        &["cut short or damaged"],
    ),
    (
        "a header of 100 GB",
        |path| std::fs::write(path, [&(100u64 << 30).to_le_bytes()[..], b"{}"].concat()).unwrap(),
        &["cut short or damaged"],
    ),
    (
        "a tensor of 100 GB",
        |path| {
            let json =
                r#"{"w":{"dtype":"F32","shape":[26843545600],"data_offsets":[0,107374182400]}}"#;
            let length = (json.len() as u64).to_le_bytes();
            std::fs::write(path, [&length[..], json.as_bytes()].concat()).unwrap();
        },
        &["cut short or damaged"],
    ),
    (
        "empty",
        |path| std::fs::write(path, b"").unwrap(),
        &["it is empty"],
    ),
];

fn assert_complains(what: &str, complaint: &str, words: &[&str], first: &str) {
    for word in words {
        let word = word.replace("{first}", first);
        assert!(
            complaint.contains(&word),
            "{what}: {word:?} is not in {complaint:?}"
        );
    }
}

/// A bench with an autoencoder, its codes and a prior.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.run("data", small_data(), &[]);
    bench.run("ae", small_autoencoder(), &[("data", "data")]);
    bench.run(
        "codes",
        EncodeSpec::default(),
        &[("data", "data"), ("encoder", "ae")],
    );
    bench.run("arvm", small_arvm(), &[("codes", "codes")]);
    bench
}

fn fails(bench: &Bench, spec: impl Into<StageSpec>, inputs: &[(&str, &str)]) -> Failure {
    execute(bench.job("next", spec, inputs), None)
        .result
        .unwrap_err()
}

#[test]
fn a_model_file_that_is_not_the_model_is_a_data_failure_that_names_it() {
    let bench = bench();
    let path = |name: &str| bench.dir.path().join(name).join("out").join(FILE);
    let sample = [("prior", "arvm"), ("decoder", "ae")];
    for spoilt in ["ae", "arvm"] {
        let path = path(spoilt);
        let good = std::fs::read(&path).unwrap();
        let first = tensors(&path).into_keys().next().unwrap();
        for (what, spoil, words) in SPOILS {
            spoil(&path);
            let failure = fails(&bench, SampleSpec::default(), &sample);
            assert_eq!(failure.class, FailureClass::Data, "{what}: {failure}");
            assert_complains(what, &failure.cause, words, &first);
            assert!(failure.cause.contains(FILE), "{failure}");
            std::fs::write(&path, &good).unwrap();
        }
    }
}

#[test]
fn a_model_of_another_family_or_architecture() {
    let bench = bench();
    let swapped = [("prior", "ae"), ("decoder", "arvm")];
    let failure = fails(&bench, SampleSpec::default(), &swapped);
    assert_eq!(failure.class, FailureClass::Data);
    assert!(
        failure
            .cause
            .contains("of the family arvm, not autoencoder"),
        "{failure}"
    );

    let path = bench.dir.path().join("ae/out").join(FILE);
    let all = tensors(&path);
    let inputs = [("data", "data"), ("encoder", "ae")];
    for (field, value, word) in [
        ("wide", serde_json::json!(9), "is expected"),
        ("wide", serde_json::json!(u64::MAX), "wide"),
        ("channels", serde_json::json!([]), "channels"),
        ("channels", serde_json::json!(vec![1; 100]), "channels"),
        ("refine_kernel", serde_json::json!(0), "refine_kernel"),
        ("image", serde_json::json!([1, 0, 0]), "images"),
        (
            "image",
            serde_json::json!([1, u64::MAX, u64::MAX]),
            "images",
        ),
        ("depth", serde_json::json!(1), "depth"),
    ] {
        let mut header: Header<serde_json::Value> = serde_json::from_value(header(&path)).unwrap();
        let good = header.arch.clone();
        header.arch[field] = value;
        arrays::write(&path, &header, &all).unwrap();
        let failure = fails(&bench, EncodeSpec::default(), &inputs);
        assert_eq!(failure.class, FailureClass::Data, "{field}: {failure}");
        assert!(failure.cause.contains(word), "{failure}");
        header.arch = good;
        arrays::write(&path, &header, &all).unwrap();
    }
    let path = bench.dir.path().join("arvm/out").join(FILE);
    let all = tensors(&path);
    for (field, value, word) in [
        ("gamma", serde_json::json!(u64::MAX), "gamma"),
        ("side", serde_json::json!(1u64 << 40), "side"),
        ("bits", serde_json::json!(64), "bits"),
        ("codebook", serde_json::json!([]), "codebook"),
        ("codebook", serde_json::json!([5, 5]), "codebook"),
        ("hidden", serde_json::json!([0]), "hidden"),
    ] {
        let mut header: Header<serde_json::Value> = serde_json::from_value(header(&path)).unwrap();
        let good = header.arch.clone();
        header.arch[field] = value;
        arrays::write(&path, &header, &all).unwrap();
        let failure = fails(
            &bench,
            SampleSpec::default(),
            &[("prior", "arvm"), ("decoder", "ae")],
        );
        assert_eq!(failure.class, FailureClass::Data, "{field}: {failure}");
        assert!(failure.cause.contains(word), "{failure}");
        header.arch = good;
        arrays::write(&path, &header, &all).unwrap();
    }
}

/// Whatever stands in a checkpoint with the right digest: the training starts
/// over, says so, and ends as if there had been none.
#[test]
fn a_checkpoint_that_cannot_be_used_costs_its_work_and_no_more() {
    let bench = Bench::new();
    bench.run("data", small_data(), &[]);
    let inputs = [("data", "data")];
    let expected = bench.run("whole", small_autoencoder(), &inputs);
    let job = bench.job("part", small_autoencoder(), &inputs);
    let checkpoint = execute(job.clone(), Some(2)).checkpoint.unwrap();
    let good = std::fs::read(&checkpoint).unwrap();
    let first = tensors(&checkpoint).into_keys().next().unwrap();
    let moved = bench.dir.path().join("resume.safetensors");
    let of_another: Spoil = (
        "another task's",
        |path| {
            let mut header = header(path);
            header["task"] = TaskKey::from_bytes([1; 32]).to_string().into();
            let all = tensors(path);
            arrays::write(path, &header, &all).unwrap();
        },
        &["it is of task 0101010101"],
    );
    let too_late: Spoil = (
        "a step after the last",
        |path| {
            let mut header = header(path);
            header["step"] = 10.into();
            let all = tensors(path);
            arrays::write(path, &header, &all).unwrap();
        },
        &["it is of step 10"],
    );
    for (what, spoil, words) in SPOILS.iter().chain([&of_another, &too_late]) {
        std::fs::write(&moved, &good).unwrap();
        spoil(&moved);
        std::fs::remove_dir_all(&job.out).unwrap();
        std::fs::create_dir_all(&job.out).unwrap();
        let again = Job {
            checkpoint: Some(moved.clone()),
            ..job.clone()
        };
        let outcome = execute(again, None);
        let why = outcome
            .unusable
            .unwrap_or_else(|| panic!("{what} was used"));
        assert_complains(what, &why, words, &first);
        assert_eq!(Metrics(outcome.result.unwrap()), expected, "{what}");
        assert!(bench.bytes("part") == bench.bytes("whole"), "{what}");
    }
}
