//! ChatML: how a conversation is written for the model.

use crate::error::GenerateError;
use crate::tokenizer::Tokenizer;

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// What the model is to answer.
    User,
    /// What the model has said.
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said. Names of control tokens in it are ordinary letters.
    pub content: String,
}

impl Message {
    /// A message of `role` with `content`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A conversation as tokens, ending with the beginning of the assistant's reply.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<u32>,
    /// Where the reply begins: with the opener's first token.
    pub(crate) reply_start: usize,
}

/// Each message is `<|im_start|>role⏎content<|im_end|>⏎`. No system message is added when there is none.
pub(crate) fn prompt(tokenizer: &Tokenizer, messages: &[Message], opener: &str) -> Result<Prompt, GenerateError> {
    let control = |text: &str| {
        tokenizer
            .control(text)
            .ok_or_else(|| GenerateError::Invalid(format!("this model has no {text} token, so it cannot hold a chat")))
    };
    let (start, end) = (control("<|im_start|>")?, control("<|im_end|>")?);
    let newline = tokenizer.encode("\n");
    let mut tokens = Vec::new();
    for message in messages {
        tokens.push(start);
        tokens.extend(tokenizer.encode(&format!("{}\n{}", message.role.name(), message.content)));
        tokens.push(end);
        tokens.extend(&newline);
    }
    tokens.push(start);
    tokens.extend(tokenizer.encode(&format!("{}\n", Role::Assistant.name())));
    let reply_start = tokens.len();
    // A space at its end would keep the model from beginning the next word, whose tokens carry their space.
    tokens.extend(tokenizer.encode(opener.trim()));
    Ok(Prompt { tokens, reply_start })
}
