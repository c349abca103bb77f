//! Words and their commitments: what an event proves of a text without holding it (docs/adr/0001).

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::UserId;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the chain starts from.
    pub const ZERO: Self = Self([0; 32]);

    /// The 64 hex digits, without an allocation: every stored text has one.
    fn digits<'a>(&self, buffer: &'a mut [u8; 64]) -> &'a str {
        // The buffer fits and hex digits are UTF-8: neither can fail.
        let _ = hex::encode_to_slice(self.0, buffer);
        std::str::from_utf8(buffer).unwrap_or_default()
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits(&mut [0; 64]))
    }
}
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::str::FromStr for Hash {
    type Err = hex::FromHexError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(s, &mut bytes)?;
        Ok(Self(bytes))
    }
}
impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits(&mut [0; 64]))
    }
}
impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Sixteen random bytes that keep a commitment from being guessed.
pub type Salt = [u8; 16];

/// SHA-256 of salt and text.
pub fn commitment(salt: &Salt, text: &str) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(text.as_bytes());
    Hash(hasher.finalize().into())
}

/// Whose key seals a text, and so whose erasure removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The session itself: what agents say.
    Session,
    /// A person's own words.
    User(UserId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.strip_prefix("user:") {
            _ if s == "session" => Ok(Self::Session),
            Some(id) => id.parse().map(Self::User).map_err(|e| format!("subject {s:?}: {e}")),
            None => Err(format!("subject {s:?} is neither `session` nor `user:<id>`")),
        }
    }
}

/// A text inside an event. In a frame it is a plain string, in a stored body only its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    Plain {
        text: String,
        salt: Salt,
        subject: Subject,
    },
    /// Known only by its commitment: the state between reading a body and joining its texts.
    Committed(Hash),
    /// The text and its salt are gone for good.
    Erased(Hash),
    /// What is left of a text that quoted somebody whose words were erased.
    Masked {
        text: String,
        /// What the body commits to: the text as it was.
        committed: Hash,
    },
    /// A text of an event's first version that stands in the body itself: neither sealed nor to be erased.
    Open(String),
}

/// What an erased text reads as.
pub const ERASED: &str = "[erased]";

impl Words {
    pub fn new(text: impl Into<String>, subject: Subject, salts: &mut Salts) -> Self {
        Self::Plain { text: text.into(), salt: salts.draw(), subject }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain { text, .. } | Self::Masked { text, .. } | Self::Open(text) => text,
            Self::Committed(_) | Self::Erased(_) => ERASED,
        }
    }

    /// Whose words they are, where that is still known.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::Plain { subject, .. } => Some(*subject),
            _ => None,
        }
    }

    pub fn is_erased(&self) -> bool {
        matches!(self, Self::Erased(_))
    }

    /// What a body says of the text; nothing where it holds the text itself.
    pub fn commitment(&self) -> Option<Hash> {
        match self {
            Self::Plain { text, salt, .. } => Some(commitment(salt, text)),
            Self::Committed(hash) | Self::Erased(hash) | Self::Masked { committed: hash, .. } => Some(*hash),
            Self::Open(_) => None,
        }
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain { text, .. } | Self::Masked { text, .. } | Self::Open(text) => serializer.serialize_str(text),
            Self::Erased(_) => serializer.serialize_str(ERASED),
            Self::Committed(hash) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("sha256", hash)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Words {
    /// Reads the form of a stored body, `{"sha256": …}`; the text is joined afterwards. Some texts of events' first
    /// versions stand there in plain form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a commitment {\"sha256\": …}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words::Open(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let hash = match map.next_entry::<String, Hash>()? {
                    Some((key, hash)) if key == "sha256" => hash,
                    _ => return Err(de::Error::missing_field("sha256")),
                };
                Ok(Words::Committed(hash))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Where salts come from: fresh entropy, or the record when a session is run again.
#[derive(Debug)]
pub enum Salts {
    Fresh(Box<ChaCha20Rng>),
    Recorded(std::vec::IntoIter<Salt>),
}

impl Salts {
    /// Salts from 32 bytes of the operating system's randomness.
    pub fn fresh(entropy: [u8; 32]) -> Self {
        Self::Fresh(Box::new(ChaCha20Rng::from_seed(entropy)))
    }

    pub fn recorded(salts: Vec<Salt>) -> Self {
        Self::Recorded(salts.into_iter())
    }

    /// The next salt. A record that ran out gives zeros: the hash then differs and `verify` says where.
    fn draw(&mut self) -> Salt {
        match self {
            Self::Fresh(rng) => {
                let mut salt = [0; 16];
                rng.fill_bytes(&mut salt);
                salt
            }
            Self::Recorded(salts) => salts.next().unwrap_or_default(),
        }
    }
}
