//! What stands behind a command in the journal, so that anybody can check on whose word it was taken.
//!
//! | offset | size | type | meaning |
//! |---|---|---|---|
//! | 0 | 1 | u8 | kind: 0 none, 1 signed over WebSocket, 2 delegated to a session, 3 operator, 4 signed over HTTP, 7 two operators; 5, 6 below |
//! | 1 | 1 | u8 | length m of the method's name, at most 64 |
//! | 2 | m | ASCII | the method's name, without version |
//! | 2 + m | 2 | u16 | length t of the text, at most 2,048; little-endian |
//! | 4 + m | t | bytes | the exact bytes that the signature covers; for kind 2 the parameters in the same form |
//! | 4 + m + t | 32 | bytes | the public key |
//! | 36 + m + t | 64 | bytes | the signature, R ‖ s; not there for kind 2 |
//! | 100 + m + t | 2 | u16 | how much of the text was the query, little-endian; for kind 4 only |
//! | 100 + m + t | 96 | bytes | another public key and its signature over the same bytes; for kind 7 only |
//!
//! Kind 0 is the one byte alone, or nothing at all. The kind comes first so that a reader can skip what it does not
//! know, and fixed sizes last so that the text's place is known from six bytes.
//!
//! The binary face's (kind 5: a message, kind 6: a logon) has no method's name: a message's number says it, which is 0
//! for a logon.
//!
//! | offset | size | type | meaning |
//! |---|---|---|---|
//! | 0 | 1 | u8 | kind: 5, 6 |
//! | 1 | 2 | u16 | the message's template id, little-endian; 0 for kind 6 |
//! | 3 | 2 | u16 | length b of the body, little-endian; for kind 6 of the text |
//! | 5 | b | bytes | what [`super::native`] says is signed: the body behind the template id, or the logon's text |
//! | 5 + b | 32 | bytes | the public key |
//! | 37 + b | 64 | bytes | the signature, R ‖ s |

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use lakh_engine::command::{Command, EvidenceGrade, ReplayGuard};
use lakh_engine::units::Timestamp;

use super::canonical::{self, MAX_TEXT};
use super::native::{LOGON_WINDOW_MS, LogonText, MAX_LOGON_TEXT, tag_text};
use super::rest_text::RestText;
use super::signature::{Verdict, verify_bytes};
use super::{parse_api_key, payload_digest};
use crate::api_error::ApiError;
use crate::directory::{Directory, KeyEntry};
use crate::request::{self, Fields, Intent, Method};
use crate::wire::sbe::MAX_FRAME_BYTES;
use crate::wire::sbe::enums::Code;
use crate::wire::sbe::request::OrderRequest;

/// Longest name of a method, in bytes.
pub const MAX_METHOD: usize = 64;
/// Longest body of a message of the binary face, in bytes: shorter than its frame.
const MAX_BODY: usize = MAX_FRAME_BYTES - 64;
/// Longest evidence, in bytes.
pub const MAX_EVIDENCE: usize = 5 + MAX_BODY + 32 + 64;

/// Bytes in front of the body in evidence of kind 5, and behind it.
const NATIVE_FRONT: usize = 5;
const NATIVE_BACK: usize = 32 + 64;

const NONE: u8 = 0;
const WEBSOCKET_SIGNED: u8 = 1;
const SESSION_DELEGATED: u8 = 2;
const ADMIN: u8 = 3;
const HTTP_SIGNED: u8 = 4;
const NATIVE: u8 = 5;
const BINARY_LOGON: u8 = 6;
const TWO_ADMINS: u8 = 7;

/// Evidence, borrowed from a journal record or from what is about to become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence<'a> {
    /// The node's own command.
    None,
    /// Signed JSON over WebSocket.
    WebSocketSigned(SignedText<'a>),
    /// Unsigned, in a session that the key opened.
    SessionDelegated {
        /// The method's name.
        method: &'a str,
        /// The parameters as they would have been signed.
        text: &'a [u8],
        /// Who had opened the session.
        public_key: &'a [u8; 32],
    },
    /// An operator's signed decision.
    Admin(SignedText<'a>),
    /// Two operators' signed decision.
    TwoAdmins {
        /// As the first one signed it.
        signed: SignedText<'a>,
        /// The other one's key.
        second_key: &'a [u8; 32],
        /// The other one's signature over the same bytes.
        second_signature: &'a [u8; 64],
    },
    /// Signed over HTTP, the key outside of the text.
    HttpSigned {
        /// Query and body, one behind the other.
        signed: SignedText<'a>,
        /// How much of the text was the query.
        query_length: u16,
    },
    /// A message of the binary face, signed by its digest.
    Native {
        /// Which message.
        template: u16,
        /// What is signed of it.
        signed: SignedBody<'a>,
    },
    /// A logon of the binary face.
    BinaryLogon(SignedBody<'a>),
}

/// Bytes of the binary face and the signature over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBody<'a> {
    /// What is signed, or the digest of which is.
    pub body: &'a [u8],
    /// By whom.
    pub public_key: &'a [u8; 32],
    /// R ‖ s.
    pub signature: &'a [u8; 64],
}

/// A text and the signature over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedText<'a> {
    /// The method's name.
    pub method: &'a str,
    /// The exact bytes that were signed.
    pub text: &'a [u8],
    /// By whom.
    pub public_key: &'a [u8; 32],
    /// R ‖ s.
    pub signature: &'a [u8; 64],
}

/// The signed body in evidence of a message of the binary face, as [`Evidence::append_binary`] wrote it.
pub fn native_body(evidence: &[u8]) -> &[u8] {
    evidence.get(NATIVE_FRONT..evidence.len().saturating_sub(NATIVE_BACK)).unwrap_or_default()
}

/// Why bytes are no evidence, or evidence does not carry its command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The bytes end too early, or go on after the end.
    #[error("the evidence has {0} bytes, which its own lengths do not give")]
    WrongLength(usize),
    /// No such kind.
    #[error("unknown kind of evidence {0}")]
    UnknownKind(u8),
    /// Not ASCII, or too long.
    #[error("the method or the text is longer than evidence may be, or is not text")]
    BadText,
    /// Evidence of this kind does not lead to a trader's command.
    #[error("this kind of evidence does not carry a trader's command")]
    NotATradersCommand,
    /// The signature does not hold.
    #[error("the signature is not accepted")]
    SignatureRefused,
    /// The text names another key than the one that signed.
    #[error("the text names another key than the evidence")]
    OtherKey,
    /// The key is not registered.
    #[error("the key is not registered")]
    KeyUnknown,
    /// The text asks for nothing that the API knows.
    #[error("the text is no request: {} {}", .0.code, .0.message)]
    NotARequest(ApiError),
    /// The bytes are no message that the binary face takes.
    #[error("the bytes are no request: {}", .0.name())]
    NotAMessage(Code),
    /// The logon names another venue.
    #[error("the logon is none of this venue's")]
    OtherVenue,
}

/// The bytes that a signature covers, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBytes<'a> {
    /// The exact bytes.
    pub bytes: Cow<'a, [u8]>,
    /// By whom.
    pub public_key: &'a [u8; 32],
    /// R ‖ s.
    pub signature: &'a [u8; 64],
}

impl<'a> Evidence<'a> {
    /// The signatures behind a record, none to two. A message's covers a digest that is bound to the directory's contract.
    pub fn signatures(&self, directory: &Directory) -> [Option<SignedBytes<'a>>; 2] {
        let of_text = |signed: &SignedText<'a>| {
            let SignedText { text, public_key, signature, .. } = *signed;
            Some(SignedBytes { bytes: Cow::Borrowed(text), public_key, signature })
        };
        match self {
            Self::None | Self::SessionDelegated { .. } => [None, None],
            Self::WebSocketSigned(signed) | Self::Admin(signed) | Self::HttpSigned { signed, .. } => {
                [of_text(signed), None]
            }
            Self::TwoAdmins { signed, second_key: public_key, second_signature: signature } => {
                [of_text(signed), of_text(&SignedText { public_key, signature, ..*signed })]
            }
            Self::Native { template, signed: SignedBody { body, public_key, signature } } => {
                let digest = directory.signing_domain().digest(*template, body, &[]);
                [Some(SignedBytes { bytes: Cow::Owned(digest.to_vec()), public_key, signature }), None]
            }
            Self::BinaryLogon(SignedBody { body, public_key, signature }) => {
                [Some(SignedBytes { bytes: Cow::Borrowed(body), public_key, signature }), None]
            }
        }
    }
}

impl Evidence<'_> {
    /// The evidence as bytes. `None` when a name or text is longer than its bound.
    pub fn encode(&self) -> Option<Bytes> {
        let (kind, method, text, public_key, signature) = match self {
            Self::None => return Some(Bytes::from_static(&[NONE])),
            Self::WebSocketSigned(signed) => {
                (WEBSOCKET_SIGNED, signed.method, signed.text, signed.public_key, signed.signature.as_slice())
            }
            Self::SessionDelegated { method, text, public_key } => {
                (SESSION_DELEGATED, *method, *text, *public_key, [].as_slice())
            }
            Self::TwoAdmins { signed, .. } => {
                (TWO_ADMINS, signed.method, signed.text, signed.public_key, signed.signature.as_slice())
            }
            Self::Admin(signed) => (ADMIN, signed.method, signed.text, signed.public_key, signed.signature.as_slice()),
            Self::HttpSigned { signed, .. } => {
                (HTTP_SIGNED, signed.method, signed.text, signed.public_key, signed.signature.as_slice())
            }
            Self::Native { .. } | Self::BinaryLogon(_) => {
                let mut out = BytesMut::new();
                self.append_binary(&mut out)?;
                return Some(out.freeze());
            }
        };
        if method.len() > MAX_METHOD || text.len() > MAX_TEXT {
            return None;
        }
        let mut out = Vec::with_capacity(4 + method.len() + text.len() + 98);
        out.extend_from_slice(&[kind, u8::try_from(method.len()).ok()?]);
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(public_key);
        out.extend_from_slice(signature);
        if let Self::HttpSigned { query_length, .. } = self {
            out.extend_from_slice(&query_length.to_le_bytes());
        }
        if let Self::TwoAdmins { second_key, second_signature, .. } = self {
            out.extend_from_slice(*second_key);
            out.extend_from_slice(*second_signature);
        }
        Some(Bytes::from(out))
    }

    /// Appends evidence of the binary face, so that that of many messages can share one allocation. `None` for other
    /// evidence, and where the body is longer than its bound.
    pub fn append_binary(&self, out: &mut BytesMut) -> Option<()> {
        let (kind, template, signed) = match self {
            Self::Native { template, signed } => (NATIVE, *template, signed),
            Self::BinaryLogon(signed) => (BINARY_LOGON, 0, signed),
            _ => return None,
        };
        let limit = if kind == NATIVE { MAX_BODY } else { MAX_LOGON_TEXT };
        if signed.body.len() > limit {
            return None;
        }
        let length = u16::try_from(signed.body.len()).ok()?;
        out.reserve(5 + signed.body.len() + 96);
        out.extend_from_slice(&[kind]);
        out.extend_from_slice(&template.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(signed.body);
        out.extend_from_slice(signed.public_key);
        out.extend_from_slice(signed.signature);
        Some(())
    }
}

impl<'a> Evidence<'a> {
    /// Reads evidence; the bytes must be used up exactly.
    ///
    /// # Errors
    /// [`EvidenceError::WrongLength`], [`EvidenceError::UnknownKind`], [`EvidenceError::BadText`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EvidenceError> {
        let wrong_length = EvidenceError::WrongLength(bytes.len());
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(Self::None) };
        match kind {
            NONE if rest.is_empty() => return Ok(Self::None),
            NONE => return Err(wrong_length),
            NATIVE | BINARY_LOGON => return decode_binary(kind, rest).ok_or(wrong_length),
            WEBSOCKET_SIGNED | SESSION_DELEGATED | ADMIN | HTTP_SIGNED | TWO_ADMINS => {}
            unknown => return Err(EvidenceError::UnknownKind(unknown)),
        }
        let tail_length = match kind {
            SESSION_DELEGATED => 0,
            HTTP_SIGNED => 66,
            TWO_ADMINS => 160,
            _ => 64,
        };
        let (method, text, public_key, tail) = split(rest, tail_length).ok_or_else(|| wrong_length.clone())?;
        if method.len() > MAX_METHOD || text.len() > MAX_TEXT || !method.is_ascii() {
            return Err(EvidenceError::BadText);
        }
        let method = std::str::from_utf8(method).map_err(|_| EvidenceError::BadText)?;
        if kind == SESSION_DELEGATED {
            return Ok(Self::SessionDelegated { method, text, public_key });
        }
        let (signature, tail) = tail.split_first_chunk::<64>().ok_or_else(|| wrong_length.clone())?;
        let signed = SignedText { method, text, public_key, signature };
        match kind {
            ADMIN => Ok(Self::Admin(signed)),
            TWO_ADMINS => {
                let (second_key, tail) = tail.split_first_chunk::<32>().ok_or_else(|| wrong_length.clone())?;
                let second_signature = tail.try_into().map_err(|_| wrong_length)?;
                Ok(Self::TwoAdmins { signed, second_key, second_signature })
            }
            HTTP_SIGNED => {
                let query_length = u16::from_le_bytes(tail.try_into().map_err(|_| wrong_length)?);
                Ok(Self::HttpSigned { signed, query_length })
            }
            _ => Ok(Self::WebSocketSigned(signed)),
        }
    }
}

/// Reads evidence of the binary face behind its kind.
fn decode_binary(kind: u8, rest: &[u8]) -> Option<Evidence<'_>> {
    let (template, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (public_key, rest) = rest.split_first_chunk::<32>()?;
    let signature: &[u8; 64] = rest.try_into().ok()?;
    let (template, signed) = (u16::from_le_bytes(*template), SignedBody { body, public_key, signature });
    match kind {
        NATIVE if body.len() <= MAX_BODY => Some(Evidence::Native { template, signed }),
        BINARY_LOGON if template == 0 && body.len() <= MAX_LOGON_TEXT => Some(Evidence::BinaryLogon(signed)),
        _ => None,
    }
}

/// Method, text, key, and what is behind the key, of encoded evidence.
type Fragments<'a> = (&'a [u8], &'a [u8], &'a [u8; 32], &'a [u8]);

/// Takes the bytes after the kind apart; what is behind the key must be `tail_length` bytes.
fn split(rest: &[u8], tail_length: usize) -> Option<Fragments<'_>> {
    let (&method_length, rest) = rest.split_first()?;
    let (method, rest) = rest.split_at_checked(usize::from(method_length))?;
    let (text_length, rest) = rest.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*text_length)))?;
    let (public_key, tail) = rest.split_first_chunk::<32>()?;
    (tail.len() == tail_length).then_some((method, text, public_key, tail))
}

/// Builds the command once more from its evidence alone, checking the signature on the way. It must equal the journaled
/// one, which is what the audit compares. No clock is asked: when the command was good is the engine's business, and
/// both times that it compares are in the journal. `directory` must know the keys and markets of that time; neither
/// ever changes its number or units.
///
/// # Errors
/// See [`EvidenceError`].
pub fn command_from_evidence(evidence: &Evidence<'_>, directory: &Directory) -> Result<Command, EvidenceError> {
    let refused =
        |signed: &SignedBytes<'_>| verify_bytes(signed.public_key, &signed.bytes, signed.signature) == Verdict::Refused;
    if evidence.signatures(directory).iter().flatten().any(refused) {
        return Err(EvidenceError::SignatureRefused);
    }
    unverified_command(evidence, directory)
}

/// As [`command_from_evidence`] for who verifies the signature otherwise, such as many of them together.
///
/// # Errors
/// See [`EvidenceError`].
pub fn unverified_command(evidence: &Evidence<'_>, directory: &Directory) -> Result<Command, EvidenceError> {
    let (method, text, public_key, grade) = match evidence {
        Evidence::Native { template, signed } => return native_command(*template, signed, directory),
        Evidence::BinaryLogon(signed) => return logon_command(signed, directory),
        Evidence::None | Evidence::Admin(_) | Evidence::TwoAdmins { .. } => {
            return Err(EvidenceError::NotATradersCommand);
        }
        Evidence::WebSocketSigned(signed) | Evidence::HttpSigned { signed, .. } => {
            let grade = match evidence {
                Evidence::HttpSigned { .. } => EvidenceGrade::HeaderKeyed,
                _ => EvidenceGrade::Signed,
            };
            (signed.method, signed.text, signed.public_key, grade)
        }
        Evidence::SessionDelegated { method, text, public_key } => {
            (*method, *text, *public_key, EvidenceGrade::Delegated)
        }
    };
    let parameters = match evidence {
        Evidence::HttpSigned { query_length, .. } => RestText::read_back(text, *query_length),
        _ => canonical::read_back(text),
    };
    let parameters = parameters.ok_or(EvidenceError::BadText)?;
    let fields = Fields::new(&parameters);
    match (fields.text("apiKey"), grade) {
        // Over HTTP the key stands in a header; a parameter of that name says nothing.
        (_, EvidenceGrade::HeaderKeyed) | (None, EvidenceGrade::Delegated) => {}
        (None, _) => return Err(EvidenceError::OtherKey),
        (Some(text), _) => {
            if parse_api_key(text, directory.venue_tag(), directory.mode()) != Ok(*public_key) {
                return Err(EvidenceError::OtherKey);
            }
        }
    }
    let key = directory.key(public_key).ok_or(EvidenceError::KeyUnknown)?;
    let known = Method::from_name(method).filter(|known| known.name() == method);
    let known = known.ok_or(EvidenceError::NotATradersCommand)?;
    let key = request::speaking(known, fields, key, directory).map_err(EvidenceError::NotARequest)?;
    let intent = Intent::build(known, fields, key.account, directory).map_err(EvidenceError::NotARequest)?;
    let Intent::Operation { operation, valid_until, .. } = intent else {
        return Err(EvidenceError::NotATradersCommand);
    };
    let timing = fields.timing().map_err(EvidenceError::NotARequest)?;
    let guard = replay_guard(grade, timing, text);
    Ok(request::command(&key, grade, guard, (operation, valid_until)))
}

/// The command of a message of the binary face.
fn native_command(template: u16, signed: &SignedBody<'_>, directory: &Directory) -> Result<Command, EvidenceError> {
    let SignedBody { body, public_key, .. } = signed;
    let key = directory.key(public_key).ok_or(EvidenceError::KeyUnknown)?;
    let request = OrderRequest::from_signed_body(template, body).map_err(EvidenceError::NotAMessage)?;
    if request.account != key.account {
        return Err(EvidenceError::NotAMessage(Code::WrongAccount));
    }
    Ok(request.command(key.key))
}

/// The command of a logon of the binary face.
fn logon_command(signed: &SignedBody<'_>, directory: &Directory) -> Result<Command, EvidenceError> {
    let SignedBody { body: text, public_key, .. } = signed;
    let key = directory.key(public_key).ok_or(EvidenceError::KeyUnknown)?;
    let logon = LogonText::decode(text).ok_or(EvidenceError::BadText)?;
    if logon.target != tag_text(directory.venue_tag()) {
        return Err(EvidenceError::OtherVenue);
    }
    Ok(command_of_logon(&logon, text, &key))
}

/// What a logon asks of the engine. It is bound to the venue by the tag in it, which follows from chain and contract.
pub(crate) fn command_of_logon(logon: &LogonText<'_>, text: &[u8], key: &KeyEntry) -> Command {
    let guard = ReplayGuard::Digest {
        digest: payload_digest(text),
        signed_at: logon.sending_time,
        receive_window_ms: LOGON_WINDOW_MS,
    };
    request::command(key, EvidenceGrade::Native, guard, (logon.operation(), Timestamp::ZERO))
}

/// What keeps a request of this grade from being used twice.
pub(crate) fn replay_guard(grade: EvidenceGrade, timing: request::Timing, signed: &[u8]) -> ReplayGuard {
    let request::Timing { signed_at, receive_window_ms } = timing;
    match grade {
        EvidenceGrade::Delegated => ReplayGuard::Session { signed_at, receive_window_ms },
        _ => digest_guard(timing, payload_digest(signed)),
    }
}

/// The same where the digest of what is signed is known, and nothing is delegated.
pub(crate) const fn digest_guard(timing: request::Timing, digest: [u8; 16]) -> ReplayGuard {
    let request::Timing { signed_at, receive_window_ms } = timing;
    ReplayGuard::Digest { digest, signed_at, receive_window_ms }
}
