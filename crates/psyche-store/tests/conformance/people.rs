//! Accounts and sign-ins.

use std::sync::Arc;

use psyche_core::Timestamp;
use psyche_core::audit::AuditType;
use psyche_core::port::{
    AddressBlock, AuditFilter, NewUser, Relation, ResetToken, Role, Rotation, StoreError, UserPatch, UserStatus,
};

use super::Store;
use super::build::{TENANT, create, new_sign_in, new_user, session_id, sign_in_id, token, user, user_id};
use super::clock::START;

pub async fn users_are_found_by_folded_name_and_patched<S: Store>(store: &Arc<S>) {
    let mut first = user(1, Role::Researcher);
    "Ähre".clone_into(&mut first.username);
    store.create_user(NewUser { user: first.clone(), only_first_admin: false }).await.unwrap();
    for name in ["Ähre", "ähre", "ÄHRE"] {
        assert_eq!(store.user_by_name(TENANT, name).await.unwrap().as_ref(), Some(&first), "{name}");
    }
    assert_eq!(store.user(user_id(1)).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.user(user_id(2)).await.unwrap(), None);
    assert_eq!(store.user_by_name(TENANT, "Ähren").await.unwrap(), None);

    let mut same_name = user(2, Role::Observer);
    "äHRE".clone_into(&mut same_name.username);
    let taken = store.create_user(NewUser { user: same_name, only_first_admin: false }).await;
    assert!(matches!(taken, Err(StoreError::Conflict("username"))));
    let taken = store.create_user(new_user(1, Role::Observer)).await;
    assert!(matches!(taken, Err(StoreError::Conflict("user"))));

    let patch = UserPatch {
        display_name: Some("Ear of corn".to_owned()),
        preferences: Some(serde_json::json!({"font": 12, "nested": {"a": [1.5]}})),
        last_login: Some(START.plus_ms(5)),
        status: Some(UserStatus::Disabled),
        ..UserPatch::default()
    };
    let patched = store.update_user(user_id(1), patch).await.unwrap();
    assert_eq!(patched.display_name, "Ear of corn");
    assert_eq!((patched.status, patched.last_login), (UserStatus::Disabled, Some(START.plus_ms(5))));
    assert_eq!(patched.email, first.email);
    assert_eq!(store.user(user_id(1)).await.unwrap(), Some(patched.clone()));
    assert_eq!(store.update_user(user_id(1), UserPatch::default()).await.unwrap(), patched);
    let nobody = store.update_user(user_id(2), UserPatch::default()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound("user"))));
}

pub async fn the_last_admin_stays<S: Store>(store: &Arc<S>) {
    assert!(!store.has_admin(TENANT).await.unwrap());
    store.create_user(new_user(1, Role::Admin)).await.unwrap();
    store.create_user(new_user(2, Role::Observer)).await.unwrap();
    assert!(store.has_admin(TENANT).await.unwrap());
    let demoted = || UserPatch { role: Some(Role::Researcher), ..UserPatch::default() };
    let disabled = || UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    for fall in [demoted(), disabled()] {
        let refused = store.update_user(user_id(1), fall).await;
        assert!(matches!(refused, Err(StoreError::Conflict("last admin"))), "{refused:?}");
    }
    assert_eq!(store.user(user_id(1)).await.unwrap().unwrap(), user(1, Role::Admin));

    // A disabled admin does not count.
    store.create_user(new_user(3, Role::Admin)).await.unwrap();
    store.update_user(user_id(3), disabled()).await.unwrap();
    assert!(store.update_user(user_id(1), demoted()).await.is_err());
    let active = UserPatch { status: Some(UserStatus::Active), ..UserPatch::default() };
    store.update_user(user_id(3), active).await.unwrap();
    store.update_user(user_id(1), demoted()).await.unwrap();
    assert!(store.update_user(user_id(3), disabled()).await.is_err());
}

pub async fn of_concurrent_first_admins_one_is_made<S: Store>(store: &Arc<S>) {
    let setups = (1..=8).map(|n| {
        let store = Arc::clone(store);
        async move { store.create_user(NewUser { user: user(n, Role::Admin), only_first_admin: true }).await }
    });
    let outcomes = futures_util::future::join_all(setups).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    let late = outcomes.iter().filter(|o| matches!(o, Err(StoreError::Conflict("admin"))));
    assert_eq!(late.count(), 7);
    assert_eq!(store.users(TENANT, None, None, 10).await.unwrap().items.len(), 1);
}

pub async fn users_are_paged_newest_first<S: Store>(store: &Arc<S>) {
    for n in 1..=5 {
        let mut new = new_user(n, Role::Observer);
        if n == 3 {
            // As old as the one before: the id decides.
            new.user.created_at = START.plus_ms(2);
        }
        store.create_user(new).await.unwrap();
    }
    let (mut cursor, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = store.users(TENANT, None, cursor, 2).await.unwrap();
        seen.extend(page.items.iter().map(|u| u.user_id));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(user_id));
    assert_eq!(pages, 3);
    for wrong in ["", "x", "12", "12.", "12.no-uuid", "9999999999999999999999.00000000000000000000000000000001"] {
        let refused = store.users(TENANT, None, Some(wrong.to_owned()), 2).await;
        assert!(matches!(refused, Err(StoreError::NotFound("cursor"))), "{wrong:?}");
    }
}

pub async fn users_are_found_by_a_part_of_their_names<S: Store>(store: &Arc<S>) {
    for n in 1..=12 {
        let mut new = new_user(n, Role::Observer);
        if n % 3 == 0 {
            new.user.display_name = format!("ÄHRE {n}");
        }
        store.create_user(new).await.unwrap();
    }
    let found = |query: &str, cursor, limit| {
        let query = Some(query.to_owned());
        async move {
            let page = store.users(TENANT, query, cursor, limit).await.unwrap();
            (page.items.iter().map(|u| u.user_id).collect::<Vec<_>>(), page.next_cursor)
        }
    };
    let (first, cursor) = found("ähre", None, 3).await;
    assert_eq!(first, [12, 9, 6].map(user_id));
    assert_eq!(found("ähre", cursor, 3).await, (vec![user_id(3)], None));
    assert_eq!(found("USER12@example", None, 9).await, (vec![user_id(12)], None));
    assert_eq!(found("user1", None, 9).await.0, [12, 11, 10, 1].map(user_id));
    assert_eq!(found("nobody", None, 9).await, (Vec::new(), None));
}

pub async fn sign_ins_are_limited_and_revoked<S: Store>(store: &Arc<S>) {
    let unknown = store.create_sign_in(new_sign_in(1), 3).await;
    assert!(matches!(unknown, Err(StoreError::NotFound("user"))));
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    for n in [2, 1, 3] {
        assert_eq!(store.create_sign_in(new_sign_in(n), 3).await.unwrap(), []);
    }
    assert_eq!(store.sign_in(sign_in_id(2)).await.unwrap(), Some(new_sign_in(2).sign_in));
    assert_eq!(store.sign_in(sign_in_id(9)).await.unwrap(), None);
    // The least recently used one gives way, and an expired or revoked one takes no place.
    assert_eq!(store.create_sign_in(new_sign_in(4), 3).await.unwrap(), [sign_in_id(1)]);
    assert!(store.sign_in(sign_in_id(1)).await.unwrap().unwrap().revoked);
    store.revoke_sign_in(sign_in_id(3)).await.unwrap();
    let mut expired = new_sign_in(5);
    expired.sign_in.expires_at = START;
    assert_eq!(store.create_sign_in(expired, 3).await.unwrap(), []);
    assert_eq!(store.create_sign_in(new_sign_in(6), 3).await.unwrap(), []);
    let all = store.sign_ins(user_id(1)).await.unwrap();
    assert_eq!(all.iter().map(|s| s.id).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1].map(sign_in_id));
    assert!(matches!(store.revoke_sign_in(sign_in_id(9)).await, Err(StoreError::NotFound("sign-in"))));
    let taken = store.create_sign_in(new_sign_in(6), 3).await;
    assert!(matches!(taken, Err(StoreError::Conflict("sign-in"))));

    let ended = store.revoke_user(user_id(1), Some(sign_in_id(4))).await.unwrap();
    assert_eq!(ended, [2, 5, 6].map(sign_in_id));
    let live = store.sign_ins(user_id(1)).await.unwrap().into_iter().filter(|s| !s.revoked).map(|s| s.id);
    assert_eq!(live.collect::<Vec<_>>(), [sign_in_id(4)]);
}

/// Sequences of (seconds after the start, presented token, new token, outcome).
pub async fn refresh_tokens_rotate<S: Store>(store: &Arc<S>) {
    const SEQUENCES: &[&[(i64, u128, u128, &str)]] = &[
        // Use after use.
        &[(1, 0, 1, "rotated"), (2, 1, 2, "rotated"), (3, 2, 3, "rotated")],
        // A spent token whose successor was used: stolen. Nothing of the sign-in is good any more.
        &[(1, 0, 1, "rotated"), (2, 1, 2, "rotated"), (3, 0, 4, "reused"), (4, 2, 5, "unknown"), (5, 0, 6, "unknown")],
        // The answer was lost, twice; the last one arrived.
        &[(1, 0, 1, "rotated"), (20, 0, 2, "reissued"), (30, 0, 3, "reissued"), (31, 3, 4, "rotated")],
        // Too late: 30 s after the token was first spent.
        &[(1, 0, 1, "rotated"), (31, 0, 2, "reused"), (32, 1, 3, "unknown")],
        // The lost successor turns up after its replacement was used.
        &[(1, 0, 1, "rotated"), (2, 0, 2, "reissued"), (3, 2, 3, "rotated"), (4, 1, 4, "reused"), (5, 3, 5, "unknown")],
        // The lost successor turns up before: both may be in one person's hands, so it is replaced again.
        &[(1, 0, 1, "rotated"), (2, 0, 2, "reissued"), (3, 1, 3, "reissued"), (4, 3, 4, "rotated")],
    ];
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    for (i, sequence) in SEQUENCES.iter().enumerate() {
        let base = 100 * (i as u128 + 1);
        store.create_sign_in(new_sign_in(base), 100).await.unwrap();
        for (second, old, new, expected) in *sequence {
            let now = START.plus_ms(second * 1000);
            let expires_at = now.plus_ms(60_000);
            let outcome = store.rotate(token(base + old), token(base + new), now, expires_at).await.unwrap();
            let (name, sign_in) = match outcome {
                Rotation::Rotated(s) => ("rotated", Some(s)),
                Rotation::Reissued(s) => ("reissued", Some(s)),
                Rotation::Reused(s) => ("reused", Some(s)),
                Rotation::Unknown => ("unknown", None),
            };
            assert_eq!(name, *expected, "sequence {i}, second {second}");
            let stored = store.sign_in(sign_in_id(base)).await.unwrap().unwrap();
            assert!(sign_in.is_none_or(|s| s == stored), "the answer is what is stored");
            assert_eq!(stored.revoked, matches!(*expected, "reused" | "unknown"), "sequence {i}, second {second}");
            if matches!(*expected, "rotated" | "reissued") {
                assert_eq!((stored.last_seen, stored.expires_at), (now, expires_at));
            }
        }
    }
}

pub async fn unknown_and_dead_sign_ins_do_not_rotate<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    for n in [1, 2, 3] {
        store.create_sign_in(new_sign_in(n), 9).await.unwrap();
    }
    store.revoke_sign_in(sign_in_id(2)).await.unwrap();
    let hour = START.plus_ms(3_600_000);
    let now = START.plus_ms(1);
    let cases: [(u128, Timestamp, &str); 3] = [(9, now, "never issued"), (2, now, "revoked"), (1, hour, "expired")];
    for (n, now, why) in cases {
        let outcome = store.rotate(token(n), token(50), now, hour.plus_ms(1)).await.unwrap();
        assert_eq!(outcome, Rotation::Unknown, "{why}");
    }
    // A token that exists is no new token.
    let clash = store.rotate(token(1), token(3), now, hour).await;
    assert!(matches!(clash, Err(StoreError::Conflict("refresh token"))), "{clash:?}");
    assert!(matches!(store.rotate(token(1), token(51), now, hour).await.unwrap(), Rotation::Rotated(_)));
}

pub async fn the_rights_version_tells_of_every_change<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Researcher)).await.unwrap();
    create(store.as_ref(), session_id(1)).await;
    for n in 1..=3 {
        store.create_sign_in(new_sign_in(n), 3).await.unwrap();
    }
    let mut before = store.rights_version().await.unwrap();
    assert_eq!(before, 0, "accounts, sessions and sign-ins take nobody's rights");
    let mut changed = async |what: &str, expected: bool| {
        let now = store.rights_version().await.unwrap();
        assert_eq!(now != before, expected, "{what}");
        before = now;
    };
    let login = UserPatch { last_login: Some(START), ..UserPatch::default() };
    store.update_user(user_id(1), login).await.unwrap();
    changed("a login takes nobody's rights", false).await;
    let role = UserPatch { role: Some(Role::Observer), ..UserPatch::default() };
    store.update_user(user_id(1), role).await.unwrap();
    changed("a role", true).await;
    store.revoke_sign_in(sign_in_id(1)).await.unwrap();
    changed("a revoked sign-in", true).await;
    store.create_sign_in(new_sign_in(4), 2).await.unwrap();
    changed("a sign-in that gave way", true).await;
    store.revoke_user(user_id(1), None).await.unwrap();
    changed("all sign-ins revoked", true).await;
    let status = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    store.update_user(user_id(1), status).await.unwrap();
    changed("a disabled user", true).await;
    store.set_relation(session_id(1), user_id(1), Relation::Viewer).await.unwrap();
    changed("a relation", true).await;
    store.delete(session_id(1)).await.unwrap();
    changed("a session that is gone", true).await;
}

pub async fn a_reset_token_sets_a_password_once<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    store.create_sign_in(new_sign_in(1), 5).await.unwrap();
    let reset = |n: u128| ResetToken { user_id: user_id(1), hash: token(n), expires_at: START.plus_ms(1000) };
    store.put_reset(reset(50)).await.unwrap();
    store.put_reset(reset(51)).await.unwrap();
    assert_eq!(store.reset_owner(token(50), START).await.unwrap(), None, "a newer one took its place");
    assert_eq!(store.reset_owner(token(51), START).await.unwrap(), Some(user_id(1)));
    assert_eq!(store.reset_owner(token(51), START.plus_ms(1000)).await.unwrap(), None, "too late");
    let spend = async || store.use_reset(token(51), START, "phc-new".to_owned()).await.unwrap();
    assert_eq!(spend().await, Some(user_id(1)));
    assert_eq!(spend().await, None);
    assert_eq!(store.user(user_id(1)).await.unwrap().unwrap().password_hash, "phc-new");
    assert!(store.sign_in(sign_in_id(1)).await.unwrap().unwrap().revoked);
    let nobody = store.put_reset(ResetToken { user_id: user_id(9), ..reset(52) }).await;
    assert!(matches!(nobody, Err(StoreError::NotFound("user"))));

    // A changed password ends the other sign-ins only.
    store.create_sign_in(new_sign_in(2), 5).await.unwrap();
    store.create_sign_in(new_sign_in(3), 5).await.unwrap();
    store.set_password(user_id(1), "phc-third".to_owned(), Some(sign_in_id(2))).await.unwrap();
    assert!(!store.sign_in(sign_in_id(2)).await.unwrap().unwrap().revoked);
    assert!(store.sign_in(sign_in_id(3)).await.unwrap().unwrap().revoked);
    assert_eq!(store.user(user_id(1)).await.unwrap().unwrap().password_hash, "phc-third");
}

pub async fn a_deleted_user_leaves_nothing<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Admin)).await.unwrap();
    let refused = store.delete_user(user_id(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict("last admin"))));
    store.create_user(new_user(2, Role::Researcher)).await.unwrap();
    let mut sign_in = new_sign_in(7);
    sign_in.sign_in.user_id = user_id(2);
    store.create_sign_in(sign_in, 5).await.unwrap();
    create(store.as_ref(), session_id(1)).await;
    store.set_relation(session_id(1), user_id(2), Relation::Viewer).await.unwrap();
    store.record(vec![super::audit::draft(AuditType::LoginSuccess, Some(2))]).await.unwrap();
    let before = store.rights_version().await.unwrap();

    store.delete_user(user_id(2)).await.unwrap();
    assert!(store.rights_version().await.unwrap() > before);
    assert_eq!(store.user(user_id(2)).await.unwrap(), None);
    assert_eq!(store.user_by_name(TENANT, &user(2, Role::Researcher).username).await.unwrap(), None);
    assert_eq!(store.sign_in(sign_in_id(7)).await.unwrap(), None);
    assert_eq!(store.relation(session_id(1), user_id(2)).await.unwrap(), Relation::None);
    let rows = store.rows(TENANT, AuditFilter::default(), 10).await.unwrap();
    assert_eq!(rows[0].personal, None);
    assert!(store.verify().await.unwrap().problems.is_empty(), "the chain stays true");
    assert!(matches!(store.delete_user(user_id(2)).await, Err(StoreError::NotFound("user"))));
    store.create_user(new_user(2, Role::Observer)).await.unwrap();
}

pub async fn addresses_are_blocked_and_lifted<S: Store>(store: &Arc<S>) {
    let block = |address: &str, times: u32| AddressBlock {
        address: address.to_owned(),
        reason: "many failed sign-ins".to_owned(),
        blocked_at: START,
        until: START.plus_ms(1000),
        times,
    };
    let before = store.rights_version().await.unwrap();
    store.put_block(TENANT, block("192.0.2.1", 1)).await.unwrap();
    assert!(store.rights_version().await.unwrap() > before, "other replicas learn of it");
    store.put_block(TENANT, block("192.0.2.1", 2)).await.unwrap();
    store.put_block(TENANT, block("2001:db8::", 1)).await.unwrap();
    assert_eq!(store.blocks(TENANT).await.unwrap(), [block("192.0.2.1", 2), block("2001:db8::", 1)]);
    store.lift_block(TENANT, "192.0.2.1").await.unwrap();
    assert!(matches!(store.lift_block(TENANT, "192.0.2.1").await, Err(StoreError::NotFound("address"))));
    assert_eq!(store.blocks(TENANT).await.unwrap().len(), 1);
}

pub async fn what_has_run_out_is_swept<S: Store>(store: &Arc<S>) {
    store.create_user(new_user(1, Role::Observer)).await.unwrap();
    for n in 1..=2 {
        let mut new = new_sign_in(n);
        new.sign_in.expires_at = START.plus_ms(1000 * n as i64);
        store.create_sign_in(new, 5).await.unwrap();
    }
    assert_eq!(store.sweep(START.plus_ms(1000)).await.unwrap(), 0);
    assert_eq!(store.sweep(START.plus_ms(1001)).await.unwrap(), 1);
    assert_eq!(store.sign_in(sign_in_id(1)).await.unwrap(), None);
    assert!(store.sign_in(sign_in_id(2)).await.unwrap().is_some());
}
