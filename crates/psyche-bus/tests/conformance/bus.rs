//! The live feed: at most once, in order within a session, never blocking.

use std::sync::Arc;

use futures_util::StreamExt as _;
use psyche_core::ids::{AgentId, SessionId};
use psyche_core::port::{Bus, Live, News, NewsStream};
use uuid::Uuid;

fn session(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

fn appended(seq: u64) -> News {
    News::Appended { generation: 1, seq, events: None }
}

fn delta(index: u32) -> News {
    News::Live(Arc::new(Live::Delta {
        agent_id: AgentId::new("ego"),
        turn: 1,
        attempt: 1,
        index,
        text: format!("word {index} "),
    }))
}

/// A short form that tests can compare.
fn told(news: &News) -> String {
    match news {
        News::Appended { generation, seq, .. } => format!("appended {generation}.{seq}"),
        News::Live(live) => match &**live {
            Live::Delta { index, .. } => format!("delta {index}"),
            other => format!("{other:?}"),
        },
        News::Deleted => "deleted".to_owned(),
        News::Lagged => "lagged".to_owned(),
    }
}

async fn next(stream: &mut NewsStream, count: usize) -> Vec<String> {
    stream.take(count).map(|news| told(&news)).collect().await
}

pub async fn news_reach_every_subscriber_in_order(bus: impl Bus) {
    let mut subscribers = [bus.subscribe(session(1)), bus.subscribe(session(1))];
    for news in [appended(1), delta(0), delta(1), appended(2), News::Deleted] {
        bus.publish(session(1), news);
    }
    let expected = ["appended 1.1", "delta 0", "delta 1", "appended 1.2", "deleted"];
    for subscriber in &mut subscribers {
        assert_eq!(next(subscriber, 5).await, expected);
    }
}

pub async fn news_before_the_subscription_and_of_others_are_not_heard(bus: impl Bus) {
    bus.publish(session(1), appended(1));
    let mut subscriber = bus.subscribe(session(1));
    bus.publish(session(2), appended(7));
    bus.publish(session(1), appended(2));
    assert_eq!(next(&mut subscriber, 1).await, ["appended 1.2"]);
    // Gone and back: what was said meanwhile is not heard either.
    drop(subscriber);
    bus.publish(session(1), appended(3));
    let mut subscriber = bus.subscribe(session(1));
    bus.publish(session(1), appended(4));
    assert_eq!(next(&mut subscriber, 1).await, ["appended 1.4"]);
}

pub async fn a_slow_subscriber_is_told_and_the_others_are_not_slowed(bus: impl Bus) {
    const MANY: u32 = 5_000;
    let mut slow = bus.subscribe(session(1));
    let mut quick = bus.subscribe(session(1));
    for index in 0..MANY {
        bus.publish(session(1), delta(index));
        assert_eq!(next(&mut quick, 1).await, [format!("delta {index}")]);
    }
    assert_eq!(next(&mut slow, 1).await, ["lagged"]);
    // What follows the gap is whole and ends with the newest.
    let mut last = None;
    while last != Some(MANY - 1) {
        let news = next(&mut slow, 1).await.remove(0);
        let index: u32 = news.strip_prefix("delta ").unwrap().parse().unwrap();
        assert!(last.is_none_or(|before| index == before + 1), "{index} after {last:?}");
        last = Some(index);
    }
    bus.publish(session(1), appended(9));
    assert_eq!(next(&mut slow, 1).await, ["appended 1.9"]);
}

pub async fn a_probe_succeeds(bus: impl Bus) {
    bus.probe().await.unwrap();
}
