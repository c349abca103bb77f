//! Weights are found; every other file is an error with a reason, quickly and without a crash.

use proptest::prelude::*;

use super::*;
use crate::synthetic::onnx::{message, model, tensor, varint};

#[test]
fn initialisers_are_read_with_shape_and_bytes() {
    let packed = [message(1, &[varint(2), varint(3)].concat()), tensor("b", 3, &[], &[1; 6])].concat();
    let file = model(&[tensor("a", 1, &[1, 2], &[0; 8]), packed, tensor("shape", 7, &[9], &[])]);
    let found = tensors(&file).unwrap();
    let seen: Vec<_> = found.iter().map(|t| (t.name, t.kind, t.shape.as_slice(), t.bytes.len())).collect();
    let other = ("shape", Kind::Other, &[9][..], 0);
    assert_eq!(seen, [("a", Kind::F32, &[1, 2][..], 8), ("b", Kind::I8, &[2, 3], 6), other]);
}

#[test]
fn false_claims_are_refused_with_a_reason() {
    let one = |tensor: Vec<u8>| model(&[tensor]);
    let huge = u64::MAX >> 1;
    let cases = [
        (one(tensor("short", 1, &[4], &[0; 15])), "short of shape [4] has 15 bytes"),
        (one(tensor("vast", 3, &[huge, huge], &[])), "vast of shape"),
        (one(tensor("deep", 3, &[1; 5], &[0])), "more than 4 dimensions"),
        (one(message(8, &[0xff])), "not UTF-8"),
        (vec![0x3a, 0x05, 0x00], "longer than what is left"),
        ([&[0x08][..], &[0xff; 11]].concat(), "more than ten bytes"),
        (vec![0x08], "ends inside a number"),
        (vec![0x0b], "wire type 3"),
        (model(&vec![tensor("t", 7, &[], &[]); MAX_TENSORS + 1]), "more than 4096 tensors"),
    ];
    for (file, reason) in cases {
        let error = tensors(&file).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error} should say: {reason}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = tensors(&bytes);
        let _ = tensors(&message(7, &message(5, &bytes)));
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0usize..60, byte: u8, cut in 0usize..60) {
        let mut file = model(&[tensor("a", 1, &[2, 2], &[1; 16]), tensor("b_q", 3, &[4], &[2; 4])]);
        let at = at % file.len();
        file[at] = byte;
        let _ = tensors(&file);
        file.truncate(cut);
        let _ = tensors(&file);
    }
}
