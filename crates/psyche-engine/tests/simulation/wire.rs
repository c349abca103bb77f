//! Between replicas and what they share: every call of a port is a step, and the dice say what becomes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::port::StoreError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A seeded source of chances (SplitMix64, Steele et al. 2014): the only one in a world.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.rotate_left(32));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True so many times in ten thousand.
    pub fn odds(&mut self, of_10_000: u64) -> bool {
        self.below(10_000) < of_10_000
    }

    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.within(from, to))
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What a world is like: how often, of ten thousand steps, each fault strikes. No two worlds are alike, so that each kind of
/// fault has worlds in which nothing else hides it.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub refused: u64,
    pub answer_lost: u64,
    pub late: u64,
    pub crash: u64,
    pub terminated: u64,
    pub frozen: u64,
    pub cut_off: u64,
    pub slow: u64,
    pub model: u64,
    pub news_lost: u64,
}

impl Weather {
    pub const CALM: Self = Self {
        refused: 0,
        answer_lost: 0,
        late: 0,
        crash: 0,
        terminated: 0,
        frozen: 0,
        cut_off: 0,
        slow: 0,
        model: 0,
        news_lost: 0,
    };

    pub fn drawn(dice: &mut Dice) -> Self {
        Self {
            refused: dice.pick(&[0, 100, 400, 1_500]),
            answer_lost: dice.pick(&[0, 100, 400, 1_500]),
            late: dice.pick(&[0, 0, 100, 400]),
            crash: dice.pick(&[0, 50, 100, 300]),
            terminated: dice.pick(&[0, 0, 50, 150]),
            frozen: dice.pick(&[0, 0, 50, 150]),
            cut_off: dice.pick(&[0, 0, 50, 100]),
            slow: dice.pick(&[100, 500, 2_000]),
            model: dice.pick(&[0, 500, 2_000]),
            news_lost: dice.pick(&[0, 2_000, 10_000]),
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// It never arrives, and the caller is told so.
    Refused,
    /// It is done, and the caller is told that it failed.
    AnswerLost,
    /// The caller is told that it failed; it is done later.
    Late(Duration),
    /// The replica dies before it is done.
    CrashBefore,
    /// The replica dies after it is done.
    CrashAfter,
}

struct Drawn {
    fate: Fate,
    before: Duration,
    after: Duration,
}

/// What one replica tells the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cry {
    Died(usize),
    /// It was asked to end.
    Terminated(usize),
}

struct Inner {
    dice: Dice,
    steps: u64,
    most: u64,
    counts: BTreeMap<&'static str, u64>,
    trace: Option<Vec<String>>,
}

/// One for all replicas of a world.
pub struct Wire {
    inner: Mutex<Inner>,
    weather: Weather,
    began: Instant,
    /// No more faults, and those that last end.
    pub calm: CancellationToken,
    /// Calls that are done although nobody waits for them any more.
    pub tracker: TaskTracker,
    cries: mpsc::UnboundedSender<Cry>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    pub fn new(seed: u64, most: u64, weather: Weather, traced: bool, cries: mpsc::UnboundedSender<Cry>) -> Self {
        let inner =
            Inner { dice: Dice::new(seed, 1), steps: 0, most, counts: BTreeMap::new(), trace: traced.then(Vec::new) };
        Self {
            inner: Mutex::new(inner),
            weather,
            began: Instant::now(),
            calm: CancellationToken::new(),
            tracker: TaskTracker::new(),
            cries,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    pub fn trace(&self) -> Vec<String> {
        self.lock().trace.take().unwrap_or_default()
    }

    /// Counts something that happened.
    pub fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    /// Writes a line of the story, where one is told.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let ms = self.elapsed().as_millis();
        if let Some(trace) = &mut self.lock().trace {
            trace.push(format!("{ms:>7} ms  {}", line()));
        }
    }

    /// Draws with the world's dice.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.lock().dice)
    }

    /// One step: how long a call takes and what becomes of it. The last step ends the storm.
    fn step(&self, replica: &Replica, call: &'static str, of_store: bool) -> Drawn {
        let inner = &mut *self.lock();
        inner.steps += 1;
        if self.calm.is_cancelled() {
            return Drawn { fate: Fate::Done, before: Duration::ZERO, after: Duration::from_millis(1) };
        }
        if inner.steps >= inner.most {
            self.calm.cancel();
        }
        let (dice, weather) = (&mut inner.dice, self.weather);
        let mut latency = || match dice.below(10_000) {
            n if n < weather.slow / 10 => dice.ms(1_000, 15_000),
            n if n < weather.slow => dice.ms(20, 500),
            n if n < 5_000 => dice.ms(1, 20),
            _ => Duration::ZERO,
        };
        let (before, after) = (latency(), latency());
        let mut left = dice.below(10_000);
        let mut strikes = |odds: u64| {
            let strikes = left < odds;
            left = if strikes { u64::MAX } else { left - odds };
            strikes
        };
        let (fate, name) = if of_store && (replica.is_cut_off() || strikes(weather.refused)) {
            (Fate::Refused, "refused")
        } else if of_store && strikes(weather.answer_lost) {
            (Fate::AnswerLost, "answer lost")
        } else if of_store && strikes(weather.late) {
            (Fate::Late(dice.ms(1, 20_000)), "late")
        } else if strikes(weather.crash) {
            (if dice.odds(5_000) { Fate::CrashBefore } else { Fate::CrashAfter }, "crash")
        } else if strikes(weather.terminated) {
            let _ = self.cries.send(Cry::Terminated(replica.id));
            (Fate::Done, "terminated")
        } else if strikes(weather.frozen) {
            replica.freeze(dice.ms(1_000, 30_000));
            (Fate::Done, "frozen")
        } else if of_store && strikes(weather.cut_off) {
            replica.cut_off(dice.ms(1_000, 20_000));
            (Fate::Refused, "cut off")
        } else {
            (Fate::Done, "")
        };
        if !name.is_empty() {
            *inner.counts.entry(name).or_default() += 1;
        }
        let ms = self.elapsed().as_millis();
        if let Some(trace) = &mut inner.trace {
            let (before, after) = (before.as_millis(), after.as_millis());
            trace.push(format!("{ms:>7} ms  replica {} {call} (+{before} +{after}) {name} {fate:?}", replica.id));
        }
        Drawn { fate, before, after }
    }

    pub fn loses_news(&self) -> bool {
        !self.calm.is_cancelled() && self.weather.news_lost > 0 && self.draw(|dice| dice.odds(self.weather.news_lost))
    }

    /// Whether a model misbehaves now.
    pub fn model_fails(&self) -> bool {
        !self.calm.is_cancelled() && self.draw(|dice| dice.odds(self.weather.model))
    }

    /// Waits that long, or until faults end.
    pub async fn wait(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.calm.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

/// One process: an engine behind a wire of its own.
pub struct Replica {
    pub id: usize,
    pub wire: Arc<Wire>,
    /// It was killed: none of its calls comes back, so none of its tasks goes on.
    pub dead: CancellationToken,
    frozen_until: Mutex<Instant>,
    cut_off_until: Mutex<Instant>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replica({})", self.id)
    }
}

fn read(moment: &Mutex<Instant>) -> Instant {
    *moment.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(moment: &Mutex<Instant>, until: Instant) {
    *moment.lock().unwrap_or_else(PoisonError::into_inner) = until;
}

impl Replica {
    pub fn new(id: usize, wire: Arc<Wire>) -> Arc<Self> {
        let now = Mutex::new(Instant::now());
        let dead = CancellationToken::new();
        Arc::new(Self { id, wire, dead, frozen_until: now, cut_off_until: Mutex::new(Instant::now()) })
    }

    fn freeze(&self, time: Duration) {
        write(&self.frozen_until, Instant::now() + time);
    }

    fn cut_off(&self, time: Duration) {
        write(&self.cut_off_until, Instant::now() + time);
    }

    fn is_cut_off(&self) -> bool {
        Instant::now() < read(&self.cut_off_until)
    }

    pub fn die(&self) {
        self.dead.cancel();
        let _ = self.wire.cries.send(Cry::Died(self.id));
    }

    /// Time passes; for a frozen replica until it is thawed, for a dead one for ever.
    pub async fn hold(&self, time: Duration) {
        if time.is_zero() {
            tokio::task::yield_now().await;
        } else if self.wire.calm.is_cancelled() {
            tokio::time::sleep(time.min(Duration::from_secs(1))).await;
        } else {
            self.wire.wait(time).await;
        }
        let thaw = read(&self.frozen_until).saturating_duration_since(Instant::now());
        if !thaw.is_zero() && !self.wire.calm.is_cancelled() {
            self.wire.wait(thaw).await;
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// A call of the store: one step.
    pub async fn call<T, E>(
        &self,
        name: &'static str,
        run: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.go(self.wire.step(self, name, true), run).await
    }

    /// A step at which nothing is shared, such as a piece of a model's answer.
    pub async fn pass(&self, name: &'static str) {
        let _ = self.go(self.wire.step(self, name, false), std::future::ready(Ok::<(), StoreError>(()))).await;
    }

    async fn go<T, E>(
        &self,
        Drawn { fate, before, after }: Drawn,
        run: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let away = || Err(StoreError::Unavailable("the wire is cut".to_owned()).into());
        self.hold(before).await;
        match fate {
            Fate::Refused => return away(),
            Fate::Late(delay) => {
                let wire = Arc::clone(&self.wire);
                self.wire.tracker.spawn(async move {
                    wire.wait(delay).await;
                    drop(run.await);
                });
                return away();
            }
            Fate::CrashBefore => self.die(),
            Fate::Done | Fate::AnswerLost | Fate::CrashAfter => {}
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let result = run.await;
        if fate == Fate::CrashAfter {
            self.die();
        }
        self.hold(after).await;
        if fate == Fate::AnswerLost { away() } else { result }
    }
}
