//! Sessions as lists show them, members, casts, settings.

use std::sync::Arc;

use psyche_core::cast::Cast;
use psyche_core::ids::TenantId;
use psyche_core::port::{NewSession, Parent, Relation, SessionFilter, SessionSummary, StoreError, StoredCast};
use psyche_core::session::SessionStatus;

use super::Store;
use super::build::{Chain, TENANT, append, create, create_owned, row, session_id, summary, user_id};
use super::clock::START;

pub async fn sessions_are_filtered_and_paged<S: Store>(store: &Arc<S>) {
    let (anna, ben) = (user_id(1), user_id(2));
    let cases: [(u128, _, &str, _, &[&str]); 5] = [
        (1, anna, "Das Haus am See", SessionStatus::Created, &["dream"]),
        (2, anna, "100% ÜBER_HAUS", SessionStatus::Running, &["dream", "pilot"]),
        (3, ben, "the house", SessionStatus::Running, &[]),
        (4, ben, "Haus", SessionStatus::Failed, &["dreams"]),
        (5, anna, "elsewhere", SessionStatus::Created, &[]),
    ];
    for (n, owner, name, status, tags) in cases {
        let mut row = row(session_id(n), owner);
        row.summary.name = name.to_owned();
        row.summary.status = status;
        row.summary.tags = tags.iter().map(|t| (*t).to_owned()).collect();
        // 3 is as old as 2: the id decides.
        row.summary.created_at = START.plus_ms(if n == 3 { 2 } else { n as i64 });
        if n == 5 {
            row.tenant = TenantId(uuid::Uuid::from_u128(77));
        }
        store.create(NewSession { row, records: vec![Chain::new().record("session_created", &[])] }).await.unwrap();
    }
    store.set_relation(session_id(3), anna, Relation::Viewer).await.unwrap();

    let all = SessionFilter::default;
    let filters: [(SessionFilter, &[u128]); 10] = [
        (all(), &[4, 3, 2, 1]),
        (SessionFilter { visible_to: Some(anna), ..all() }, &[3, 2, 1]),
        (SessionFilter { visible_to: Some(ben), ..all() }, &[4, 3]),
        (SessionFilter { visible_to: Some(user_id(9)), ..all() }, &[]),
        (SessionFilter { status: Some(SessionStatus::Running), ..all() }, &[3, 2]),
        (SessionFilter { query: Some("haus".to_owned()), ..all() }, &[4, 2, 1]),
        (SessionFilter { query: Some("über_".to_owned()), ..all() }, &[2]),
        (SessionFilter { query: Some("%".to_owned()), ..all() }, &[2]),
        (SessionFilter { tag: Some("dream".to_owned()), ..all() }, &[2, 1]),
        (
            SessionFilter {
                visible_to: Some(anna),
                status: Some(SessionStatus::Running),
                query: Some("H".to_owned()),
                tag: Some("pilot".to_owned()),
                owner: None,
                parent: None,
            },
            &[2],
        ),
    ];
    for (filter, expected) in filters {
        let expected: Vec<_> = expected.iter().map(|n| session_id(*n)).collect();
        for size in [1, 2, 10] {
            let (mut cursor, mut seen) = (None, Vec::new());
            loop {
                let page = store.sessions(TENANT, filter.clone(), cursor, size).await.unwrap();
                assert!(page.items.len() <= size);
                seen.extend(page.items.iter().map(|row| row.summary.session_id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{filter:?} by {size}");
        }
    }
    let refused = store.sessions(TENANT, all(), Some("nonsense".to_owned()), 2).await;
    assert!(matches!(refused, Err(StoreError::NotFound("cursor"))));
}

pub async fn an_append_replaces_the_summary<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    assert_eq!(store.session(session).await.unwrap(), Some(row(session, user_id(1))));
    let mut changed = summary(session, user_id(1));
    "Renamed".clone_into(&mut changed.name);
    changed.status = SessionStatus::Paused;
    changed.reason = Some("budget".to_owned());
    changed.parent = Some(Parent { session_id: session_id(9), generation: 1, seq: 4 });
    changed.spent.cost = 0.1 + 0.2;
    changed.last_activity = START.plus_ms(9);
    let expected = chain.hash;
    let mut batch = append(session, Some(epoch), expected, vec![chain.record("settings_changed", &[])]);
    batch.summary = Some(changed.clone());
    store.append(batch).await.unwrap();
    let stored = store.session(session).await.unwrap().unwrap();
    assert_eq!((stored.tenant, &stored.summary), (TENANT, &changed));
    let found = |query: &str| SessionFilter { query: Some(query.to_owned()), ..SessionFilter::default() };
    assert_eq!(store.sessions(TENANT, found("renamed"), None, 9).await.unwrap().items.len(), 1);
    assert_eq!(store.sessions(TENANT, found("session"), None, 9).await.unwrap().items.len(), 0);

    // Without a summary the row stays.
    let expected = chain.hash;
    store.append(append(session, Some(epoch), expected, vec![chain.record("reset", &[])])).await.unwrap();
    assert_eq!(store.session(session).await.unwrap().unwrap().summary, changed);
}

pub async fn members_relate_to_a_session<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    create(store.as_ref(), session).await;
    let (owner, guest, other) = (user_id(1), user_id(2), user_id(3));
    store.set_relation(session, other, Relation::Participant).await.unwrap();
    store.set_relation(session, guest, Relation::Participant).await.unwrap();
    store.set_relation(session, guest, Relation::Viewer).await.unwrap();
    for (user, relation) in [
        (owner, Relation::Owner),
        (guest, Relation::Viewer),
        (other, Relation::Participant),
        (user_id(9), Relation::None),
    ] {
        assert_eq!(store.relation(session, user).await.unwrap(), relation);
    }
    let members = [(owner, Relation::Owner), (guest, Relation::Viewer), (other, Relation::Participant)];
    assert_eq!(store.members(session).await.unwrap(), members);
    store.set_relation(session, guest, Relation::None).await.unwrap();
    store.set_relation(session, owner, Relation::None).await.unwrap();
    assert_eq!(store.relation(session, guest).await.unwrap(), Relation::None);
    assert_eq!(store.relation(session, owner).await.unwrap(), Relation::Owner, "the owner stays the owner");
    assert_eq!(store.members(session).await.unwrap(), [members[0], members[2]]);
    assert_eq!(store.relation(session_id(9), owner).await.unwrap(), Relation::None);
}

pub async fn a_cast_goes_up_by_one_version<S: Store>(store: &Arc<S>) {
    let cast = |id: &str, version| {
        let cast = Cast { id: id.to_owned(), version, name: format!("{id} {version}"), ..Cast::jungian() };
        StoredCast { tenant: TENANT, cast }
    };
    store.put_cast(cast("b", 3)).await.unwrap();
    store.put_cast(cast("a", 1)).await.unwrap();
    for wrong in [1, 3, 5] {
        let refused = store.put_cast(cast("b", wrong)).await;
        assert!(matches!(refused, Err(StoreError::Conflict("version"))), "{wrong}");
    }
    store.put_cast(cast("b", 4)).await.unwrap();
    assert_eq!(store.cast(TENANT, "b").await.unwrap(), Some(cast("b", 4).cast));
    assert_eq!(store.cast(TENANT, "c").await.unwrap(), None);
    assert_eq!(store.casts(TENANT).await.unwrap(), [cast("a", 1).cast, cast("b", 4).cast]);
    let elsewhere = TenantId(uuid::Uuid::from_u128(77));
    assert_eq!(store.casts(elsewhere).await.unwrap(), []);
    store.delete_cast(TENANT, "b").await.unwrap();
    assert!(matches!(store.delete_cast(TENANT, "b").await, Err(StoreError::NotFound("cast"))));
    store.put_cast(cast("b", 1)).await.unwrap();

    // Of two that saw the same version one is told.
    let racers = futures_util::future::join(store.put_cast(cast("b", 2)), store.put_cast(cast("b", 2))).await;
    assert!(racers.0.is_ok() != racers.1.is_ok());
}

pub async fn settings_are_put_and_removed<S: Store>(store: &Arc<S>) {
    assert_eq!(store.setting("setup_code").await.unwrap(), None);
    for value in [vec![0, 255, 1], Vec::new()] {
        store.put_setting("setup_code", Some(value.clone())).await.unwrap();
        assert_eq!(store.setting("setup_code").await.unwrap(), Some(value));
    }
    assert_eq!(store.setting("setup").await.unwrap(), None);
    for _ in 0..2 {
        store.put_setting("setup_code", None).await.unwrap();
        assert_eq!(store.setting("setup_code").await.unwrap(), None);
    }
}

pub async fn a_probe_succeeds<S: Store>(store: &Arc<S>) {
    store.probe().await.unwrap();
    store.probe().await.unwrap();
}

/// The log of a session that was taken here from elsewhere names another owner.
pub async fn whose_a_session_is_does_not_follow_from_its_log<S: Store>(store: &Arc<S>) {
    let session = session_id(1);
    let (mut chain, epoch) = create_owned(store.as_ref(), session).await;
    let expected = chain.hash;
    let mut batch = append(session, Some(epoch), expected, vec![chain.record("reset", &[])]);
    batch.summary = Some(SessionSummary { round: 9, ..summary(session, user_id(2)) });
    store.append(batch).await.unwrap();
    let row = store.session(session).await.unwrap().unwrap().summary;
    assert_eq!((row.owner, row.round), (user_id(1), 9));
    assert_eq!(store.relation(session, user_id(2)).await.unwrap(), Relation::None);
    let of = |owner| SessionFilter { owner: Some(owner), ..SessionFilter::default() };
    assert_eq!(store.sessions(TENANT, of(user_id(1)), None, 9).await.unwrap().items[0].summary.owner, user_id(1));
    assert!(store.sessions(TENANT, of(user_id(2)), None, 9).await.unwrap().items.is_empty());
}
