use serde_json::json;

use super::*;

fn build(kind: StageKind, parameters: Value) -> Result<StageSpec, SpecError> {
    let Value::Object(map) = parameters else {
        panic!("an object");
    };
    StageSpec::build(kind, &map)
}

#[test]
fn every_kind_round_trips_through_json_with_its_defaults() {
    for kind in StageKind::ALL {
        let spec = kind.defaults();
        assert_eq!(spec.validate(), Ok(()), "{kind}");
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<StageSpec>(&text).unwrap(), spec);
        assert_eq!(kind.to_string().parse::<StageKind>(), Ok(*kind));
    }
}

#[test]
fn an_unknown_parameter_names_the_nearest() {
    let Err(SpecError::UnknownField { nearest, .. }) =
        build(StageKind::Autoencoder, json!({"sgima": 1.0}))
    else {
        panic!("refused as unknown");
    };
    assert_eq!(nearest.as_deref(), Some("sigma"));
}

#[test]
fn values_that_cannot_be_used_are_refused() {
    for (kind, parameters, field) in [
        (StageKind::Decoder, json!({"sigma": -1}), "sigma"),
        (StageKind::Arvm, json!({"gamma": 4}), "gamma"),
        (StageKind::Dataset, json!({"images": 0}), "images"),
        (StageKind::Dataset, json!({"images": 5000}), "images"),
        (
            StageKind::Autoencoder,
            json!({"learning_rate": 0}),
            "learning_rate",
        ),
        (
            StageKind::Autoencoder,
            json!({"latent_channels": 0}),
            "latent_channels",
        ),
        (StageKind::Sample, json!({"count": 0}), "count"),
    ] {
        match build(kind, parameters) {
            Err(SpecError::Invalid(e)) => assert_eq!(e.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(matches!(
        build(StageKind::Arvm, json!({"gamma": "wide"})),
        Err(SpecError::WrongType { field, .. }) if field == "gamma"
    ));
}

#[test]
fn integers_and_floats_of_the_same_value_are_the_same_spec() {
    let whole = build(StageKind::Decoder, json!({"sigma": 1})).unwrap();
    let float = build(StageKind::Decoder, json!({"sigma": 1.0})).unwrap();
    assert_eq!(whole, float);
}
