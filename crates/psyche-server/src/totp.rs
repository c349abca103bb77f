//! Time-based one-time passwords (RFC 6238: HMAC-SHA1, 30 s, six digits), which every authenticator app knows.

use hmac::{Hmac, KeyInit as _, Mac as _};
use psyche_core::Timestamp;
use psyche_core::port::SecondFactor;
use psyche_core::words::Hash;
use sha1::Sha1;

const STEP_S: u64 = 30;
/// Steps a device's clock may be off.
const DRIFT: u64 = 1;
pub const RECOVERY_CODES: usize = 10;

fn code(secret: &[u8], step: u64) -> u32 {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else {
        unreachable!("HMAC takes keys of every length");
    };
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 15);
    let number = digest[at..at + 4].iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
    (number & 0x7fff_ffff) % 1_000_000
}

/// What the factor becomes when this code is right; a code that was used, or one from before it, is not.
pub fn accept(factor: &SecondFactor, given: &str, now: Timestamp) -> Option<SecondFactor> {
    let given = given.trim();
    let step_now = u64::try_from(now.micros() / 1_000_000).unwrap_or(0) / STEP_S;
    if given.len() == 6 && given.bytes().all(|b| b.is_ascii_digit()) {
        let number: u32 = given.parse().ok()?;
        let step = (step_now.saturating_sub(DRIFT)..=step_now + DRIFT)
            .find(|step| *step > factor.last_step && code(&factor.secret, *step) == number)?;
        return Some(SecondFactor { last_step: step, ..factor.clone() });
    }
    let hash = recovery_hash(given);
    let left: Vec<_> = factor.recovery.iter().copied().filter(|known| *known != hash).collect();
    (factor.confirmed && left.len() < factor.recovery.len()).then(|| SecondFactor { recovery: left, ..factor.clone() })
}

/// A recovery code from 32 random bytes, such as `k3j7-x2mq-9fpw`: 60 bits in letters that are not mistaken.
pub fn recovery_code(entropy: [u8; 32]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";
    let letters: Vec<char> = entropy[..12].iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}

pub fn recovery_hash(code: &str) -> Hash {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    Hash::of(plain.as_bytes())
}

/// RFC 4648 base32 without padding, as authenticator apps want a secret typed.
pub fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |n: usize| bytes.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
    let groups = (bytes.len() * 8).div_ceil(5);
    let letter = |group: usize| (0..5).fold(0, |n, i| n << 1 | usize::from(bit(group * 5 + i)));
    (0..groups).map(|group| char::from(LETTERS[letter(group)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor() -> SecondFactor {
        let recovery = vec![recovery_hash("aaaa-bbbb-cccc")];
        SecondFactor { secret: b"12345678901234567890".to_vec(), confirmed: true, last_step: 0, recovery }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    /// RFC 6238, appendix B, the last six digits of the SHA-1 column.
    #[test]
    fn the_test_vectors_of_the_standard() {
        for (second, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(accept(&factor(), digits, at(second)).is_some(), "{second}");
        }
        assert_eq!(base32(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(b"foob"), "MZXW6YQ");
    }

    #[test]
    fn a_code_works_once_and_near_its_time_only() {
        let used = accept(&factor(), "050471", at(1_111_111_111)).unwrap();
        assert!(accept(&used, "050471", at(1_111_111_111)).is_none(), "twice");
        assert!(accept(&factor(), "050471", at(1_111_111_111 + 30)).is_some(), "a clock may be off by a step");
        assert!(accept(&factor(), "050471", at(1_111_111_111 + 90)).is_none());
        assert!(accept(&factor(), "000000", at(1_111_111_111)).is_none());
        assert!(accept(&factor(), "", at(0)).is_none());
    }

    #[test]
    fn a_recovery_code_works_once_however_it_is_typed() {
        let left = accept(&factor(), " AAAA bbbb-cccc ", at(0)).unwrap();
        assert!(left.recovery.is_empty());
        assert!(accept(&left, "aaaa-bbbb-cccc", at(0)).is_none());
        let unconfirmed = SecondFactor { confirmed: false, ..factor() };
        assert!(accept(&unconfirmed, "aaaa-bbbb-cccc", at(0)).is_none());
        assert_eq!(recovery_code([0; 32]), "aaaa-aaaa-aaaa");
    }
}
