//! Access tokens (HS256, `at+jwt`), and the opaque secrets of refresh tokens and tickets.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use psyche_core::words::Hash;
use psyche_core::{SignInId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "psyche";
const TYPE: &str = "at+jwt";
/// How far ahead the clock of another replica may be: what it issues is good here at once.
const LEEWAY_S: i64 = 15 * 60;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    pub sid: SignInId,
    pub jti: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub epoch: u32,
    pub tenant: TenantId,
}

impl Claims {
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.exp.saturating_mul(1_000_000))
    }
}

struct Key {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The ring of keys: the first signs, all verify.
pub struct Keys(Vec<Key>);

impl Keys {
    pub fn new(secrets: &[Vec<u8>]) -> Self {
        let key = |secret: &Vec<u8>| {
            let named: Vec<u8> = b"psyche.kid\0".iter().chain(secret).copied().collect();
            Key {
                kid: hex::encode(&Hash::of(&named).0[..8]),
                encoding: EncodingKey::from_secret(secret),
                decoding: DecodingKey::from_secret(secret),
            }
        };
        Self(secrets.iter().map(key).collect())
    }

    /// `None` when there is no key, or the token cannot be made.
    pub fn issue(&self, user: UserId, sign_in: SignInId, jti: String, now: Timestamp, life_s: i64) -> Option<String> {
        let key = self.0.first()?;
        let now = now.micros() / 1_000_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user,
            sid: sign_in,
            jti,
            iat: now,
            nbf: now,
            exp: now + life_s,
            epoch: 1,
            tenant: TenantId::DEFAULT,
        };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &key.encoding).ok()
    }

    /// The claims of a token that is ours and valid now.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > 4096 {
            return None;
        }
        let key = self.key_for(token)?;
        let mut rules = Validation::new(Algorithm::HS256);
        // Times are judged by our clock below.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.required_spec_claims = HashSet::from(["exp", "nbf", "sub", "iss", "aud"].map(str::to_owned));
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &rules).ok()?.claims;
        let seconds = now.micros() / 1_000_000;
        let in_time = claims.nbf <= seconds + LEEWAY_S && seconds < claims.exp;
        (in_time && claims.tenant == TenantId::DEFAULT).then_some(claims)
    }

    /// Reads the header itself: exactly our algorithm and type, a known key, nothing critical that we do not know.
    fn key_for(&self, token: &str) -> Option<&Key> {
        let head = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
        let head: serde_json::Value = serde_json::from_slice(&head).ok()?;
        if head["alg"] != "HS256" || head["typ"] != TYPE || head.get("crit").is_some() {
            return None;
        }
        self.0.iter().find(|key| head["kid"] == key.kid.as_str())
    }
}

/// A secret of 256 bits for a client to keep, and what we keep of it.
pub fn secret(entropy: [u8; 32]) -> (String, Hash) {
    let text = URL_SAFE_NO_PAD.encode(entropy);
    let hash = Hash::of(text.as_bytes());
    (text, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn token(keys: &Keys) -> String {
        let (user, sign_in): (UserId, SignInId) = (
            "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            "00000000-0000-0000-0000-000000000002".parse().unwrap(),
        );
        keys.issue(user, sign_in, "j".into(), NOW, 60).unwrap()
    }

    #[test]
    fn a_token_is_valid_for_its_life_and_under_its_key_only() {
        let keys = Keys::new(&[vec![1; 32], vec![2; 32]]);
        let token = token(&keys);
        let claims = keys.verify(&token, NOW).unwrap();
        assert_eq!(claims.exp, claims.iat + 60);
        assert!(keys.verify(&token, NOW.plus_ms(59_999)).is_some());
        assert!(keys.verify(&token, NOW.plus_ms(60_000)).is_none());
        assert!(keys.verify(&token, NOW.plus_ms(-900_000)).is_some());
        assert!(keys.verify(&token, NOW.plus_ms(-901_000)).is_none());
        assert!(Keys::new(&[vec![2; 32], vec![1; 32]]).verify(&token, NOW).is_some());
        assert!(Keys::new(&[vec![3; 32]]).verify(&token, NOW).is_none());
    }

    #[test]
    fn other_headers_are_refused() {
        let keys = Keys::new(&[vec![1; 32]]);
        let good = token(&keys);
        let kid = keys.0[0].kid.clone();
        let rest: Vec<&str> = good.splitn(2, '.').collect();
        let heads = [
            format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS512","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}","crit":["exp"]}}"#),
            r#"{"alg":"HS256","typ":"at+jwt","kid":"other"}"#.to_owned(),
        ];
        for head in heads {
            assert!(keys.key_for(&format!("{}.{}", URL_SAFE_NO_PAD.encode(&head), rest[1])).is_none(), "{head}");
        }
        let mut tampered = good.clone();
        tampered.pop();
        assert!(keys.verify(&tampered, NOW).is_none());
        assert!(keys.verify("", NOW).is_none());
    }
}
