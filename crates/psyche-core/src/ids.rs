//! Identifiers as newtypes, so that a user's id cannot be passed where a session's is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}
uuid_id!(
    /// A session (UUIDv7).
    SessionId
);
uuid_id!(
    /// A person with an account (UUIDv7).
    UserId
);
uuid_id!(
    /// One sign-in of a user on a device (UUIDv7).
    SignInId
);
uuid_id!(
    /// A replica that may own sessions (UUIDv7, new at every start).
    OwnerId
);
uuid_id!(
    /// A tenant. Every row and key carries one; only [`TenantId::DEFAULT`] is in use.
    TenantId
);

impl TenantId {
    /// The only tenant in use.
    pub const DEFAULT: Self = Self(Uuid::nil());
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
text_id!(
    /// An agent's slug within its cast, such as `shadow`.
    AgentId
);
text_id!(
    /// The name a client gave its command (1..=64 characters), or one the server made. Unique within a session.
    CommandId
);
