//! What clients say on a socket, and what each message needs to be allowed.

use psyche_core::Timestamp;
use psyche_core::permission::Permission;
use psyche_core::port::Role;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A place in a session's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    #[serde(rename = "gen")]
    pub generation: u32,
    pub seq: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Event types; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Go on after this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Live tokens; wanted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deltas: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interaction {
    Select,
    Cursor,
    Annotate,
    Typing,
}

/// Everything a client may send. `id` is optional and echoed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// First message, or a fresh token before the old one expires.
    Auth {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        token: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subscribe: Option<Subscription>,
    },
    /// Replaces the subscription. Without a cursor the stream goes on where it is.
    Subscribe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        events: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deltas: Option<bool>,
    },
    /// As `POST /sessions/{id}/commands`; `id` is the command's id.
    AgentCommand {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        command: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Value>,
    },
    UiInteraction {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        action: Interaction,
        #[serde(default)]
        data: Value,
    },
    Ping {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
}

impl ClientMessage {
    /// The row of the permission table for this message.
    pub fn permission(&self) -> Permission {
        match self {
            Self::Auth { .. } | Self::Ping { .. } => Permission::Public,
            Self::AgentCommand { .. } => Permission::SessionControl,
            Self::UiInteraction { action: Interaction::Annotate, .. } => Permission::SessionAnnotate,
            Self::Subscribe { .. } | Self::UiInteraction { .. } => Permission::SessionRead,
        }
    }

    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Auth { id, .. }
            | Self::Subscribe { id, .. }
            | Self::AgentCommand { id, .. }
            | Self::UiInteraction { id, .. }
            | Self::Ping { id } => id.as_deref(),
        }
    }

    /// The error is what to tell the client: the message's id, where readable, and why.
    pub fn parse(text: &str) -> Result<Self, (Option<String>, Unreadable)> {
        let value: Value = serde_json::from_str(text).map_err(|_| (None, Unreadable::NotJson))?;
        let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
        if id.as_ref().is_some_and(|id| !(1..=64).contains(&id.chars().count())) {
            return Err((None, Unreadable::NotAMessage));
        }
        // A reader of tagged messages takes lists for objects.
        let is_list = |place: &str| value.pointer(place).is_some_and(Value::is_array);
        if ["/subscribe", "/subscribe/cursor", "/cursor"].into_iter().any(is_list) {
            return Err((id, Unreadable::NotAMessage));
        }
        serde_json::from_value(value).map_err(|_| (id, Unreadable::NotAMessage))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    NotJson,
    NotAMessage,
}

/// `user_auth` on `/ws/system`.
#[derive(Clone, Debug, Serialize)]
pub struct UserAuth {
    pub user_id: Option<psyche_core::UserId>,
    pub username: String,
    /// `login`, `logout`, `registration` or `password_change`.
    pub action: &'static str,
    pub role: Option<Role>,
    pub success: bool,
    pub metadata: Value,
    pub timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_strictly() {
        let good = [
            r#"{"type":"auth","token":"t","subscribe":{"events":["agent_message"],"deltas":false,"cursor":{"gen":1,"seq":4}}}"#,
            r#"{"type":"auth","token":"t","subscribe":{}}"#,
            r#"{"type":"subscribe","id":"s"}"#,
            r#"{"type":"agent_command","id":"c","command":"start"}"#,
            r#"{"type":"ui_interaction","action":"typing","data":{"on":true}}"#,
            r#"{"type":"ping"}"#,
        ];
        for text in good {
            assert!(ClientMessage::parse(text).is_ok(), "{text}");
        }
        let bad = [
            (r#"{"type":"auth"}"#, Unreadable::NotAMessage),
            (r#"{"type":"ping","more":1}"#, Unreadable::NotAMessage),
            (r#"{"type":"shutdown"}"#, Unreadable::NotAMessage),
            (r#"{"type":"subscribe","cursor":{"gen":1}}"#, Unreadable::NotAMessage),
            (r#"{"type":"subscribe","cursor":[1,4]}"#, Unreadable::NotAMessage),
            (r#"{"type":"auth","token":"t","subscribe":[["agent_message"]]}"#, Unreadable::NotAMessage),
            (r#"{"type":"auth","token":"t","subscribe":{"cursor":[1,4]}}"#, Unreadable::NotAMessage),
            (r#"{"type":"ping","id":""}"#, Unreadable::NotAMessage),
            ("[]", Unreadable::NotAMessage),
            ("{", Unreadable::NotJson),
        ];
        for (text, why) in bad {
            assert_eq!(ClientMessage::parse(text).unwrap_err().1, why, "{text}");
        }
        let (id, _) = ClientMessage::parse(r#"{"type":"nothing","id":"x1"}"#).unwrap_err();
        assert_eq!(id.as_deref(), Some("x1"));
    }
}
