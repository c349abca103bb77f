//! Budgets and what was spent of them. Appends charge within their own statement (`records.rs`). A connection counts in a
//! part of its own, as far as there are enough: nobody waits for another's commit.

use deadpool_postgres::GenericClient;
use psyche_core::ids::{TenantId, UserId};
use psyche_core::port::{Allowance, Charge, Spent};
use psyche_core::session::Budget;
use uuid::Uuid;

use super::fault::Fault;
use super::{column, number};

/// The row of a user, or of the whole tenant. All zero is a user too: who runs a conversation without an account.
pub fn row_of(user: Option<UserId>) -> Uuid {
    user.map_or_else(Uuid::max, |user| user.0)
}

pub async fn find(db: &impl GenericClient, tenant: TenantId, user: Option<UserId>) -> Result<Allowance, Fault> {
    let sql = "SELECT limited, max_tokens, max_cost, tokens, cost FROM allowance_in_all
               WHERE tenant = $1 AND user_id = $2";
    let select = db.prepare_cached(sql).await?;
    let Some(row) = db.query_opt(&select, &[&tenant.0, &row_of(user)]).await? else { return Ok(Allowance::default()) };
    let most = row.get::<_, Option<i64>>(1).map(|tokens| number(tokens, "budget")).transpose()?;
    let budget = Budget { tokens: most, cost: row.get(2) };
    let spent = Spent { tokens: number(row.get(3), "count of tokens")?, cost: row.get(4) };
    Ok(Allowance { budget: row.get::<_, bool>(0).then_some(budget), spent })
}

pub async fn set(
    db: &impl GenericClient,
    tenant: TenantId,
    user: Option<UserId>,
    budget: Option<Budget>,
) -> Result<(), Fault> {
    let limits = budget.unwrap_or_default();
    let upsert = db
        .prepare_cached(
            "INSERT INTO allowance (tenant, user_id, limited, max_tokens, max_cost, tokens, cost)
             VALUES ($1, $2, $3, $4, $5, 0, 0)
             ON CONFLICT (tenant, user_id) DO UPDATE
             SET limited = excluded.limited, max_tokens = excluded.max_tokens, max_cost = excluded.max_cost",
        )
        .await?;
    // A budget beyond what a column holds is one that is never reached.
    let tokens = limits.tokens.map(column);
    db.execute(&upsert, &[&tenant.0, &row_of(user), &budget.is_some(), &tokens, &limits.cost]).await?;
    Ok(())
}

/// Adds what was spent to the user's row and to the tenant's, always in this order.
pub async fn charge(db: &impl GenericClient, charge: &Charge) -> Result<(), Fault> {
    let Spent { tokens, cost } = charge.counted();
    let upsert = db
        .prepare_cached(
            "INSERT INTO spent AS s (tenant, user_id, part, tokens, cost) VALUES ($1, $2, pg_backend_pid() % 64, $3, $4)
             ON CONFLICT (tenant, user_id, part) DO UPDATE
             SET tokens = s.tokens + excluded.tokens, cost = s.cost + excluded.cost",
        )
        .await?;
    for user in [Some(charge.user), None] {
        db.execute(&upsert, &[&charge.tenant.0, &row_of(user), &column(tokens), &cost]).await?;
    }
    Ok(())
}

pub async fn delete(db: &impl GenericClient, user: UserId) -> Result<(), Fault> {
    db.execute("DELETE FROM allowance WHERE user_id = $1", &[&user.0]).await?;
    db.execute("DELETE FROM spent WHERE user_id = $1", &[&user.0]).await?;
    Ok(())
}
