//! Ports: what the mind needs from outside. Object-safe, few and wide; one conformance suite each.

mod allowance;
mod audit;
mod bus;
mod clock;
mod directory;
mod embedder;
mod log;
mod model;

pub use allowance::{Allowance, Charge, Payer};
pub use audit::{AuditCheck, AuditFilter, AuditLog};
pub use bus::{Admission, Bus, EphemeralStore, Live, News, NewsStream};
pub use clock::Clock;
pub use directory::{
    AddressBlock, Consent, Directory, NewSignIn, NewUser, Page, Parent, Relation, ResetToken, Role, Rotation,
    SecondFactor, SessionFilter, SessionRow, SessionSummary, SignIn, Spent, StoredCast, User, UserPatch, UserStatus,
    folded, for_each_session,
};
pub use embedder::{EmbedError, Embedder, EmbedderCard};
pub use log::{Append, AppendError, Claim, EventLog, Head, NewFork, NewSession, Snapshot, StoreError};
pub use model::{
    ChatMessage, ChatRole, CircuitState, Determinism, Finish, GenerateRequest, LanguageModel, ModelCard, ModelCatalog,
    ModelError, ModelErrorKind, ModelEvent, ModelStream, Price, PromptStyle, ProviderDefinition, Sampling, Usage,
};
