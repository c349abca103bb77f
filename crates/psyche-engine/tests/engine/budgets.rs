//! Budgets of people and of everybody together, and how much of a thing there may be.

use psyche_core::event::Payload;
use psyche_core::port::{Directory as _, LanguageModel as _, ModelCard, Payer, Price};
use psyche_core::session::{Action, AnnotateArgs, Budget, NoArgs, SessionStatus, StopArgs, TurnOrder};
use psyche_core::{AgentId, SessionId, TenantId};
use psyche_engine::{Engine, EngineError, Options};
use psyche_store::memory::MemoryStore;

use crate::support::{PERSON, World, run, send, until};
use crate::{memory, scripted};

fn engine(world: &World, options: Options) -> Engine {
    Engine::start(world.ports.clone(), options)
}

fn tokens(most: u64) -> Budget {
    Budget { tokens: Some(most), cost: None }
}

/// Starts sessions at once and waits until each is paused. Gives whose budget each names.
async fn run_out(world: &World, engine: &Engine, sessions: &[SessionId], name: &str) -> Vec<Option<Payer>> {
    let mut follow: Vec<_> = sessions.iter().map(|id| world.follow(*id)).collect();
    for id in sessions {
        send(engine, *id, name, Action::Start(NoArgs {})).await.unwrap();
    }
    let mut payers = Vec::new();
    for news in &mut follow {
        let paused = |p: &Payload| matches!(p, Payload::SessionStatusChanged(c) if c.status == SessionStatus::Paused);
        let events = until(news, paused).await;
        let change = events.iter().rev().find_map(|e| match &e.payload {
            Payload::SessionStatusChanged(change) => Some(change.clone()),
            _ => None,
        });
        let change = change.unwrap();
        assert_eq!((change.reason.as_deref(), change.actor.as_str()), (Some("budget_exceeded"), "system"));
        payers.push(change.budget);
    }
    payers
}

async fn create(engine: &Engine, how_many: usize) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for _ in 0..how_many {
        sessions.push(engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id);
    }
    sessions
}

async fn spent(store: &MemoryStore) -> u64 {
    store.allowance(TenantId::DEFAULT, Some(PERSON)).await.unwrap().spent.tokens
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_a_user_share_one_budget_and_never_pass_it() {
    let store = memory();
    let world = World::new(store.clone(), scripted());
    let options = Options { user_budget: tokens(30_000), ..Options::default() };
    let engine = engine(&world, options.clone());
    let sessions = create(&engine, 4).await;
    let payers = run_out(&world, &engine, &sessions, "go").await;
    assert_eq!(payers, [Some(Payer::User); 4]);
    let first = spent(&store).await;
    let by_sessions = async |engine: &Engine| {
        let mut sum = 0;
        for id in &sessions {
            sum += engine.read(*id, |s| s.spent.tokens).await.unwrap();
        }
        sum
    };
    assert_eq!(first, by_sessions(&engine).await, "each token is charged once");
    assert!(first > 0 && first <= 30_000, "{first}");
    for id in &sessions {
        world.check(*id).await;
    }
    engine.shutdown(std::time::Duration::from_secs(5)).await;

    // It is as spent after a restart, and an own budget of the person goes before that of everybody.
    let engine = self::engine(&world, options);
    assert_eq!(run_out(&world, &engine, &sessions[..1], "again").await, [Some(Payer::User)]);
    // What the others' turns still held at the end is free now, and may be enough for a turn more.
    let again = spent(&store).await;
    assert!((first..=30_000).contains(&again), "{again} after {first}");
    store.set_budget(TenantId::DEFAULT, Some(PERSON), Some(tokens(40_000))).await.unwrap();
    assert_eq!(run_out(&world, &engine, &sessions[..2], "more").await, [Some(Payer::User); 2]);
    let second = spent(&store).await;
    assert!(second > first && second <= 40_000, "{second}");
    assert_eq!(second, by_sessions(&engine).await);

    // What everybody spends together is a budget of its own.
    store.set_budget(TenantId::DEFAULT, Some(PERSON), Some(Budget::default())).await.unwrap();
    store.set_budget(TenantId::DEFAULT, None, Some(tokens(second + 5_000))).await.unwrap();
    assert_eq!(run_out(&world, &engine, &sessions[..1], "all").await, [Some(Payer::Tenant)]);
    assert!(spent(&store).await <= second + 5_000);
    world.check(sessions[0]).await;
}

/// Whether somebody has a budget is not looked up at every turn, and not once for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_given_to_somebody_without_one_holds_for_sessions_that_run() {
    let store = memory();
    let world = World::new(store.clone(), scripted());
    let engine = engine(&world, Options::default());
    let sessions = create(&engine, 2).await;
    let mut follow: Vec<_> = sessions.iter().map(|id| world.follow(*id)).collect();
    for id in &sessions {
        send(&engine, *id, "go", Action::Start(NoArgs {})).await.unwrap();
    }
    until(&mut follow[0], |p| matches!(p, Payload::TurnCommitted(c) if c.turn >= 10)).await;
    store.set_budget(TenantId::DEFAULT, Some(PERSON), Some(tokens(1))).await.unwrap();
    for news in &mut follow {
        let over = |p: &Payload| matches!(p, Payload::SessionStatusChanged(c) if c.reason.as_deref() == Some("budget_exceeded"));
        until(news, over).await;
    }
    for id in sessions {
        world.check(id).await;
    }
}

#[tokio::test]
async fn a_budget_in_money_is_reserved_at_the_models_price() {
    let store = memory();
    let model = scripted();
    let card = ModelCard { price: Price { input: 1.0, output: 5.0 }, ..model.card().clone() };
    let world = World::new(store.clone(), model.with_card(card));
    let most = 0.02;
    let user_budget = Budget { tokens: None, cost: Some(most) };
    let engine = engine(&world, Options { user_budget, ..Options::default() });
    let sessions = create(&engine, 2).await;
    assert_eq!(run_out(&world, &engine, &sessions, "go").await, [Some(Payer::User); 2]);
    let cost = store.allowance(TenantId::DEFAULT, Some(PERSON)).await.unwrap().spent.cost;
    assert!(cost > 0.0 && cost <= most, "{cost}");
}

#[tokio::test]
async fn interviews_are_paid_from_the_same_budget() {
    let store = memory();
    let world = World::new(store.clone(), scripted());
    let engine = engine(&world, Options { user_budget: tokens(5_000), ..Options::default() });
    let id = create(&engine, 1).await[0];
    let mut answers = 0;
    let refused = loop {
        match engine.interview(id, &AgentId::new("ego"), "Who are you?").await {
            Ok(_) => answers += 1,
            Err(error) => break error,
        }
        assert!(answers < 100, "the budget holds nobody back");
    };
    assert!(answers > 0 && matches!(refused, EngineError::OverBudget), "{answers}: {refused}");
    let spent = spent(&store).await;
    assert!(spent > 0 && spent <= 5_000, "{spent}");
    // A refused one costs nothing, and holds nothing: with more to spend it goes on.
    store.set_budget(TenantId::DEFAULT, Some(PERSON), Some(tokens(spent * 2))).await.unwrap();
    engine.interview(id, &AgentId::new("ego"), "Who are you?").await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_full_pauses_its_session_and_takes_no_more() {
    let world = World::new(memory(), scripted());
    let engine = engine(&world, Options { events_per_session: 200, ..Options::default() });
    let id = create(&engine, 1).await[0];
    let mut news = world.follow(id);
    send(&engine, id, "go", Action::Start(NoArgs {})).await.unwrap();
    let full = |p: &Payload| matches!(p, Payload::SessionStatusChanged(c) if c.reason.as_deref() == Some("storage"));
    until(&mut news, full).await;
    let note = || Action::Annotate(AnnotateArgs { seq: 1, text: "too late".to_owned(), tags: Vec::new() });
    for (name, action) in [("again", Action::Start(NoArgs {})), ("note", note())] {
        let refused = send(&engine, id, name, action).await.unwrap_err();
        assert!(matches!(&refused, EngineError::Refused(r) if r.message.contains("200 are kept")), "{refused}");
    }
    send(&engine, id, "end", Action::Stop(StopArgs::default())).await.unwrap();
    assert!(engine.read(id, |s| s.seq).await.unwrap() <= 200);
    world.check(id).await;
}

#[tokio::test]
async fn a_user_owns_so_many_sessions_and_no_more() {
    let world = World::new(memory(), scripted());
    let engine = engine(&world, Options { sessions_per_user: 3, ..Options::default() });
    let made = futures_util::future::join_all((0..8).map(|_| engine.create(run(TurnOrder::Sequential, None)))).await;
    let (fine, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!((fine.len(), refused.len()), (3, 5));
    let refused = refused.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(&refused, EngineError::Quota(m) if m.contains("3 sessions")), "{refused}");
    engine.delete(fine[0].as_ref().unwrap().session_id).await.unwrap();
    engine.create(run(TurnOrder::Sequential, None)).await.unwrap();
}
