//! Sentence embeddings inside the program: a thread that owns the model, a short queue before it, and what it said of
//! texts that came before.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use psyche_core::embedding::{Embedded, Embedding};
use psyche_core::port::{EmbedError, Embedder, EmbedderCard};
use psyche_core::words::Hash;
use psyche_infer::{Encoder, WIDTH};
use tokio::sync::oneshot;

use crate::weights::{self, MINILM};

/// Requests that may wait for the thread.
const QUEUE: usize = 64;
/// Texts whose embeddings are remembered: about two megabytes.
const REMEMBERED: usize = 4_096;
/// Digits of the file's SHA-256 that name the model in a log.
const DIGEST_DIGITS: usize = 16;

/// What the thread needs of a model; a port of its own so that failures can be tested.
type Encode = Box<dyn Fn(&[&str]) -> Vec<Vec<f32>>>;
type Load = dyn Fn(&Path) -> Result<Encode, String> + Send + Sync;

struct Job {
    texts: Vec<String>,
    answer: oneshot::Sender<Result<Vec<Option<Embedding>>, EmbedError>>,
}

/// MiniLM-L6-v2, loaded at its first use. Without its file every text is answered with what to do about that, and the file
/// is found as soon as it is there.
pub struct MiniLm {
    card: EmbedderCard,
    path: PathBuf,
    load: Arc<Load>,
    /// The way to the thread; none before its start and after its end.
    jobs: Mutex<Option<SyncSender<Job>>>,
    memory: Mutex<Memory>,
    /// A missing model was told of: once is enough.
    told: AtomicBool,
}

impl MiniLm {
    pub fn new(models_dir: &Path) -> Self {
        Self::with(models_dir, |path: &Path| {
            weights::verify_once(path, &MINILM).map_err(|e| e.to_string())?;
            let encoder = Encoder::load(path).map_err(|e| e.to_string())?;
            Ok(Box::new(move |texts: &[&str]| encoder.encode(texts)))
        })
    }

    fn with(models_dir: &Path, load: impl Fn(&Path) -> Result<Encode, String> + Send + Sync + 'static) -> Self {
        let digest = MINILM.sha256[..DIGEST_DIGITS].into();
        Self {
            card: EmbedderCard { name: MINILM.name.to_owned(), digest, width: WIDTH },
            path: models_dir.join(MINILM.file),
            load: Arc::new(load),
            jobs: Mutex::default(),
            memory: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    /// Begins to load the model, so that the first utterance need not wait for it.
    pub fn warm_up(&self) {
        if self.ready().is_ok() {
            let _ = self.send(Job { texts: Vec::new(), answer: oneshot::channel().0 });
        }
    }

    /// Hands a job to the thread, which is started where there is none.
    fn send(&self, job: Job) -> Result<(), EmbedError> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match jobs.as_ref() {
            None => job,
            Some(sender) => match sender.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(EmbedError::Busy),
                // It panicked.
                Err(TrySendError::Disconnected(job)) => job,
            },
        };
        let (sender, receiver) = sync_channel(QUEUE);
        let (path, load) = (self.path.clone(), Arc::clone(&self.load));
        let begun =
            std::thread::Builder::new().name("psyche-embed".into()).spawn(move || work(&path, &*load, &receiver));
        begun.map_err(|e| EmbedError::Missing(format!("no thread for the embedding model: {e}")))?;
        let sent = sender.try_send(job).map_err(|_| EmbedError::Busy);
        *jobs = Some(sender);
        sent
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once what keeps utterances from being embedded, and again after it had gone.
    fn tell(&self, result: &Result<Vec<Option<Embedding>>, EmbedError>) {
        match result {
            Ok(_) => self.told.store(false, Ordering::Relaxed),
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                tracing::info!(%error, "utterances are not embedded; measures go by their words alone");
            }
            Err(_) => {}
        }
    }
}

/// Loads the model when there is something to embed, and embeds until nobody can ask any more.
fn work(path: &Path, load: &Load, jobs: &Receiver<Job>) {
    let mut encode = None;
    while let Ok(job) = jobs.recv() {
        if encode.is_none() {
            match load(path) {
                Ok(loaded) => encode = Some(loaded),
                Err(problem) => {
                    let _ = job.answer.send(Err(EmbedError::Missing(problem)));
                    continue;
                }
            }
        }
        // Nobody may wait any more: the utterance went on without it.
        let Some(encode) = encode.as_ref().filter(|_| !job.texts.is_empty() && !job.answer.is_closed()) else {
            continue;
        };
        let texts: Vec<&str> = job.texts.iter().map(String::as_str).collect();
        let embedded = encode(&texts).iter().map(|vector| Embedding::of(vector)).collect();
        let _ = job.answer.send(Ok(embedded));
    }
}

#[async_trait]
impl Embedder for MiniLm {
    fn card(&self) -> &EmbedderCard {
        &self.card
    }

    fn ready(&self) -> Result<(), String> {
        weights::check_size(&self.path, &MINILM).map_err(|e| e.to_string())
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Option<Embedded>>, EmbedError> {
        let keys: Vec<Hash> = texts.iter().map(|text| Hash::of(text.as_bytes())).collect();
        let mut known: HashMap<Hash, Option<Embedding>> = {
            let memory = self.memory();
            keys.iter().filter_map(|key| Some((*key, memory.known.get(key)?.clone()))).collect()
        };
        let new: BTreeMap<Hash, String> =
            keys.iter().copied().zip(texts).filter(|(key, _)| !known.contains_key(key)).collect();
        if !new.is_empty() {
            let (answer, result) = oneshot::channel();
            let (new_keys, texts): (Vec<Hash>, Vec<String>) = new.into_iter().unzip();
            let result = match self.send(Job { texts, answer }) {
                Ok(()) => result.await.unwrap_or(Err(EmbedError::Stopped)),
                Err(error) => Err(error),
            };
            self.tell(&result);
            let mut memory = self.memory();
            for (key, embedding) in new_keys.into_iter().zip(result?) {
                memory.remember(key, embedding.clone());
                known.insert(key, embedding);
            }
        }
        let embedded = |vector| Embedded { model: self.card.digest.clone(), vector };
        Ok(keys.iter().map(|key| known.get(key).cloned().flatten().map(embedded)).collect())
    }
}

impl fmt::Debug for MiniLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniLm").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Embeddings by the digest of their text; the oldest goes first.
#[derive(Default)]
struct Memory {
    known: HashMap<Hash, Option<Embedding>>,
    order: VecDeque<Hash>,
}

impl Memory {
    fn remember(&mut self, key: Hash, embedding: Option<Embedding>) {
        if self.known.insert(key, embedding).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// A model that embeds a text by its length and counts what it is asked.
    fn counting(asked: &Arc<AtomicUsize>) -> impl Fn(&Path) -> Result<Encode, String> + Send + Sync + 'static {
        let asked = Arc::clone(asked);
        move |_: &Path| {
            let asked = Arc::clone(&asked);
            Ok(Box::new(move |texts: &[&str]| {
                asked.fetch_add(texts.len(), Ordering::Relaxed);
                assert!(!texts.contains(&"a text that makes it panic"));
                texts.iter().map(|text| vec![1.0, text.len() as f32]).collect()
            }))
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn texts_keep_their_order_and_are_embedded_once() {
        let asked = Arc::default();
        let embedder = MiniLm::with(Path::new("nowhere"), counting(&asked));
        let first = embedder.embed(texts(&["one", "two words", "one"])).await.unwrap();
        let of = |text: &str| Embedding::of(&[1.0, text.len() as f32]);
        assert_eq!(
            first.iter().map(|e| Some(e.clone()?.vector)).collect::<Vec<_>>(),
            ["one", "two words", "one"].map(of)
        );
        assert_eq!(&*first[0].as_ref().unwrap().model, "8199be6f699a395f");
        assert_eq!(embedder.embed(texts(&["two words", "new"])).await.unwrap()[0], first[1]);
        assert_eq!(asked.load(Ordering::Relaxed), 3, "each text once, whoever asks");
    }

    #[tokio::test]
    async fn without_its_file_it_says_what_to_do_and_finds_the_file_later() {
        let there = Arc::new(AtomicBool::new(false));
        let (looks, asked) = (Arc::clone(&there), Arc::default());
        let load = counting(&asked);
        let embedder = MiniLm::with(Path::new("nowhere"), move |path: &Path| {
            if looks.load(Ordering::Relaxed) { load(path) } else { Err("run `psyche model fetch`".to_owned()) }
        });
        assert!(embedder.ready().unwrap_err().contains("psyche model fetch"));
        let missing = embedder.embed(texts(&["a"])).await;
        assert_eq!(missing, Err(EmbedError::Missing("run `psyche model fetch`".to_owned())));
        there.store(true, Ordering::Relaxed);
        assert!(embedder.embed(texts(&["a"])).await.unwrap()[0].is_some());
    }

    #[tokio::test]
    async fn a_thread_that_died_is_replaced() {
        let asked = Arc::default();
        let embedder = MiniLm::with(Path::new("nowhere"), counting(&asked));
        let died = embedder.embed(texts(&["a text that makes it panic"])).await;
        assert_eq!(died, Err(EmbedError::Stopped));
        // Its end of the queue goes with it, at the latest when the next text finds nobody.
        let next = loop {
            match embedder.embed(texts(&["a"])).await {
                Err(EmbedError::Stopped) => {}
                other => break other,
            }
        };
        assert!(next.unwrap()[0].is_some());
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let (hold, held) = mpsc::channel::<()>();
        let held = Mutex::new(Some(held));
        let embedder = MiniLm::with(Path::new("nowhere"), move |_: &Path| {
            let held = held.lock().unwrap().take();
            Ok(Box::new(move |texts: &[&str]| {
                // Until the test lets go.
                let _ = held.as_ref().map(mpsc::Receiver::recv);
                texts.iter().map(|_| vec![1.0]).collect()
            }))
        });
        let waiting: Vec<_> = (0..=QUEUE).map(|_| oneshot::channel()).collect();
        let (answers, results): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let mut full = 0;
        for answer in answers {
            full += usize::from(embedder.send(Job { texts: texts(&["a"]), answer }) == Err(EmbedError::Busy));
        }
        while full == 0 {
            let (answer, _) = oneshot::channel();
            full += usize::from(embedder.send(Job { texts: texts(&["a"]), answer }) == Err(EmbedError::Busy));
        }
        drop(hold);
        let mut answered = 0;
        for result in results {
            answered += usize::from(result.await.is_ok_and(|result| result.is_ok()));
        }
        assert!(answered >= QUEUE, "{answered} were answered once it went on");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Memory::default();
        for i in 0..=REMEMBERED {
            memory.remember(Hash::of(&i.to_be_bytes()), None);
            memory.remember(Hash::of(&i.to_be_bytes()), None);
        }
        assert_eq!((memory.known.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!memory.known.contains_key(&Hash::of(&0usize.to_be_bytes())));
    }
}
