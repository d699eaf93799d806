//! What a reader of a journal is told instead of bytes, read from an answer of somebody who is not trusted.
//!
//! Only the few things count that a reader does something about; everything else is a sentence for people, made harmless
//! for a terminal. Bounds: the caller reads at most [`REFUSAL_BYTES`] of an answer, and [`SENTENCE`] characters are kept.

use serde_json::Value;

/// Bytes of the longest refusal that is worth reading.
pub const REFUSAL_BYTES: u64 = 64 * 1_024;
/// Characters of the longest sentence that is passed on.
const SENTENCE: usize = 200;
/// Refusals that have a meaning of their own for a reader.
const SEGMENT_GONE: i64 = -2105;
const BEYOND_END: i64 = -2106;

/// Why no bytes came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The segment stands in the archive; the oldest one that is there.
    Gone(u64),
    /// The journal is not shown that far.
    Beyond,
    /// Asked too often: a little later it may be another answer. Why, for people.
    Busy(String),
    /// It may be over in a moment. Why, for people.
    Passing(String),
    /// It will be the same the next time. Why, for people.
    Final(String),
}

impl Refused {
    /// Reads an answer with another HTTP status than those that have bytes.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        match (error["code"].as_i64(), error["data"]["oldest"].as_u64()) {
            (Some(SEGMENT_GONE), Some(oldest)) => return Self::Gone(oldest),
            (Some(BEYOND_END), _) => return Self::Beyond,
            _ => {}
        }
        let sentence = error["msg"].as_str().map_or_else(|| format!("HTTP status {status}"), printable);
        match status {
            429 => Self::Busy(sentence),
            500.. => Self::Passing(sentence),
            _ => Self::Final(sentence),
        }
    }
}

/// Text of somebody who is not trusted, for a terminal.
fn printable(text: &str) -> String {
    text.chars().take(SENTENCE).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_what_he_can_do_about_it() {
        let read = |status, text: &str| Refused::read(status, text.as_bytes());
        assert_eq!(read(410, r#"{"code":-2105,"data":{"oldest":7}}"#), Refused::Gone(7));
        assert_eq!(read(416, r#"{"code":-2106,"data":{"segment":1,"offset":2}}"#), Refused::Beyond);
        assert_eq!(read(410, r#"{"code":-2105,"data":{"oldest":-1}}"#), Refused::Final("HTTP status 410".to_owned()));
        assert_eq!(read(429, r#"{"code":-1003,"msg":"slower"}"#), Refused::Busy("slower".to_owned()));
        assert_eq!(read(503, "<html>"), Refused::Passing("HTTP status 503".to_owned()));
        assert_eq!(read(302, ""), Refused::Final("HTTP status 302".to_owned()));
        assert_eq!(
            read(401, &"[".repeat(65_536)),
            Refused::Final("HTTP status 401".to_owned()),
            "as deep as it may be"
        );
    }

    #[test]
    fn what_strangers_say_cannot_write_over_the_terminal() {
        assert_eq!(printable("no\x1b[2J\r\nmore"), "no [2J  more");
        assert_eq!(printable(&"x".repeat(1_000)).len(), SENTENCE);
    }
}
