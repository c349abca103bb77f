//! What people may spend on models, and have spent.

use serde::{Deserialize, Serialize};

use crate::ids::{TenantId, UserId};
use crate::session::Budget;

use super::directory::Spent;

/// Of one user, or of everybody of a tenant together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Absent: what the installation gives everybody.
    pub budget: Option<Budget>,
    /// In all sessions ever, deleted ones too.
    pub spent: Spent,
}

/// Whose budget a model call is counted against besides the session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    /// The owner of the session.
    User,
    Tenant,
}

/// What an append has cost: added to the allowances of the user and the tenant in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charge {
    pub tenant: TenantId,
    pub user: UserId,
    pub spent: Spent,
}

impl Charge {
    /// More tokens than any call has: what a server claims beyond it is not believed, so that counts cannot overflow.
    pub const MOST_TOKENS: u64 = 1 << 40;

    /// As it is added.
    pub fn counted(&self) -> Spent {
        let cost = if self.spent.cost.is_finite() { self.spent.cost.max(0.0) } else { 0.0 };
        Spent { tokens: self.spent.tokens.min(Self::MOST_TOKENS), cost }
    }
}
