//! Passwords: the rules, Argon2id, and how many hashes may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Answer, ApiError};

const MIN_CHARS: usize = 12;
const MAX_CHARS: usize = 128;
const MAX_BYTES: usize = 1024;
/// Sign-ins that may wait for a free core.
const QUEUE: usize = 64;

/// How new passwords are hashed. Hashes of both kinds verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// OWASP's first choice: 19 MiB, two passes, one lane.
    #[default]
    Argon2id,
    /// Twelve rounds. Passwords of more than 72 bytes are refused: it would not look at the rest.
    Bcrypt,
}

const BCRYPT_ROUNDS: u32 = 12;
const BCRYPT_BYTES: usize = 72;
/// zxcvbn: "somewhat guessable" needs 10^6 to 10^8 tries. Anything below is refused.
const LEAST_SCORE: zxcvbn::Score = zxcvbn::Score::Two;

/// The form in which passwords are counted, hashed and compared: the same letters, however they were typed.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Why a password is not accepted, in words for its field.
pub fn check(password: &str, username: &str, email: &str) -> Result<(), String> {
    // Before it is worked on: normalising makes a long text longer.
    let too_long = password.len() > MAX_BYTES;
    let password = if too_long { String::new() } else { normal(password) };
    if too_long || !(MIN_CHARS..=MAX_CHARS).contains(&password.chars().count()) {
        return Err(format!("must have {MIN_CHARS} to {MAX_CHARS} characters"));
    }
    let folded = password.to_lowercase();
    let own = [username, email, email.split('@').next().unwrap_or("")];
    if own.iter().any(|name| name.chars().count() >= 4 && folded.contains(&normal(name).to_lowercase())) {
        return Err("must not contain the username or the e-mail address".to_owned());
    }
    if zxcvbn::zxcvbn(&password, &[username, email]).score() < LEAST_SCORE {
        return Err("is among the first that a guesser tries; take several unrelated words".to_owned());
    }
    Ok(())
}

/// The hash of a password as it is stored. Takes tens of milliseconds of a core; `entropy` makes the salt.
pub fn hash(password: &str, kind: Kind, entropy: [u8; 32]) -> Result<String, String> {
    let password = normal(password);
    let mut salt = [0; 16];
    salt.copy_from_slice(&entropy[..16]);
    match kind {
        Kind::Argon2id => {
            let hash = hasher()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|e| e.to_string())?;
            Ok(hash.to_string())
        }
        Kind::Bcrypt if password.len() > BCRYPT_BYTES => Err(format!("bcrypt takes at most {BCRYPT_BYTES} bytes")),
        Kind::Bcrypt => {
            let parts = bcrypt::hash_with_salt(password, BCRYPT_ROUNDS, salt).map_err(|e| e.to_string())?;
            Ok(parts.format_for_version(bcrypt::Version::TwoB))
        }
    }
}

fn hasher() -> Result<Argon2<'static>, String> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| e.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn is_bcrypt(stored: &str) -> bool {
    stored.starts_with("$2")
}

fn verify(password: &str, stored: &str) -> bool {
    let password = normal(password);
    if is_bcrypt(stored) {
        return bcrypt::verify(password, stored).unwrap_or(false);
    }
    let (Ok(hasher), Ok(hash)) = (hasher(), PasswordHash::new(stored)) else { return false };
    hasher.verify_password(password.as_bytes(), &hash).is_ok()
}

/// Whether a password that was right should be hashed again, because the stored hash is of another kind or cheaper.
pub fn is_outdated(stored: &str, kind: Kind) -> bool {
    match kind {
        Kind::Argon2id => !stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        Kind::Bcrypt => !(is_bcrypt(stored) && stored.get(4..6) == Some("12")),
    }
}

/// Hashes off the async threads, as many at once as there are cores.
pub(crate) struct Hasher {
    cores: Arc<Semaphore>,
    waiting: AtomicUsize,
    kind: Kind,
    /// Verified when there is no user, so that the answer takes as long.
    dummy: String,
    /// Passwords looked at since the start.
    pub checks: AtomicU64,
}

impl Hasher {
    pub(crate) fn new(kind: Kind, entropy: [u8; 32]) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let dummy = hash("nobody's password", kind, entropy)?;
        let cores = Arc::new(Semaphore::new(cores));
        Ok(Self { cores, waiting: AtomicUsize::new(0), kind, dummy, checks: AtomicU64::new(0) })
    }

    pub(crate) async fn hash(&self, password: String, entropy: [u8; 32]) -> Answer<String> {
        let kind = self.kind;
        if kind == Kind::Bcrypt && normal(&password).len() > BCRYPT_BYTES {
            return Err(ApiError::invalid("password", format!("must have at most {BCRYPT_BYTES} bytes")));
        }
        self.off_thread(move || hash(&password, kind, entropy)).await?.map_err(ApiError::internal)
    }

    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        is_outdated(stored, self.kind)
    }

    /// Whether the password is the one of `phc`. Without a hash the work is done all the same, and the answer is no.
    pub(crate) async fn verify(&self, password: String, phc: Option<String>) -> Answer<bool> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        let known = phc.is_some();
        let phc = phc.unwrap_or_else(|| self.dummy.clone());
        Ok(self.off_thread(move || verify(&password, &phc)).await? && known)
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(ApiError::unavailable("too many sign-ins wait for a core"));
        }
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let permit = permit.map_err(ApiError::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules() {
        let cases = [
            ("short", false),
            ("eleven char", false),
            ("twelve chars", true),
            ("пароль из слов", true),
            // Twelve letters, whichever way they are written.
            ("éèàùâêîôûëïü", true),
            ("e\u{301}e\u{300}a\u{300}u\u{300}a\u{302}e\u{302}", false),
            ("password1234", false),
            ("aaaaaaaaaaaaaaaa", false),
            ("qwertyuiop123", false),
            (&"four unrelated words ".repeat(6), true),
            (&"four unrelated words ".repeat(7), false),
            ("my name is Ada-Lovelace", false),
            ("ada@example.org forever", false),
        ];
        for (password, fine) in cases {
            assert_eq!(check(password, "ada-lovelace", "ada@example.org").is_ok(), fine, "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_only_and_nobody_never() {
        let hasher = Hasher::new(Kind::Argon2id, [7; 32]).unwrap();
        let phc = hasher.hash("correct horse battery".into(), [1; 32]).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(hasher.verify("correct horse battery".into(), Some(phc.clone())).await.unwrap());
        assert!(!hasher.verify("correct horse".into(), Some(phc)).await.unwrap());
        assert!(!hasher.verify("nobody's password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn bcrypt_verifies_and_can_be_chosen_and_either_way_old_hashes_are_renewed() {
        // Made by another implementation (Python's bcrypt 4).
        let foreign = "$2b$04$bGpEmnjt.BEUDjLRTIsUEu7X7BV88LhJsCnbYZmZrbPwvY5g8ceOS";
        assert!(verify("correct horse battery", foreign) && !verify("correct horse", foreign));
        assert!(is_bcrypt(foreign) && is_outdated(foreign, Kind::Argon2id) && is_outdated(foreign, Kind::Bcrypt));
        let hasher = Hasher::new(Kind::Bcrypt, [7; 32]).unwrap();
        let stored = hasher.hash("correct horse battery".into(), [1; 32]).await.unwrap();
        assert!(stored.starts_with("$2b$12$"), "{stored}");
        assert!(hasher.verify("correct horse battery".into(), Some(stored.clone())).await.unwrap());
        assert!(!hasher.verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(hasher.hash("ü".repeat(40), [1; 32]).await.is_err(), "80 bytes");
        assert!(!hasher.is_outdated(&stored) && is_outdated(&stored, Kind::Argon2id));
        let argon = hash("correct horse battery", Kind::Argon2id, [1; 32]).unwrap();
        assert!(hasher.verify("correct horse battery".into(), Some(argon.clone())).await.unwrap());
        assert!(hasher.is_outdated(&argon) && !is_outdated(&argon, Kind::Argon2id));
        assert!(is_outdated("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", Kind::Argon2id), "cheaper than today's");
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let hasher = Hasher::new(Kind::Argon2id, [7; 32]).unwrap();
        hasher.waiting.store(QUEUE, Ordering::Relaxed);
        let error = hasher.verify("x".into(), None).await.unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Unavailable);
    }
}
