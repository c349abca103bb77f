//! Budgets, quotas, and values that are secrets.

use std::sync::Arc;

use psyche_core::audit::AuditType;
use psyche_core::port::{Allowance, AuditFilter, Charge, NewSession, Parent, Role, Spent};
use psyche_core::session::Budget;

use super::Store;
use super::audit::draft;
use super::build::{Chain, TENANT, append, create_owned, new_user, row, session_id, user_id};

pub async fn what_an_append_costs_is_charged_with_it<S: Store>(store: &Arc<S>) {
    let (mut chain, epoch) = create_owned(&**store, session_id(1)).await;
    let charge = |tokens, cost| Charge { tenant: TENANT, user: user_id(1), spent: Spent { tokens, cost } };
    let spent = async |user| store.allowance(TENANT, user).await.unwrap().spent;
    assert_eq!(spent(Some(user_id(1))).await, Spent::default());

    let expected = chain.hash;
    let records = vec![chain.turn(1)];
    let mut first = append(session_id(1), Some(epoch), expected, records);
    first.charge = Some(charge(7, 0.5));
    store.append(first.clone()).await.unwrap();
    // What is refused costs nothing.
    store.append(first).await.unwrap_err();
    for user in [Some(user_id(1)), None] {
        assert_eq!(spent(user).await, Spent { tokens: 7, cost: 0.5 });
    }
    assert_eq!(spent(Some(user_id(2))).await, Spent::default());

    // A server that claims the impossible, or what is no number, does not break the count.
    for (tokens, cost) in [(u64::MAX, f64::NAN), (u64::MAX, f64::INFINITY), (1, -3.0)] {
        let expected = chain.hash;
        let records = vec![chain.record("turn_failed", &[])];
        let more = append(session_id(1), Some(epoch), expected, records);
        store.append(psyche_core::port::Append { charge: Some(charge(tokens, cost)), ..more }).await.unwrap();
    }
    assert_eq!(spent(None).await, Spent { tokens: 8 + 2 * Charge::MOST_TOKENS, cost: 0.5 });
    store.charge(charge(5, 0.25)).await.unwrap();
    assert_eq!(spent(None).await, Spent { tokens: 13 + 2 * Charge::MOST_TOKENS, cost: 0.75 });
    // A deleted session was paid for all the same.
    store.delete(session_id(1)).await.unwrap();
    assert_eq!(spent(Some(user_id(1))).await.tokens, 13 + 2 * Charge::MOST_TOKENS);
}

pub async fn budgets_are_set_and_lifted<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Researcher)).await.unwrap();
    let allowance = async |user| store.allowance(TENANT, user).await.unwrap();
    assert_eq!(allowance(Some(user_id(1))).await, Allowance::default());
    let some = Budget { tokens: Some(100), cost: None };
    for budget in [some, Budget { tokens: None, cost: Some(2.5) }, Budget::default()] {
        store.set_budget(TENANT, Some(user_id(1)), Some(budget)).await.unwrap();
        assert_eq!(allowance(Some(user_id(1))).await.budget, Some(budget));
        assert_eq!(allowance(None).await.budget, None);
    }
    store.set_budget(TENANT, Some(user_id(1)), None).await.unwrap();
    assert_eq!(allowance(Some(user_id(1))).await.budget, None);
    let audited = store.directory_with(vec![draft(AuditType::ConfigChanged, None)]);
    audited.set_budget(TENANT, None, Some(some)).await.unwrap();
    assert_eq!(allowance(None).await.budget, Some(some));
    assert_eq!(store.rows(TENANT, AuditFilter::default(), 9).await.unwrap().len(), 1);

    store.set_budget(TENANT, Some(user_id(1)), Some(some)).await.unwrap();
    store.delete_user(user_id(1)).await.unwrap();
    assert_eq!(allowance(Some(user_id(1))).await, Allowance::default());
}

pub async fn sessions_and_forks_are_counted<S: Store>(store: &Arc<S>) {
    for n in 1..=5 {
        let mut row = row(session_id(n), user_id(n % 2));
        if n > 3 {
            row.summary.parent = Some(Parent { session_id: session_id(1), generation: 1, seq: 1 });
        }
        store.create(NewSession { row, records: vec![Chain::new().record("session_created", &[])] }).await.unwrap();
    }
    let count = async |owner, parent| store.count_sessions(TENANT, owner, parent).await.unwrap();
    assert_eq!(count(None, None).await, 5);
    assert_eq!(count(Some(user_id(1)), None).await, 3);
    assert_eq!(count(None, Some(session_id(1))).await, 2);
    assert_eq!(count(Some(user_id(1)), Some(session_id(1))).await, 1);
    assert_eq!(count(None, Some(session_id(2))).await, 0);
    store.delete(session_id(5)).await.unwrap();
    assert_eq!((count(Some(user_id(1)), None).await, count(None, Some(session_id(1))).await), (2, 1));
}

pub async fn secrets_are_put_changed_and_removed<S: Store>(store: &Arc<S>) {
    let all = async || store.sealed(TENANT, "provider").await.unwrap();
    assert_eq!(all().await, []);
    let put = async |id: &str, value: Option<&str>| {
        store.put_sealed(TENANT, "provider", id, value.map(|v| v.as_bytes().to_vec())).await.unwrap();
    };
    put("b", Some("one")).await;
    put("a", Some("two")).await;
    put("b", Some("three")).await;
    let expected = [("a".to_owned(), b"two".to_vec()), ("b".to_owned(), b"three".to_vec())];
    assert_eq!(all().await, expected);
    assert_eq!(store.sealed(TENANT, "other").await.unwrap(), []);
    put("a", None).await;
    put("nothing", None).await;
    assert_eq!(all().await, expected[1..]);
}
