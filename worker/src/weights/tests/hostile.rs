//! Damaged and hostile files: an error each, never a panic, and no memory on
//! the word of a file.

use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// A PyTorch file with this pickle and these storages.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: String, bytes: &[u8]| {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    put("x/data.pkl".to_owned(), pickle);
    for (name, bytes) in storages {
        put(format!("x/data/{name}"), bytes);
    }
    zip.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [b"X", &length.to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

/// A view of storage 0.
struct Tensor {
    class: &'static str,
    held: i64,
    offset: i64,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

impl Default for Tensor {
    fn default() -> Self {
        Self {
            class: "FloatStorage",
            held: 6,
            offset: 0,
            shape: vec![2, 3],
            strides: vec![3, 1],
        }
    }
}

impl Tensor {
    fn pickled(&self) -> Vec<u8> {
        let ints = |values: &[i64]| tuple(&values.iter().map(|v| int(*v)).collect::<Vec<_>>());
        let class = format!("ctorch\n{}\n", self.class).into_bytes();
        let storage = [
            text("storage"),
            class,
            text("0"),
            text("cpu"),
            int(self.held),
        ];
        let arguments = [
            [tuple(&storage), b"Q".to_vec()].concat(),
            int(self.offset),
            ints(&self.shape),
            ints(&self.strides),
            vec![0x89],
            b"}".to_vec(),
        ];
        let function = b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec();
        [function, tuple(&arguments), b"R".to_vec()].concat()
    }

    fn file(&self) -> Vec<u8> {
        let entry = [text("w"), self.pickled()].concat();
        let pickle = [b"\x80\x02}", &entry[..], b"s."].concat();
        archive(&pickle, &[("0", &[7; 24])])
    }
}

fn opened(bytes: &[u8], key: Option<&str>) -> Result<Weights, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    std::fs::write(&path, bytes).unwrap();
    Weights::open(&path, key).map_err(|e| e.to_string())
}

fn refused(bytes: &[u8], words: &[&str]) {
    let why = opened(bytes, None).unwrap_err();
    assert!(why.contains("x.pt cannot be read"), "{why}");
    for word in words {
        assert!(why.contains(word), "{word:?} is not in {why:?}");
    }
}

#[test]
fn only_tensors_whose_bytes_are_there() {
    let good = Tensor::default().file();
    assert_eq!(summary(&opened(&good, None).unwrap()), ["w F32 [2, 3]"]);
    let of = |change: fn(&mut Tensor)| {
        let mut tensor = Tensor::default();
        change(&mut tensor);
        tensor.file()
    };
    for (file, words) in [
        (of(|t| t.held = 25_000_000_000), vec!["w", "24 bytes"]),
        (of(|t| t.held = i64::MAX), vec!["24 bytes"]),
        (of(|t| t.held = -1), vec!["negative"]),
        (of(|t| t.held = 7), vec!["24 bytes"]),
        (of(|t| t.offset = 1), vec!["beyond its storage"]),
        (of(|t| t.offset = i64::MAX), vec!["beyond its storage"]),
        (of(|t| t.offset = -3), vec!["negative"]),
        (of(|t| t.strides = vec![3, -1]), vec!["negative"]),
        (of(|t| t.strides = vec![i64::MAX, i64::MAX]), vec!["beyond"]),
        (of(|t| t.strides = vec![1]), vec!["stride"]),
        (
            of(|t| t.shape = vec![i64::MAX, i64::MAX]),
            vec!["too large"],
        ),
        (
            of(|t| (t.shape, t.strides) = (vec![100_000, 250_000], vec![0, 0])),
            vec!["more values than its storage", "clone"],
        ),
        (of(|t| t.class = "QInt8Storage"), vec!["QInt8Storage"]),
    ] {
        refused(&file, &words);
    }
    let empty = of(|t| (t.shape, t.offset) = (vec![0, 3], 99));
    assert_eq!(summary(&opened(&empty, None).unwrap()), ["w F32 [0, 3]"]);
}

#[test]
fn tensors_that_share_a_storage_without_end_are_refused() {
    let tensor = Tensor::default().pickled();
    let entries = (0..2_000).flat_map(|i| [text(&i.to_string()), tensor.clone()].concat());
    let entries: Vec<u8> = entries.collect();
    let pickle = [b"\x80\x02}(", &entries[..], b"u."].concat();
    // The pickle itself is longer than what they claim.
    assert!(opened(&archive(&pickle, &[("0", &[7; 24])]), None).is_ok());
    let wide = Tensor {
        held: 1 << 18,
        shape: vec![1 << 18],
        strides: vec![1],
        ..Tensor::default()
    };
    let one = [text("w"), wide.pickled(), b"q\x00".to_vec()].concat();
    let shared = (0..64).flat_map(|i| [text(&i.to_string()), b"h\x00".to_vec()].concat());
    let shared: Vec<u8> = shared.collect();
    let pickle = [b"\x80\x02}(", &one[..], &shared, b"u."].concat();
    refused(
        &archive(&pickle, &[("0", &vec![0; 1 << 20])]),
        &["share a storage"],
    );
}

#[test]
fn pickles_that_are_broken_or_want_too_much() {
    let bomb = {
        // Each tuple holds the one before twice: 2^1000 values if copied.
        let mut pickle = b"\x80\x02N".to_vec();
        pickle.extend((0..1000).flat_map(|_| *b"q\x00h\x00\x86"));
        [&pickle[..], b"."].concat()
    };
    let deep = [b"\x80\x02N", &vec![0x85; 1 << 20][..], b"."].concat();
    let nested = [
        &b"\x80\x02"[..],
        &vec![b'('; 1 << 20],
        &vec![b't'; 1 << 20],
        b".",
    ]
    .concat();
    let many = [b"\x80\x02", &vec![b'N'; 3 << 20][..], b"."].concat();
    let own = b"\x80\x02]q\x00h\x00a.".to_vec();
    for pickle in [
        b"".to_vec(),
        b".".to_vec(),
        b"\x80\x02".to_vec(),
        b"\x80\x09}.".to_vec(),
        b"\x80\x02X\xff\xff\xff\xff".to_vec(),
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x80\x02X\x02\x00\x00\x00\xff\xfe.".to_vec(),
        b"\x80\x02\x8a\xff\x01".to_vec(),
        b"\x80\x02h\x07.".to_vec(),
        b"\x80\x02t.".to_vec(),
        b"\x80\x02R.".to_vec(),
        b"\x80\x02(\x85.".to_vec(),
        b"\x80\x02}Ns.".to_vec(),
        b"\x80\x02Na.".to_vec(),
        b"\x80\x02}.".to_vec(),
        b"\x80\x02N.".to_vec(),
        b"\x80\x02cposix\nsystem\n".to_vec(),
        b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.".to_vec(),
        b"\x80\x02P0\n.".to_vec(),
        own,
        bomb,
        deep,
        nested,
        many,
    ] {
        let shown = &pickle[..pickle.len().min(40)];
        let opened = opened(&archive(&pickle, &[]), None);
        assert!(opened.is_err(), "{shown:x?}");
    }
    // A call of a function that would do harm is a value like any other.
    let entry = b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R".to_vec();
    let tensor = [text("w"), Tensor::default().pickled()].concat();
    let pickle = [b"\x80\x02}(", &text("x")[..], &entry, &tensor, b"u."].concat();
    let weights = opened(&archive(&pickle, &[("0", &[7; 24])]), None).unwrap();
    let others = [("x".to_owned(), "a pickled posix.system".to_owned())];
    assert_eq!(weights.left_out(), others);
}

#[test]
fn rebuilt_tensors_with_too_few_arguments() {
    for call in [
        "_rebuild_tensor_v2",
        "_rebuild_parameter",
        "_rebuild_qtensor",
    ] {
        let call = format!("ctorch._utils\n{call}\n)R").into_bytes();
        let pickle = [b"\x80\x02}", &text("w")[..], &call, b"s."].concat();
        refused(&archive(&pickle, &[]), &["w: it is a tensor of a kind"]);
    }
}

#[test]
fn archives_of_another_kind() {
    refused(b"", &["empty"]);
    refused(b"PK\x03\x04 and no more", &["zip archive"]);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(
        "x/readme",
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
    )
    .unwrap();
    refused(&zip.finish().unwrap().into_inner(), &["no data.pkl"]);
    let script = archive(b"\x80\x02}.", &[("../constants.pkl", b"")]);
    refused(&script, &["TorchScript"]);
    let missing = {
        let entry = [text("w"), Tensor::default().pickled()].concat();
        archive(
            &[b"\x80\x02}", &entry[..], b"s."].concat(),
            &[("1", &[7; 24])],
        )
    };
    refused(&missing, &["x/data/0"]);
}

#[test]
fn a_flipped_byte_of_a_storage_is_found_when_it_is_read() {
    let mut file = Tensor::default().file();
    let at = file.windows(24).position(|w| w == [7; 24]).unwrap();
    file[at] = 8;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    std::fs::write(&path, file).unwrap();
    let out = folder.path().join("out.safetensors");
    let failed = Weights::open(&path, None)
        .unwrap()
        .convert(&out, Overwrite::Refuse);
    let why = failed.unwrap_err().to_string();
    assert!(why.contains("x/data/0"), "{why}");
    assert!(!out.exists());
}

#[test]
fn safetensors_that_are_not_what_they_say() {
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let one = |end: u64| {
        let shape = end / 4;
        header(&format!(
            r#"{{"w":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#
        ))
    };
    let claims = [&(100u64 << 30).to_le_bytes()[..], b"{}"].concat();
    refused(&claims, &["claims a header"]);
    refused(&one(100 << 30), &["107374182400 bytes", "cut short"]);
    refused(&one(8), &["cut short"]);
    refused(&[&one(4)[..], &[0; 8]].concat(), &["cut short or damaged"]);
    refused(&header("{\"w\""), &["header"]);
    refused(&header("{}"), &["no tensors"]);
    let good = [&one(8)[..], &[0; 8]].concat();
    assert_eq!(summary(&opened(&good, None).unwrap()), ["w F32 [2]"]);
    assert!(opened(&good, Some("model")).unwrap_err().contains("--key"));
}

proptest! {
    /// Any damage to a good file is an error, or leaves a file that reads.
    #[test]
    fn damaged_files(name in 0usize..3, cut: prop::sample::Index, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let name = ["a_sd.pt", "f_misc.pt", "d_module.pt"][name];
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let length = bytes.len();
        let whole = bytes.clone();
        bytes.truncate(cut.index(length + 1));
        for bytes in [whole, bytes] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.pt");
            std::fs::write(&path, bytes).unwrap();
            if let Ok(mut weights) = Weights::open(&path, None) {
                for index in 0..weights.tensors().len() {
                    let _ = weights.bytes(index);
                }
            }
        }
    }

    #[test]
    fn random_pickles(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let pickle = [&b"\x80\x02"[..], &bytes].concat();
        let _ = opened(&archive(&pickle, &[]), None);
    }

    /// Operations alone, so that they get far.
    #[test]
    fn random_operations(codes in prop::collection::vec(prop::sample::select(b"N(])}tl\x85\x86\x87aesud012Rb\x81Q\x90\x91\x94\x88".to_vec()), 0..200)) {
        let pickle = [&b"\x80\x02}"[..], &codes, b"."].concat();
        let _ = opened(&archive(&pickle, &[]), None);
    }
}
