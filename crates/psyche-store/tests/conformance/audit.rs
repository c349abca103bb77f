//! The audit trail.

use std::sync::Arc;

use psyche_core::audit::{AuditDraft, AuditRow, AuditType, Outcome, Personal, Severity};
use psyche_core::port::{AuditFilter, NewUser, Role, Rotation, StoreError, UserPatch};

use super::Store;
use super::build::{TENANT, new_sign_in, new_user, session_id, token, user, user_id};
use super::clock::START;

pub fn draft(event_type: AuditType, user: Option<u128>) -> AuditDraft {
    AuditDraft {
        tenant: TENANT,
        event_type,
        severity: Severity::Low,
        at: START,
        user_id: user.map(user_id),
        session_id: None,
        request_id: "request-1".to_owned(),
        outcome: Outcome::Success,
        personal: Personal { username: Some("ada".to_owned()), ip_address: Some("192.0.2.7".to_owned()) },
        details: serde_json::json!({"n": 1, "why": "because"}),
    }
}

async fn rows<S: Store>(store: &Arc<S>, filter: AuditFilter) -> Vec<AuditRow> {
    store.rows(TENANT, filter, 100).await.unwrap()
}

async fn types<S: Store>(store: &Arc<S>) -> Vec<AuditType> {
    rows(store, AuditFilter::default()).await.iter().map(|row| row.event_type).collect()
}

pub async fn rows_are_chained_and_filtered<S: Store>(store: &Arc<S>) {
    assert!(store.verify().await.unwrap().problems.is_empty(), "an empty trail is whole");
    let about_session = AuditDraft { session_id: Some(session_id(5)), ..draft(AuditType::AccessGranted, Some(2)) };
    let severe = AuditDraft { severity: Severity::High, at: START.plus_ms(10), ..draft(AuditType::Suspicious, None) };
    store.record(vec![draft(AuditType::LoginSuccess, Some(1)), about_session]).await.unwrap();
    store.record(vec![severe]).await.unwrap();

    let all = rows(store, AuditFilter::default()).await;
    assert_eq!(all.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(all[0].personal, Some(draft(AuditType::LoginSuccess, None).personal));
    assert_eq!(all[0].details, draft(AuditType::LoginSuccess, None).details);
    let check = store.verify().await.unwrap();
    assert_eq!((check.rows, check.first_seq, check.last_seq), (3, 1, 3));
    assert!(check.problems.is_empty(), "{:?}", check.problems);

    let base = AuditFilter::default;
    let cases = [
        (AuditFilter { from: Some(1), ..base() }, vec![2, 3]),
        (AuditFilter { newest_first: true, ..base() }, vec![3, 2, 1]),
        (AuditFilter { newest_first: true, from: Some(3), ..base() }, vec![2, 1]),
        (AuditFilter { event_types: vec![AuditType::Suspicious, AuditType::AccessGranted], ..base() }, vec![2, 3]),
        (AuditFilter { severity: Some(Severity::High), ..base() }, vec![3]),
        (AuditFilter { user_id: Some(user_id(2)), ..base() }, vec![2]),
        (AuditFilter { session_id: Some(session_id(5)), ..base() }, vec![2]),
        (AuditFilter { start: Some(START.plus_ms(1)), ..base() }, vec![3]),
        (AuditFilter { end: Some(START), ..base() }, vec![1, 2]),
    ];
    for (filter, expected) in cases {
        let found: Vec<_> = rows(store, filter.clone()).await.iter().map(|row| row.seq).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    assert_eq!(store.rows(TENANT, base(), 2).await.unwrap().len(), 2);
}

pub async fn a_write_and_its_row_are_one<S: Store>(store: &Arc<S>) {
    let created = store.directory_with(vec![draft(AuditType::PermissionChanged, Some(1))]);
    created.create_user(NewUser { user: user(1, Role::Admin), only_first_admin: false }).await.unwrap();
    assert_eq!(types(store).await, [AuditType::PermissionChanged]);
    // The row was taken along; a second write has none.
    created.update_user(user_id(1), UserPatch::default()).await.unwrap();
    assert_eq!(types(store).await.len(), 1);
    // A write that is refused leaves no row.
    let demote = UserPatch { role: Some(Role::Observer), ..UserPatch::default() };
    let refused = store.directory_with(vec![draft(AuditType::PermissionChanged, Some(1))]);
    let refused = refused.update_user(user_id(1), demote).await;
    assert!(matches!(refused, Err(StoreError::Conflict("last admin"))));
    assert_eq!(types(store).await.len(), 1);
}

pub async fn a_rotation_takes_the_row_that_fits<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    store.create_sign_in(new_sign_in(100), 5).await.unwrap();
    let both = || vec![draft(AuditType::TokenRefresh, None), draft(AuditType::TokenReuse, None)];
    let at = |s: i64| START.plus_ms(s * 1000);
    let rotate = async |old: u128, new: u128, second: i64| {
        store.directory_with(both()).rotate(token(old), token(new), at(second), at(600)).await.unwrap()
    };
    assert!(matches!(rotate(100, 101, 1).await, Rotation::Rotated(_)));
    assert!(matches!(rotate(999, 998, 2).await, Rotation::Unknown));
    assert!(matches!(rotate(101, 102, 3).await, Rotation::Rotated(_)));
    assert!(matches!(rotate(100, 103, 4).await, Rotation::Reused(_)));
    assert_eq!(types(store).await, [AuditType::TokenRefresh, AuditType::TokenRefresh, AuditType::TokenReuse]);
    let whose: Vec<_> = rows(store, AuditFilter::default()).await.iter().map(|row| row.user_id).collect();
    assert_eq!(whose, [Some(user_id(1)); 3], "the store knows whose sign-in it is");
}

pub async fn pruning_keeps_the_chain<S: Store>(store: &Arc<S>) {
    for n in 0..6 {
        let row = AuditDraft { at: START.plus_ms(n * 1000), ..draft(AuditType::Logout, None) };
        store.record(vec![row]).await.unwrap();
    }
    assert_eq!(store.prune(START).await.unwrap(), 0);
    assert_eq!(store.prune(START.plus_ms(3500)).await.unwrap(), 4);
    let check = store.verify().await.unwrap();
    assert_eq!((check.rows, check.first_seq, check.last_seq), (2, 5, 6));
    assert!(check.problems.is_empty(), "{:?}", check.problems);
    assert_eq!(store.prune(START.plus_ms(60_000)).await.unwrap(), 2);
    store.record(vec![draft(AuditType::Logout, None)]).await.unwrap();
    let check = store.verify().await.unwrap();
    assert_eq!((check.rows, check.last_seq), (1, 7), "numbers go on");
    assert!(check.problems.is_empty(), "{:?}", check.problems);
}

pub async fn concurrent_rows_make_one_chain<S: Store>(store: &Arc<S>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let rows = vec![draft(AuditType::LoginFailure, Some(n)), draft(AuditType::LoginFailure, None)];
            store.record(rows).await.unwrap();
        });
    }
    tasks.join_all().await;
    let check = store.verify().await.unwrap();
    assert_eq!((check.rows, check.last_seq), (40, 40));
    assert!(check.problems.is_empty(), "{:?}", check.problems);
}
