//! Who belongs to a session is in its log.

use psyche_core::event::{Belonging, Payload, UserSession};
use psyche_core::port::{Directory as _, NewUser, Relation, Role, User, UserStatus};
use psyche_core::session::{Action, NoArgs, Relate, SessionStatus, SessionType, TurnOrder};
use psyche_core::words::Subject;
use psyche_core::{SessionId, TenantId, Timestamp, UserId};
use psyche_engine::NewRun;

use crate::support::{PERSON, World, is_status, run, send, until};
use crate::{memory, scripted};

const ADA: UserId = UserId(uuid::Uuid::from_u128(8));
const BOB: UserId = UserId(uuid::Uuid::from_u128(9));

fn relate(user_id: UserId, relation: Relation) -> Relate {
    Relate { user_id, username: format!("user {user_id}"), relation, by: PERSON }
}

async fn told(world: &World, id: SessionId) -> Vec<UserSession> {
    let events = world.events(id).await;
    events.into_iter().filter_map(|e| if let Payload::UserSession(u) = e.payload { Some(u) } else { None }).collect()
}

fn owner() -> User {
    User {
        user_id: PERSON,
        tenant: TenantId::DEFAULT,
        username: "the owner".to_owned(),
        display_name: String::new(),
        email: String::new(),
        role: Role::Researcher,
        status: UserStatus::Active,
        password_hash: String::new(),
        preferences: serde_json::Value::Null,
        last_login: None,
        created_at: Timestamp(0),
        second_factor: None,
        consents: Vec::new(),
    }
}

#[tokio::test]
async fn belonging_is_told_once_a_change_and_can_be_run_again() {
    let store = memory();
    store.create_user(NewUser { user: owner(), only_first_admin: false }).await.unwrap();
    let world = World::new(store, scripted());
    let engine = world.engine();
    let shared = NewRun { session_type: SessionType::Shared, ..run(TurnOrder::Sequential, Some(1)) };
    let id = engine.create(shared).await.unwrap().session_id;
    for (user, relation) in [
        (ADA, Relation::Viewer),
        (ADA, Relation::Viewer),
        (BOB, Relation::Participant),
        (ADA, Relation::Participant),
        (BOB, Relation::None),
        (BOB, Relation::None),
    ] {
        engine.relate(id, relate(user, relation)).await.unwrap();
    }
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    until(&mut news, is_status(SessionStatus::Stopped)).await;
    engine.relate(id, relate(PERSON, Relation::None)).await.unwrap();

    let events = told(&world, id).await;
    let seen: Vec<_> = events.iter().map(|e| (e.user_id, e.action, e.metadata.relation, e.participant_count)).collect();
    assert_eq!(
        seen,
        [
            (PERSON, Belonging::Created, Relation::Owner, 1),
            (ADA, Belonging::Joined, Relation::Viewer, 2),
            (BOB, Belonging::Joined, Relation::Participant, 3),
            (ADA, Belonging::Updated, Relation::Participant, 3),
            (BOB, Belonging::Left, Relation::None, 2),
            (PERSON, Belonging::Terminated, Relation::None, 1),
        ]
    );
    assert_eq!(events[0].username.as_str(), "the owner");
    assert!(events.iter().all(|e| e.metadata.by == PERSON && e.session_type == SessionType::Shared));
    world.check(id).await;

    // The name of somebody who is erased goes, and the rest can still be run again.
    engine.erase(None, Subject::User(ADA)).await.unwrap();
    let names: Vec<_> = told(&world, id).await.iter().map(|e| e.username.as_str().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| *name == "[erased]").count(), 2, "{names:?}");
    world.check(id).await;
}

#[tokio::test]
async fn a_session_for_one_tells_nothing_until_there_are_others() {
    let store = memory();
    store.create_user(NewUser { user: owner(), only_first_admin: false }).await.unwrap();
    let world = World::new(store, scripted());
    let engine = world.engine();
    let id = engine.create(run(TurnOrder::Sequential, Some(1))).await.unwrap().session_id;
    engine.relate(id, relate(PERSON, Relation::None)).await.unwrap();
    assert_eq!(told(&world, id).await, []);
    engine.relate(id, relate(ADA, Relation::Viewer)).await.unwrap();
    engine.relate(id, relate(BOB, Relation::Viewer)).await.unwrap();
    let counts: Vec<_> = told(&world, id).await.iter().map(|e| e.participant_count).collect();
    assert_eq!(counts, [2, 3]);
    world.check(id).await;
}
