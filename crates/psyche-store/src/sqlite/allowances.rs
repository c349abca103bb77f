//! Budgets and what was spent of them.

use psyche_core::ids::{TenantId, UserId};
use psyche_core::port::{Allowance, Charge, Spent};
use psyche_core::session::Budget;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::writer::Write;

/// The row of a user, or of the whole tenant.
fn row_of(user: Option<UserId>) -> Vec<u8> {
    user.map_or_else(Vec::new, |user| user.0.as_bytes().to_vec())
}

pub fn find(db: &Connection, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, Fault> {
    let mut select = db.prepare_cached(
        "SELECT limited, max_tokens, max_cost, tokens, cost FROM allowance WHERE tenant = ?1 AND user_id = ?2",
    )?;
    let found = select.query_row(params![tenant.0, row_of(user)], |row| {
        let budget = Budget { tokens: row.get(1)?, cost: row.get(2)? };
        let spent = Spent { tokens: row.get(3)?, cost: row.get(4)? };
        Ok(Allowance { budget: row.get::<_, bool>(0)?.then_some(budget), spent })
    });
    Ok(found.optional()?.unwrap_or_default())
}

pub fn set(write: &Write<'_>, tenant: TenantId, user: Option<UserId>, budget: Option<Budget>) -> Result<(), Fault> {
    let limits = budget.unwrap_or_default();
    let mut upsert = write.db.prepare_cached(
        "INSERT INTO allowance (tenant, user_id, limited, max_tokens, max_cost, tokens, cost)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)
         ON CONFLICT (tenant, user_id) DO UPDATE
         SET limited = excluded.limited, max_tokens = excluded.max_tokens, max_cost = excluded.max_cost",
    )?;
    // A budget beyond what a column holds is one that is never reached.
    let tokens = limits.tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    upsert.execute(params![tenant.0, row_of(user), budget.is_some(), tokens, limits.cost])?;
    Ok(())
}

/// Adds what was spent to the user's row and to the tenant's.
pub fn charge(write: &Write<'_>, charge: &Charge) -> Result<(), Fault> {
    let Spent { tokens, cost } = charge.counted();
    let mut upsert = write.db.prepare_cached(
        "INSERT INTO allowance (tenant, user_id, limited, tokens, cost) VALUES (?1, ?2, 0, ?3, ?4)
         ON CONFLICT (tenant, user_id) DO UPDATE SET tokens = tokens + excluded.tokens, cost = cost + excluded.cost",
    )?;
    for user in [Some(charge.user), None] {
        upsert.execute(params![charge.tenant.0, row_of(user), tokens, cost])?;
    }
    Ok(())
}

pub fn delete(write: &Write<'_>, user: UserId) -> Result<(), Fault> {
    write.db.prepare_cached("DELETE FROM allowance WHERE user_id = ?1")?.execute([row_of(Some(user))])?;
    Ok(())
}
