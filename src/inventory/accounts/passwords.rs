//! Hashing passwords: Argon2id, off the async threads, at most two at a time.
//!
//! Never: a password in a log or in an error.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::rand_core::{OsRng, RngCore};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// 19 MiB, two passes, one lane: the smallest that OWASP recommends (reliability.md “Rate”).
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at a time: two cores, and map reads need them too.
const AT_A_TIME: usize = 2;
/// Longest wait for a turn; some fifty logins at once are served, the rest is told to come back.
const PATIENCE: Duration = Duration::from_secs(3);
/// Letters and digits that nobody takes for another: no 0 O o, 1 l I i, 2 Z z, 5 S s.
const UNAMBIGUOUS: &[u8] = b"abcdefghjkmnpqrtuvwxyACDEFGHJKLMNPQRTUVWXY346789";

/// A bounded place to hash in.
pub struct Hasher {
    turns: Arc<Semaphore>,
    patience: Duration,
}

/// The one of this process.
static SHARED: LazyLock<Hasher> = LazyLock::new(|| Hasher::new(AT_A_TIME, PATIENCE));

/// What an unknown account's password is compared with: the same work, and never a match.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash_now(&random_hex()).ok());

impl Hasher {
    pub fn new(at_a_time: usize, patience: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_a_time)), patience }
    }

    /// Does the work on a thread of its own when it is its turn, or says that there are too many.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::Unavailable {
            code: "login_busy",
            detail: "正在登录的人太多，请稍后重试".to_owned(),
            cause: None,
        };
        let turn = tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that goes away gives no turn free before its hash has ended.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|cause| Error::internal("口令散列中断", cause))
    }

    /// The PHC string of a password.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let password = normal(password);
        self.work(move || hash_now(&password)).await?
    }

    /// Whether the password is the one of this PHC string. Without one the same time is spent, for nothing.
    pub async fn verify(&self, password: &str, phc: Option<String>) -> Result<bool> {
        let password = normal(password);
        self.work(move || {
            let known = phc.is_some();
            let Some(phc) = phc.or_else(|| NOBODY.clone()) else { return false };
            let matches = PasswordHash::new(&phc)
                .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
            matches && known
        })
        .await
    }
}

pub async fn hash(password: &str) -> Result<String> {
    SHARED.hash(password).await
}

pub async fn verify(password: &str, phc: Option<String>) -> Result<bool> {
    SHARED.verify(password, phc).await
}

/// Makes the hash that unknown accounts are compared with, so that the first of them takes no longer than the others.
pub fn warm() {
    LazyLock::force(&NOBODY);
}

/// One text, whatever the keyboard composed it of (RFC 8265, OpaqueString).
fn normal(password: &str) -> String {
    password.nfc().collect()
}

fn hash_now(password: &str) -> Result<String> {
    let failed =
        |cause: &dyn std::fmt::Display| Error::internal("口令散列失败", std::io::Error::other(cause.to_string()));
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|cause| failed(&cause))?;
    let salt = SaltString::generate(&mut OsRng);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|phc| phc.to_string())
        .map_err(|cause| failed(&cause))
}

/// 256 random bits, written in hexadecimal.
pub fn random_hex() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is stored of a random secret. There is nothing to guess in 256 bits, so no slow hash is needed.
pub fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// A password to be read off a screen and typed: four groups of six, 133 bits.
pub fn random_password() -> String {
    let mut text = String::new();
    while text.len() < 27 {
        if text.len() % 7 == 6 {
            text.push('-');
        }
        let byte = usize::from((OsRng.next_u32() >> 24) as u8);
        // What is left over above the last whole round would come more often.
        if byte < 256 - 256 % UNAMBIGUOUS.len() {
            text.push(char::from(UNAMBIGUOUS[byte % UNAMBIGUOUS.len()]));
        } else if text.ends_with('-') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let phc = hash("湘江北去 2026").await.expect("hash");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(phc, hash("湘江北去 2026").await.expect("hash"), "each hash has a salt of its own");
        assert!(verify("湘江北去 2026", Some(phc.clone())).await.expect("verified"));
        assert!(!verify("湘江北去 2027", Some(phc)).await.expect("verified"));
        assert!(!verify("湘江北去 2026", None).await.expect("verified"));
        // é in one piece and in two.
        let phc = hash("caf\u{e9} au lait").await.expect("hash");
        assert!(verify("cafe\u{301} au lait", Some(phc)).await.expect("verified"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_than_two_hashes_run_at_a_time() {
        let hasher = Arc::new(Hasher::new(2, Duration::from_millis(50)));
        let (started, starts) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let held: Vec<_> = (0..2)
            .map(|_| {
                let (hasher, started, gate) = (Arc::clone(&hasher), started.clone(), Arc::clone(&gate));
                tokio::spawn(async move {
                    hasher
                        .work(move || {
                            started.send(()).expect("told");
                            gate.lock().expect("gate").recv().expect("released");
                        })
                        .await
                })
            })
            .collect();
        for _ in 0..2 {
            starts.recv_timeout(Duration::from_secs(20)).expect("two run");
        }
        let refused = hasher.hash("the third waits in vain").await.expect_err("refused");
        assert_eq!(refused.code(), "login_busy");
        for _ in 0..2 {
            release.send(()).expect("released");
        }
        for work in held {
            work.await.expect("joined").expect("worked");
        }
        hasher.hash("now it is its turn").await.expect("hashed");
    }

    #[test]
    fn random_passwords_can_be_read_aloud() {
        let password = random_password();
        assert_eq!(password.len(), 27);
        for (at, c) in password.bytes().enumerate() {
            assert_eq!(c == b'-', at % 7 == 6, "{password}");
            assert!(c == b'-' || UNAMBIGUOUS.contains(&c), "{password}");
        }
        assert_ne!(password, random_password());
    }
}
