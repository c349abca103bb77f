//! Families of the canonical transcripts: as many conversations of each kind as a seed asks for.
//!
//! The five canonical transcripts fix the scale; their families show that it holds for others. A member is put
//! together from material written for this project: healthy dialogue takes one concept of a topic after another, each
//! utterance taking up what it answers; quarrels rise through three stages; loops repeat the first utterances of a
//! healthy member; gratitude loops have a handful of sentences; random words are drawn evenly from the topics' words.
//! Numbers of speakers and utterances, order of speaking, topics and lengths differ between members.

use super::null::{below, shuffle};
use super::{GaugeName, Turn, Vader};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;

/// Members of a family the tests and [`super::self_test`] read.
pub const MEMBERS: u64 = 24;

/// A family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    RandomWords,
    PerfectLoop,
    GratitudeLoop,
    EscalatingQuarrel,
    HealthyDialogue,
}

impl Family {
    pub const ALL: [Self; 5] =
        [Self::RandomWords, Self::PerfectLoop, Self::GratitudeLoop, Self::EscalatingQuarrel, Self::HealthyDialogue];

    /// The name of the canonical transcript it belongs to.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RandomWords => "random_words",
            Self::PerfectLoop => "perfect_loop",
            Self::GratitudeLoop => "gratitude_loop",
            Self::EscalatingQuarrel => "escalating_quarrel",
            Self::HealthyDialogue => "healthy_dialogue",
        }
    }

    /// The member of this number: the same number, the same conversation.
    pub fn member(self, number: u64) -> Member {
        let mut random = ChaCha8Rng::seed_from_u64(number << 3 | self as u64);
        let random = &mut random;
        match self {
            Self::RandomWords => random_words(random),
            Self::PerfectLoop => perfect_loop(random),
            Self::GratitudeLoop => gratitude_loop(random),
            Self::EscalatingQuarrel => escalating_quarrel(random),
            Self::HealthyDialogue => {
                let turns = 40 + below(21, random);
                healthy_dialogue(turns, random)
            }
        }
    }

    /// Where the standardised value of each gauge must lie, in the last window of every member.
    pub fn expected(self) -> BTreeMap<GaugeName, [f64; 2]> {
        // A loop of healthy talk still takes up what it answers, and the words of a small vocabulary meet by chance: for
        // engagement the first two say little. In the order of `GaugeName::ALL`: conflict, engagement, diversity, repetition, emotional intensity,
        // stagnation.
        let bands = match self {
            Self::RandomWords => [[0.0, 0.1], [0.0, 0.6], [0.8, 1.0], [0.0, 0.1], [0.0, 0.2], [0.0, 0.3]],
            Self::PerfectLoop => [[0.0, 0.1], [0.0, 1.0], [0.4, 1.0], [0.7, 1.0], [0.0, 0.2], [0.8, 1.0]],
            Self::GratitudeLoop => [[0.0, 0.1], [0.0, 0.4], [0.0, 0.3], [0.6, 1.0], [0.8, 1.0], [0.6, 1.0]],
            Self::EscalatingQuarrel => [[0.6, 1.0], [0.0, 0.4], [0.2, 0.65], [0.0, 0.35], [0.35, 1.0], [0.0, 0.5]],
            Self::HealthyDialogue => [[0.0, 0.1], [0.9, 1.0], [0.85, 1.0], [0.0, 0.15], [0.0, 0.1], [0.0, 0.2]],
        };
        GaugeName::ALL.into_iter().zip(bands).collect()
    }

    /// The first [`MEMBERS`].
    pub fn members(self) -> impl Iterator<Item = Member> {
        (0..MEMBERS).map(move |number| self.member(number))
    }
}

/// A generated conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub turns: Vec<Said>,
}

/// One utterance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub speaker: &'static str,
    pub text: String,
    /// Index of the utterance it answers.
    pub answers: Option<usize>,
}

impl Member {
    /// Its turns, scored.
    pub fn scored(&self, vader: &Vader) -> Vec<Turn<'_>> {
        let mut turns = Vec::with_capacity(self.turns.len());
        for said in &self.turns {
            turns.push(Turn {
                speaker: said.speaker,
                addressee: said.answers.map(|i| self.turns[i].speaker),
                text: &said.text,
                compound: vader.score(&said.text).compound,
                answers: said.answers,
            });
        }
        turns
    }
}

const CASTS: [[&str; 5]; 3] = [
    ["ego", "shadow", "persona", "anima", "self"],
    ["Mara", "Jonas", "Ilse", "Tomas", "Ada"],
    ["judge", "poet", "engineer", "gardener", "child"],
];

/// Who speaks in each of `turns` turns: three to five of a cast, in a fixed or in a free order.
fn speakers(turns: usize, random: &mut ChaCha8Rng) -> Vec<&'static str> {
    let mut cast = CASTS[below(CASTS.len(), random)].to_vec();
    shuffle(&mut cast, random);
    cast.truncate(3 + below(3, random));
    let free = below(2, random) == 1;
    let mut last = cast.len() - 1;
    (0..turns)
        .map(|_| {
            // Nobody answers himself: a step of 1 to n − 1 around the circle.
            last = (last + 1 + if free { below(cast.len() - 1, random) } else { 0 }) % cast.len();
            cast[last]
        })
        .collect()
}

/// Pieces that come in random order, each once before any comes again.
struct Deck<T> {
    pieces: Vec<T>,
    next: usize,
}

impl<T: Clone> Deck<T> {
    fn new(pieces: Vec<T>) -> Self {
        Self { next: pieces.len(), pieces }
    }

    fn draw(&mut self, random: &mut ChaCha8Rng) -> T {
        if self.next == self.pieces.len() {
            shuffle(&mut self.pieces, random);
            self.next = 0;
        }
        self.next += 1;
        self.pieces[self.next - 1].clone()
    }
}

fn lines(file: &'static str) -> Vec<&'static str> {
    file.lines().collect()
}

/// Topics, each a list of concepts with their sentences.
fn topics() -> Vec<Vec<(&'static str, Vec<&'static str>)>> {
    let topic = |block: &'static str| {
        let concepts = block.lines().filter_map(|line| line.split_once(": "));
        concepts.map(|(concept, sentences)| (concept, sentences.split(" | ").collect())).collect::<Vec<_>>()
    };
    include_str!("canonical/families/topics.txt").split("= ").map(topic).filter(|topic| !topic.is_empty()).collect()
}

fn healthy_dialogue(turns: usize, random: &mut ChaCha8Rng) -> Member {
    let mut topics = topics();
    shuffle(&mut topics, random);
    for concepts in &mut topics {
        shuffle(concepts, random);
    }
    let concepts: Vec<(&str, Vec<&str>)> = topics.into_iter().flatten().take(turns).collect();
    let mut frames = Deck::new(lines(include_str!("canonical/families/frames.txt")));
    let mut asides = Deck::new(lines(include_str!("canonical/families/asides.txt")));
    let speakers = speakers(concepts.len(), random);
    let mut said = Vec::with_capacity(concepts.len());
    for (i, (_, sentences)) in concepts.iter().enumerate() {
        // One in five goes back to what was said before the latest, where another said it.
        let back = if below(5, random) == 0 { 2 } else { 1 };
        let answers = i.checked_sub(back).filter(|j| speakers[*j] != speakers[i]).or(i.checked_sub(1));
        let mut sentences = sentences.clone();
        shuffle(&mut sentences, random);
        sentences.truncate(1 + usize::from(below(10, random) < 3));
        if let Some(j) = answers {
            sentences.insert(0, frames.draw(random));
            sentences.extend((below(10, random) < 4).then(|| asides.draw(random)));
            let text = sentences.join(" ").replace("{x}", concepts[j].0);
            said.push(Said { speaker: speakers[i], text, answers });
        } else {
            said.push(Said { speaker: speakers[i], text: sentences.join(" "), answers });
        }
    }
    Member { turns: said }
}

/// Utterances by turns, each answering the one before.
fn in_turn(texts: impl ExactSizeIterator<Item = String>, random: &mut ChaCha8Rng) -> Member {
    let speakers = speakers(texts.len(), random);
    let said = texts.zip(speakers).enumerate();
    Member { turns: said.map(|(i, (text, speaker))| Said { speaker, text, answers: i.checked_sub(1) }).collect() }
}

fn random_words(random: &mut ChaCha8Rng) -> Member {
    let mut words: Vec<&str> = topics()
        .into_iter()
        .flatten()
        .flat_map(|(_, sentences)| sentences)
        .flat_map(|sentence| sentence.split(|symbol: char| !symbol.is_alphabetic()))
        .filter(|word| word.len() > 2)
        .collect();
    words.sort_unstable();
    words.dedup();
    shuffle(&mut words, random);
    words.truncate([150, 250, 500, 1000][below(4, random)]);
    let length = 10 + below(20, random);
    let word = |random: &mut ChaCha8Rng| words[below(words.len(), random)];
    let texts: Vec<String> = (0..24 + below(17, random))
        .map(|_| (0..length / 2 + below(length, random)).map(|_| word(random)).collect::<Vec<_>>().join(" "))
        .collect();
    in_turn(texts.into_iter(), random)
}

fn perfect_loop(random: &mut ChaCha8Rng) -> Member {
    let period = 2 + below(7, random);
    let round = healthy_dialogue(period, random).turns;
    let turns = 30 + below(11, random);
    in_turn((0..turns).map(|i| round[i % period].text.clone()), random)
}

fn gratitude_loop(random: &mut ChaCha8Rng) -> Member {
    let mut sentences = lines(include_str!("canonical/families/gratitude.txt"));
    shuffle(&mut sentences, random);
    sentences.truncate(6 + below(3, random));
    let mut deck = Deck::new(sentences);
    let texts: Vec<String> = (0..30 + below(11, random))
        .map(|_| (0..2 + below(2, random)).map(|_| deck.draw(random)).collect::<Vec<_>>().join(" "))
        .collect();
    in_turn(texts.into_iter(), random)
}

fn escalating_quarrel(random: &mut ChaCha8Rng) -> Member {
    let stages: Vec<Vec<&str>> = include_str!("canonical/families/quarrel.txt")
        .split("= ")
        .filter(|stage| !stage.is_empty())
        .map(|stage| stage.lines().skip(1).collect())
        .collect();
    let mut topics = topics();
    shuffle(&mut topics, random);
    let concepts: Vec<&str> = topics[0].iter().map(|(concept, _)| *concept).collect();
    let mut concepts = Deck::new(concepts);
    let mut texts = Vec::new();
    // Each stage goes on with some of what the stage before it found.
    for stage in 0..stages.len() {
        let mut deck = Deck::new(stages[stage.saturating_sub(1)..=stage].concat());
        for _ in 0..8 + below(4, random) {
            let said: Vec<&str> = (0..=below(2, random)).map(|_| deck.draw(random)).collect();
            texts.push(said.join(" ").replace("{x}", concepts.draw(random)));
        }
    }
    in_turn(texts.into_iter(), random)
}
