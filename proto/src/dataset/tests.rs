use super::*;

fn meta() -> Meta {
    let content = |images| Content {
        images,
        blake3: "0".repeat(64),
    };
    let description = Description {
        version: DATASET_VERSION,
        channels: 1,
        height: 2,
        width: 3,
        train: content(5),
        test: Some(content(1)),
        labels: Vec::new(),
    };
    let shard = |split, images| Shard {
        split,
        images,
        bytes: images * 10,
        blake3: "a".repeat(64),
    };
    Meta {
        digest: description.digest(),
        description,
        shards: vec![
            shard(Split::Train, 3),
            shard(Split::Train, 2),
            shard(Split::Test, 1),
        ],
        origin: Origin::default(),
    }
}

fn parse(meta: &Meta) -> Result<Meta, String> {
    Meta::parse(&meta.digest, &serde_json::to_vec(meta).unwrap())
}

#[test]
fn a_meta_reads_back_and_knows_its_identity() {
    let meta = meta();
    assert_eq!(parse(&meta), Ok(meta.clone()));
    let mut other = meta.clone();
    other.shards[0].images = 1;
    other.shards[0].bytes = 10;
    assert!(parse(&other).is_err(), "an image is missing");
    let mut other = meta.clone();
    other.description.labels.push("cat".to_owned());
    assert!(parse(&other).is_err(), "another digest");
    let json = serde_json::to_vec(&meta).unwrap();
    assert!(Meta::parse(&"b".repeat(64), &json).is_err());
}

#[test]
fn absurd_claims_are_refused_without_arithmetic_going_wrong() {
    let absurd: [fn(&mut Meta); 6] = [
        |m| m.description.channels = usize::MAX,
        |m| m.description.height = 0,
        |m| m.shards[0].images = u64::MAX,
        |m| m.shards[0].blake3 = "../../etc".to_owned(),
        |m| m.shards.reverse(),
        |m| m.description.version = 9,
    ];
    for make in absurd {
        let mut meta = meta();
        make(&mut meta);
        meta.digest = meta.description.digest();
        assert!(parse(&meta).is_err(), "{meta:?}");
    }
    let json = serde_json::to_vec(&meta()).unwrap();
    for cut in 0..json.len() {
        assert!(Meta::parse(&meta().digest, &json[..cut]).is_err());
    }
}

#[test]
fn well_known_names_come_with_where_to_get_them() {
    assert!(how_to_get("cifar-10").contains("cs.toronto.edu"));
    assert!(how_to_get("fashion-mnist").contains("zalandoresearch"));
    assert!(how_to_get("celeba-hq-1k").contains("CelebA-HQ"));
    assert!(how_to_get("mine").ends_with("import it: ablate data import mine PATH"));
}

#[test]
fn names_are_plain() {
    for good in ["mnist", "celeba-hq.256", "A_1"] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", ".x", "a/b", "a b", "é", &"x".repeat(61)] {
        assert!(!is_name(bad), "{bad}");
    }
}
