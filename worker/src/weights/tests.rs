//! Files that PyTorch wrote (fixtures/README.md), and files that nobody
//! should have.

use std::path::{Path, PathBuf};

use super::*;

mod hostile;
mod inception;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights/fixtures");
    folder.join(name)
}

fn open(name: &str, key: Option<&str>) -> Weights {
    Weights::open(&fixture(name), key).unwrap()
}

fn refusal(name: &str, key: Option<&str>) -> String {
    Weights::open(&fixture(name), key).unwrap_err().to_string()
}

fn bytes_of(weights: &mut Weights, name: &str) -> Vec<u8> {
    let index = weights.tensors().iter().position(|t| t.name == name);
    weights.bytes(index.unwrap()).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

fn summary(weights: &Weights) -> Vec<String> {
    let tensors = weights.tensors().iter();
    let line = |t: &TensorInfo| format!("{} {:?} {:?}", t.name, t.dtype, t.shape);
    tensors.map(line).collect()
}

#[test]
fn a_state_dict_has_its_names_shapes_types_and_values() {
    let mut weights = open("a_sd.pt", None);
    assert_eq!(
        summary(&weights),
        [
            "0.weight F32 [8, 3, 3, 3]",
            "1.bias F32 [8]",
            "1.num_batches_tracked I64 []",
            "1.running_mean F32 [8]",
            "1.running_var F32 [8]",
            "1.weight F32 [8]",
            "4.bias F32 [5]",
            "4.weight F32 [5, 288]",
        ]
    );
    assert!(weights.left_out().is_empty());
    let first = floats(&bytes_of(&mut weights, "0.weight"));
    assert_eq!(first.len(), 216);
    assert_eq!(first[..3], [-0.001_440_839_3, 0.103_238_62, -0.158_395_11]);
    let bias = floats(&bytes_of(&mut weights, "4.bias"));
    assert_eq!(
        bias,
        [
            0.004_796_957_6,
            -0.029_597_428,
            0.028_453_646,
            0.010_276_94,
            -0.051_588_114
        ]
    );
    assert_eq!(floats(&bytes_of(&mut weights, "1.weight")), [1.0; 8]);
    assert_eq!(bytes_of(&mut weights, "1.num_batches_tracked"), [0; 8]);
}

#[test]
fn other_types_and_views_are_read_right() {
    let mut weights = open("f_misc.pt", None);
    let w: Vec<f32> = (0..24u8).map(f32::from).collect();
    let transposed: Vec<f32> = (0..6)
        .flat_map(|c| (0..4).map(move |r| (r * 6 + c) as f32))
        .collect();
    assert_eq!(floats(&bytes_of(&mut weights, "t")), transposed);
    assert_eq!(floats(&bytes_of(&mut weights, "view")), w[6..18]);
    assert_eq!(floats(&bytes_of(&mut weights, "p")), w);
    let half: Vec<u8> = w
        .iter()
        .flat_map(|x| x.to_le_bytes()[2..].to_vec())
        .collect();
    assert_eq!(bytes_of(&mut weights, "bf16"), half);
    let above: Vec<u8> = w.iter().map(|x| u8::from(*x > 3.0)).collect();
    assert_eq!(bytes_of(&mut weights, "bool"), above);
    let counts: Vec<u8> = (0..3i64).flat_map(i64::to_le_bytes).collect();
    assert_eq!(bytes_of(&mut weights, "i64"), counts);
    assert_eq!(
        summary(&weights),
        [
            "bf16 BF16 [4, 6]",
            "bool BOOL [4, 6]",
            "i64 I64 [3]",
            "p F32 [4, 6]",
            "t F32 [6, 4]",
            "view F32 [2, 6]",
        ]
    );
}

#[test]
fn a_state_dict_under_a_key_needs_the_key() {
    let why = refusal("b_nested.pt", None);
    assert!(
        why.contains("b_nested.pt") && why.contains("--key model"),
        "{why}"
    );
    let why = refusal("b_nested.pt", Some("modle"));
    assert!(
        why.contains("modle") && why.contains("--key model"),
        "{why}"
    );
    let why = refusal("b_nested.pt", Some("epoch"));
    assert!(why.contains("a whole number"), "{why}");
    let (mut nested, mut plain) = (open("b_nested.pt", Some("model")), open("a_sd.pt", None));
    assert_eq!(nested.tensors(), plain.tensors());
    for index in 0..plain.tensors().len() {
        assert_eq!(nested.bytes(index).unwrap(), plain.bytes(index).unwrap());
    }
}

#[test]
fn what_is_no_state_dict_is_named_with_the_way_out() {
    let why = refusal("c_legacy.pt", None);
    assert!(
        why.contains("before 1.6") && why.contains("torch.load"),
        "{why}"
    );
    for key in [None, Some("model")] {
        let why = refusal("d_module.pt", key);
        assert!(
            why.contains("torch.nn.modules.container.Sequential"),
            "{why}"
        );
    }
    let why = refusal("d_module.pt", None);
    assert!(why.contains("torch.save(model.state_dict()"), "{why}");
    let why = refusal("README.md", None);
    assert!(why.contains("neither"), "{why}");
    let why = refusal(".", None);
    assert!(why.contains("not a file"), "{why}");
    let why = refusal("nowhere.pt", None);
    assert!(
        why.contains("nowhere.pt") && why.contains("reading"),
        "{why}"
    );
}

#[test]
fn a_converted_file_holds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    for name in ["a_sd.pt", "f_misc.pt"] {
        let mut from = open(name, None);
        from.convert(&out, Overwrite::Replace).unwrap();
        let mut to = Weights::open(&out, None).unwrap();
        assert_eq!(to.tensors(), from.tensors());
        for index in 0..from.tensors().len() {
            assert_eq!(to.bytes(index).unwrap(), from.bytes(index).unwrap());
        }
        // And as the format's own library reads it.
        let bytes = std::fs::read(&out).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.len(), from.tensors().len());
        for (index, tensor) in from.tensors().to_vec().iter().enumerate() {
            let view = file.tensor(&tensor.name).unwrap();
            assert_eq!(view.shape(), tensor.shape);
            assert_eq!(view.data(), from.bytes(index).unwrap());
        }
        let again = folder.path().join("again.safetensors");
        to.convert(&again, Overwrite::Replace).unwrap();
        assert_eq!(
            std::fs::read(&again).unwrap(),
            bytes,
            "equal contents, equal bytes"
        );
    }
    let refused = open("a_sd.pt", None).convert(&out, Overwrite::Refuse);
    assert!(matches!(refused, Err(Error::Exists(_))), "{refused:?}");
    let nowhere = folder.path().join("nowhere/out.safetensors");
    let refused = open("a_sd.pt", None).convert(&nowhere, Overwrite::Refuse);
    assert!(refused.unwrap_err().to_string().contains("nowhere"));
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "nothing half written stays: {names:?}");
}

#[test]
fn a_tensor_that_fails_while_writing_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let tensors = open("a_sd.pt", None).tensors().to_vec();
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let failed = write::write(&out, Overwrite::Refuse, BTreeMap::new(), &tensors, |_| {
        Err(Error::io("writing", &out)(full()))
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
