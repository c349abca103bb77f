//! Byte-pair encoding from a model file's own vocabulary and merges.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::error::LoadError;
use crate::gguf::Value;
use crate::words;

/// Token type codes of GGUF that stand for control (3) or user-defined (4) tokens.
const SPECIAL_KINDS: [i32; 2] = [3, 4];

/// Splits text into tokens and back.
///
/// A token is a number below [`Tokenizer::vocabulary`]. Control tokens, such as the marks between chat messages, are
/// produced from text by [`Tokenizer::encode_with_controls`] only, so that what people write can never pose as one.
#[derive(Debug)]
pub struct Tokenizer {
    /// The bytes of all tokens, one after another, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Symbol of each byte. Symbols from `ends.len()` on stand for texts that only merges mention.
    byte_symbols: [u32; 256],
    merges: HashMap<(u32, u32), Merge>,
    /// Control tokens by their text, longest first.
    controls: Vec<(String, u32)>,
    is_control: Vec<bool>,
    digits_alone: bool,
    end_of_turn: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Merge {
    rank: u32,
    result: u32,
}

/// GPT-2 writes bytes as printable characters: printable ones as themselves, the others from U+0100 on.
pub(crate) fn byte_to_char() -> [char; 256] {
    let printable = |b: u32| (0x21..=0x7e).contains(&b) || (0xa1..=0xac).contains(&b) || (0xae..=0xff).contains(&b);
    let mut next = 0x100;
    std::array::from_fn(|b| {
        let b = b as u32;
        let code = if printable(b) {
            b
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

impl Tokenizer {
    pub(crate) fn from_metadata(metadata: &BTreeMap<String, Value>) -> Result<Self, LoadError> {
        let text = |key: &str| match metadata.get(key) {
            Some(Value::Text(text)) => Ok(text.as_str()),
            _ => Err(LoadError::Malformed(format!("the metadata has no text {key}"))),
        };
        match text("tokenizer.ggml.model")? {
            "gpt2" => {}
            other => return Err(LoadError::Unsupported(format!("tokenizer {other}, expected gpt2"))),
        }
        let digits_alone = match text("tokenizer.ggml.pre")? {
            "smollm" => true,
            "gpt-2" => false,
            other => return Err(LoadError::Unsupported(format!("tokenizer rules {other}, expected smollm or gpt-2"))),
        };
        let (Some(Value::Texts(tokens)), Some(Value::Texts(merges))) =
            (metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.merges"))
        else {
            return Err(LoadError::Malformed("the metadata has no token list or no merges".into()));
        };
        let kinds: Vec<i32> = match metadata.get("tokenizer.ggml.token_type") {
            Some(Value::Packed(4 | 5, bytes)) => {
                bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            _ => return Err(LoadError::Malformed("the metadata has no token types".into())),
        };
        if kinds.len() != tokens.len() || tokens.len() == 0 {
            return Err(LoadError::Malformed(format!("{} tokens but {} token types", tokens.len(), kinds.len())));
        }

        let byte_chars = byte_to_char();
        let char_bytes: HashMap<char, u8> = byte_chars.iter().enumerate().map(|(b, &c)| (c, b as u8)).collect();
        let mut tokenizer = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(tokens.len()),
            byte_symbols: [0; 256],
            merges: HashMap::with_capacity(merges.len()),
            controls: Vec::new(),
            is_control: Vec::with_capacity(tokens.len()),
            digits_alone,
            end_of_turn: Vec::new(),
        };
        let mut symbols: HashMap<&[u8], u32> = HashMap::with_capacity(tokens.len());
        for ((id, token), kind) in (0u32..).zip(tokens.iter()).zip(kinds) {
            let special = SPECIAL_KINDS.contains(&kind);
            let text = String::from_utf8_lossy(token);
            let plain: Option<Vec<u8>> =
                if special { None } else { text.chars().map(|c| char_bytes.get(&c).copied()).collect() };
            match plain {
                Some(bytes) => tokenizer.bytes.extend(bytes),
                None => tokenizer.bytes.extend(token),
            }
            tokenizer.ends.push(tokenizer.bytes.len() as u32);
            tokenizer.is_control.push(special);
            if special {
                if !text.is_empty() {
                    tokenizer.controls.push((text.into_owned(), id));
                }
            } else {
                symbols.entry(token).or_insert(id);
            }
        }
        tokenizer.controls.sort_by_key(|(text, id)| (Reverse(text.len()), *id));

        // Texts outside the vocabulary get numbers after it, so that merges through them still work.
        let mut joined: Vec<Vec<u8>> = Vec::new();
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::with_capacity(merges.len());
        for merge in merges.iter() {
            let space = merge.iter().skip(1).position(|&b| b == b' ').map(|at| at + 1);
            let Some(space) = space.filter(|at| at + 1 < merge.len()) else {
                return Err(LoadError::Malformed("a merge is not two texts with a space between".into()));
            };
            pairs.push((&merge[..space], &merge[space + 1..]));
            joined.push([&merge[..space], &merge[space + 1..]].concat());
        }
        let byte_texts: Vec<Vec<u8>> = byte_chars.iter().map(|c| c.to_string().into_bytes()).collect();
        let mut next = tokens.len() as u32;
        let mut symbol = |text| {
            *symbols.entry(text).or_insert_with(|| {
                next += 1;
                next - 1
            })
        };
        for (byte, text) in byte_texts.iter().enumerate() {
            tokenizer.byte_symbols[byte] = symbol(text);
        }
        for ((rank, (left, right)), whole) in (0u32..).zip(pairs).zip(&joined) {
            let merge = Merge { rank, result: symbol(whole) };
            tokenizer.merges.entry((symbol(left), symbol(right))).or_insert(merge);
        }

        let end = match metadata.get("tokenizer.ggml.eos_token_id") {
            Some(Value::Integer(id)) => u32::try_from(*id).ok().filter(|id| (*id as usize) < tokens.len()),
            _ => None,
        };
        let end =
            end.ok_or_else(|| LoadError::Malformed("the metadata names no end token of the vocabulary".into()))?;
        tokenizer.end_of_turn.push(end);
        for text in ["<|im_end|>", "<|endoftext|>"] {
            tokenizer.end_of_turn.extend(tokenizer.control(text).filter(|id| *id != end));
        }
        Ok(tokenizer)
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.ends.len()
    }

    /// The control token written `text`, such as `<|im_start|>`.
    pub fn control(&self, text: &str) -> Option<u32> {
        self.controls.iter().find(|(known, _)| known == text).map(|&(_, id)| id)
    }

    pub(crate) fn controls(&self) -> impl Iterator<Item = u32> {
        self.controls.iter().map(|&(_, id)| id)
    }

    /// Whether `token` is a control token: it carries no text of a reply.
    pub fn is_control(&self, token: u32) -> bool {
        self.is_control.get(token as usize).copied().unwrap_or(true)
    }

    /// Whether `token` ends a reply.
    pub fn ends_reply(&self, token: u32) -> bool {
        self.end_of_turn.contains(&token)
    }

    /// The bytes `token` stands for: possibly part of a character.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        let at = token as usize;
        let Some(&end) = self.ends.get(at) else { return &[] };
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// The text of `tokens`; what is not UTF-8 becomes U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.token_bytes(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Tokens of `text`, in which the names of control tokens are ordinary letters.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        words::split(text, self.digits_alone, |word| self.encode_word(word, &mut tokens));
        tokens
    }

    /// Tokens of `text`, in which the names of control tokens are those tokens. For text you wrote yourself.
    pub fn encode_with_controls(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut plain_from = 0;
        let mut at = 0;
        while at < text.len() {
            let found = self.controls.iter().find(|(name, _)| text.as_bytes()[at..].starts_with(name.as_bytes()));
            if let Some((name, id)) = found {
                tokens.extend(self.encode(&text[plain_from..at]));
                tokens.push(*id);
                at += name.len();
                plain_from = at;
            } else {
                at += 1;
            }
        }
        tokens.extend(self.encode(&text[plain_from..]));
        tokens
    }

    /// Joins neighbouring symbols, lowest rank first, leftmost first among equals.
    fn encode_word(&self, word: &str, tokens: &mut Vec<u32>) {
        const NONE: usize = usize::MAX;
        let mut symbols: Vec<u32> = word.bytes().map(|b| self.byte_symbols[usize::from(b)]).collect();
        let count = symbols.len();
        let mut next: Vec<usize> = (1..=count).map(|i| if i == count { NONE } else { i }).collect();
        let mut previous: Vec<usize> = (0..count).map(|i| if i == 0 { NONE } else { i - 1 }).collect();
        let mut alive = vec![true; count];

        let mut queue = BinaryHeap::new();
        let candidate = |symbols: &[u32], left: usize, right: usize| {
            let pair = (symbols[left], symbols[right]);
            self.merges.get(&pair).map(|merge| Reverse((merge.rank, left, right, pair, merge.result)))
        };
        for i in 1..count {
            queue.extend(candidate(&symbols, i - 1, i));
        }
        while let Some(Reverse((_, left, right, pair, result))) = queue.pop() {
            // Stale if either side has changed since.
            if !alive[left] || !alive[right] || next[left] != right || (symbols[left], symbols[right]) != pair {
                continue;
            }
            symbols[left] = result;
            alive[right] = false;
            next[left] = next[right];
            if next[left] != NONE {
                previous[next[left]] = left;
                queue.extend(candidate(&symbols, left, next[left]));
            }
            if previous[left] != NONE {
                queue.extend(candidate(&symbols, previous[left], left));
            }
        }

        // A symbol that is no token falls back to the tokens of its bytes; a byte without one is left out.
        let vocabulary = self.vocabulary() as u32;
        let bytes = word.as_bytes();
        let mut at = 0;
        while at < count {
            let end = if next[at] == NONE { count } else { next[at] };
            if symbols[at] < vocabulary {
                tokens.push(symbols[at]);
            } else {
                let singles = bytes[at..end].iter().map(|&b| self.byte_symbols[usize::from(b)]);
                tokens.extend(singles.filter(|&symbol| symbol < vocabulary));
            }
            at = end;
        }
    }
}
