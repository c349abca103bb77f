//! Passwords: the rules, Argon2id, and how many hashes may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::error::{Answer, ApiError};

const MIN_CHARS: usize = 12;
const MAX_CHARS: usize = 128;
const MAX_BYTES: usize = 1024;
/// Sign-ins that may wait for a free core.
const QUEUE: usize = 64;

/// Why a password is not accepted, in words for its field.
pub fn check(password: &str, username: &str, email: &str) -> Result<(), String> {
    let chars = password.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&chars) || password.len() > MAX_BYTES {
        return Err(format!("must have {MIN_CHARS} to {MAX_CHARS} characters"));
    }
    let folded = password.to_lowercase();
    let own = [username, email, email.split('@').next().unwrap_or("")];
    if own.iter().any(|name| name.chars().count() >= 4 && folded.contains(&name.to_lowercase())) {
        return Err("must not contain the username or the e-mail address".to_owned());
    }
    Ok(())
}

/// The PHC string of a password. Takes tens of milliseconds of a core; `entropy` makes the salt.
pub fn hash(password: &str, entropy: [u8; 32]) -> Result<String, String> {
    let hash: PasswordHash =
        hasher()?.hash_password_with_salt(password.as_bytes(), &entropy[..16]).map_err(|e| e.to_string())?;
    Ok(hash.to_string())
}

/// OWASP's first choice: 19 MiB, two passes, one lane.
fn hasher() -> Result<Argon2<'static>, String> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| e.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn verify(password: &str, phc: &str) -> bool {
    let (Ok(hasher), Ok(hash)) = (hasher(), PasswordHash::new(phc)) else { return false };
    hasher.verify_password(password.as_bytes(), &hash).is_ok()
}

/// Hashes off the async threads, as many at once as there are cores.
pub(crate) struct Hasher {
    cores: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Verified when there is no user, so that the answer takes as long.
    dummy: String,
}

impl Hasher {
    pub(crate) fn new(entropy: [u8; 32]) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let dummy = hash("nobody's password", entropy)?;
        Ok(Self { cores: Arc::new(Semaphore::new(cores)), waiting: AtomicUsize::new(0), dummy })
    }

    pub(crate) async fn hash(&self, password: String, entropy: [u8; 32]) -> Answer<String> {
        self.off_thread(move || hash(&password, entropy)).await?.map_err(ApiError::internal)
    }

    /// Whether the password is the one of `phc`. Without a hash the work is done all the same, and the answer is no.
    pub(crate) async fn verify(&self, password: String, phc: Option<String>) -> Answer<bool> {
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
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            ("my name is Ada-Lovelace", false),
            ("ada@example.org forever", false),
        ];
        for (password, fine) in cases {
            assert_eq!(check(password, "ada-lovelace", "ada@example.org").is_ok(), fine, "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_only_and_nobody_never() {
        let hasher = Hasher::new([7; 32]).unwrap();
        let phc = hasher.hash("correct horse battery".into(), [1; 32]).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(hasher.verify("correct horse battery".into(), Some(phc.clone())).await.unwrap());
        assert!(!hasher.verify("correct horse".into(), Some(phc)).await.unwrap());
        assert!(!hasher.verify("nobody's password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let hasher = Hasher::new([7; 32]).unwrap();
        hasher.waiting.store(QUEUE, Ordering::Relaxed);
        let error = hasher.verify("x".into(), None).await.unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Unavailable);
    }
}
