//! Inception's weights in files as they come, and in files that are others.

use serde_json::json;

use super::*;
use crate::metrics::formula;
use crate::models::inception::expected;

/// A safetensors file of zeros, which take no room, with these tensors.
fn zeros(folder: &Path, tensors: &[(String, Vec<usize>)], dtype: (&str, usize)) -> PathBuf {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.1;
        let place = json!({ "dtype": dtype.0, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), place);
    }
    let mut head = serde_json::to_vec(&header).unwrap();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut start = (head.len() as u64).to_le_bytes().to_vec();
    start.extend(head);
    let path = folder.join("zeros.safetensors");
    std::fs::write(&path, &start).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(((start.len() + end) as u64).min(1 << 28))
        .unwrap();
    path
}

fn read(path: &Path) -> Result<InceptionWeights, String> {
    let mut weights = Weights::open(path, None).map_err(|e| e.to_string())?;
    InceptionWeights::read(&mut weights).map_err(|e| e.to_string())
}

fn refused(change: impl FnOnce(&mut Vec<(String, Vec<usize>)>), words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = expected();
    change(&mut tensors);
    let why = read(&zeros(folder.path(), &tensors, ("F32", 4))).unwrap_err();
    for word in words {
        assert!(why.contains(word), "{word:?} is not in {why:?}");
    }
}

#[test]
fn what_is_kept_is_the_same_whatever_file_it_came_in() {
    let folder = tempfile::tempdir().unwrap();
    let given = formula::weights();
    let kept = given.to_bytes().unwrap();
    let path = folder.path().join("kept.safetensors");
    std::fs::write(&path, &kept).unwrap();
    let back = read(&path).unwrap();
    assert!(back.values == given.values && back.unknown.is_empty());
    assert!(back.to_bytes().unwrap() == kept);
}

#[test]
fn what_training_needs_besides_is_left_out_and_the_unknown_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = expected();
    let more = [
        ("AuxLogits.conv0.conv.weight", vec![128, 768, 1, 1]),
        ("AuxLogits.fc.bias", vec![1000]),
        ("Conv2d_1a_3x3.bn.num_batches_tracked", vec![]),
        ("head.weight", vec![3]),
    ];
    tensors.extend(more.map(|(name, shape)| (name.to_owned(), shape)));
    for dtype in [("F32", 4), ("F64", 8), ("BF16", 2)] {
        let read = read(&zeros(folder.path(), &tensors, dtype)).unwrap();
        assert_eq!(
            (read.auxiliary, &read.unknown[..]),
            (2, &["head.weight".to_owned()][..])
        );
        assert_eq!(read.values.len(), expected().len());
    }
}

#[test]
fn the_first_wrong_tensor_is_named_with_what_was_expected() {
    let of_torchvision = |tensors: &mut Vec<(String, Vec<usize>)>| {
        for (name, shape) in tensors {
            if name.starts_with("fc.") {
                shape[0] = 1000;
            }
        }
    };
    let words = ["fc.weight is [1000, 2048], expected [1008, 2048]", "FID"];
    refused(of_torchvision, &words);
    let words = [
        "no tensor Mixed_5b.branch1x1.bn.running_var, [64]",
        "pytorch-fid",
    ];
    refused(
        |t| t.retain(|(n, _)| n != "Mixed_5b.branch1x1.bn.running_var"),
        &words,
    );
    let of_another = |tensors: &mut Vec<(String, Vec<usize>)>| {
        *tensors = vec![("layer1.0.conv1.weight".to_owned(), vec![64, 64, 3, 3])];
    };
    refused(
        of_another,
        &["no tensor Conv2d_1a_3x3.conv.weight, [32, 3, 3, 3]"],
    );
    let turned = |tensors: &mut Vec<(String, Vec<usize>)>| tensors[0].1 = vec![3, 3, 3, 32];
    refused(turned, &["Conv2d_1a_3x3.conv.weight is [3, 3, 3, 32]"]);
    let folder = tempfile::tempdir().unwrap();
    let why = read(&zeros(folder.path(), &expected(), ("I32", 4))).unwrap_err();
    assert!(why.contains("of type I32, expected F32"), "{why}");
}

#[test]
fn values_that_no_training_leaves_are_refused() {
    let mut odd = formula::weights();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.safetensors");
    for (name, value) in [
        ("Mixed_7c.branch_pool.conv.weight", f32::NAN),
        ("Mixed_6a.branch3x3.bn.running_var", -1.0),
    ] {
        let before = odd.values.clone();
        odd.values.get_mut(name).unwrap().data[1] = value;
        std::fs::write(&path, odd.to_bytes().unwrap()).unwrap();
        let why = read(&path).unwrap_err();
        assert!(
            why.contains(name) && why.contains("no training leaves"),
            "{why}"
        );
        odd.values = before;
    }
}

#[test]
fn damaged_files_are_refused_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let whole = zeros(folder.path(), &expected(), ("F32", 4));
    let length = std::fs::metadata(&whole).unwrap().len();
    let file = File::options().write(true).open(&whole).unwrap();
    file.set_len(length - 4).unwrap();
    let why = read(&whole).unwrap_err();
    assert!(why.contains("cut short"), "{why}");
    // A terabyte of claims in a file of nothing.
    let mut claims = expected();
    claims.last_mut().unwrap().1 = vec![1 << 38];
    let claimed = zeros(folder.path(), &claims, ("F32", 4));
    let file = File::options().write(true).open(&claimed).unwrap();
    file.set_len(1 << 20).unwrap();
    let why = read(&claimed).unwrap_err();
    assert!(why.contains("its tensors take"), "{why}");
    for (content, word) in [("weights, please", "neither"), ("", "empty")] {
        let path = folder.path().join("text.pth");
        std::fs::write(&path, content).unwrap();
        let why = read(&path).unwrap_err();
        assert!(why.contains(word) && why.contains("text.pth"), "{why}");
    }
}
