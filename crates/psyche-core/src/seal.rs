//! Sealing: XChaCha20-Poly1305 with a random nonce before the ciphertext (docs/adr/0001). Keys are wiped when dropped.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use zeroize::Zeroizing;

use crate::words::Hash;

const NONCE: usize = 24;

/// A symmetric key.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// `nonce ‖ ciphertext ‖ tag`. `entropy` must be fresh: a nonce is never used twice under a key.
    pub fn seal(&self, entropy: [u8; 32], about: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&entropy[..NONCE]);
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: about });
        // The cipher's only failure is a message of more than 256 GiB.
        let sealed = sealed.unwrap_or_else(|_| unreachable!("a text fits into memory and so under the cipher's limit"));
        [nonce.as_slice(), &sealed].concat()
    }

    /// The plain bytes, or nothing when key, associated data or bytes are not those of the sealing.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: about }).ok().map(Zeroizing::new)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Associated data of a text: `subject ‖ 0 ‖ field ‖ 0 ‖ commitment`.
pub fn about_text(subject: &str, field: &str, commitment: &Hash) -> Vec<u8> {
    [subject.as_bytes(), b"\0", field.as_bytes(), b"\0", &commitment.0].concat()
}

/// Associated data of a row's personal fields: `table ‖ 0 ‖ id of the row`.
pub fn about_row(table: &str, id: &[u8; 16]) -> Vec<u8> {
    [table.as_bytes(), b"\0", id].concat()
}

/// Associated data of a masked copy: `masked ‖ 0 ‖ subject ‖ 0 ‖ field ‖ 0 ‖ seq ‖ commitment to the copy`. The body commits to
/// the text as it was, so the place is bound here.
pub fn about_masked(subject: &str, field: &str, seq: u64, commitment: &Hash) -> Vec<u8> {
    let (subject, field) = (subject.as_bytes(), field.as_bytes());
    [b"masked\0".as_slice(), subject, b"\0", field, b"\0", &seq.to_be_bytes(), &commitment.0].concat()
}

/// Associated data of a snapshot: `snapshot ‖ 0 ‖ form ‖ seq ‖ hash of the event it stands at`.
pub fn about_snapshot(form: u16, seq: u64, hash: &Hash) -> Vec<u8> {
    [b"snapshot\0".as_slice(), &form.to_be_bytes(), &seq.to_be_bytes(), &hash.0].concat()
}

/// Associated data of a value that is a secret as a whole: it opens only in its own row.
pub fn about_value(kind: &str, id: &str) -> Vec<u8> {
    [b"sealed_value\0".as_slice(), kind.as_bytes(), b"\0", id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_the_same_key_bytes_and_associated_data() {
        let key = Key::new([7; 32]);
        let about = about_text("session", "content", &Hash::of(b"x"));
        let sealed = key.seal([1; 32], &about, "the shadow speaks".as_bytes());
        assert_eq!(key.open(&about, &sealed).unwrap().as_slice(), b"the shadow speaks");
        assert!(!sealed.windows(6).any(|w| w == b"shadow"));

        let mut flipped = sealed.clone();
        flipped[30] ^= 1;
        let elsewhere = about_text("session", "reasoning", &Hash::of(b"x"));
        assert!(key.open(&about, &flipped).is_none());
        assert!(key.open(&elsewhere, &sealed).is_none());
        assert!(Key::new([8; 32]).open(&about, &sealed).is_none());
        assert!(key.open(&about, &sealed[..20]).is_none());
    }
}
