//! One session and its verifier, stepped by hand, and frames for them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ed25519_dalek::Signer as _;
use lakh_engine::command::{Command, Mode, SignedCommand};
use lakh_engine::units::Timestamp;
use lakh_gateway::auth::evidence::{Evidence, command_from_evidence};
use lakh_gateway::client::sign_params;
use lakh_gateway::counters::Counters;
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{Input, Read, RequestHandle, SessionHandle, Signal, ToSession};
use lakh_gateway::limits::{Rate, TokenBucket};
use lakh_gateway::session::{
    Action, CloseReason, HttpRequest, Session, SessionContext, SessionOptions, Standing, signed_request,
};
use lakh_gateway::verifier::{Job, ReadDigests, Verifier, VerifierOptions, VerifierWiring};
use rtrb::{Consumer, RingBuffer};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{api_key_of, directory, json, now, signing_key};

/// One session with its verifier and the far end of the ring.
pub(crate) struct Bench {
    pub(crate) directory: Arc<Directory>,
    pub(crate) context: SessionContext,
    pub(crate) session: Session,
    pub(crate) counters: Arc<Counters>,
    pub(crate) verifier: Verifier,
    pub(crate) ring: Consumer<Input>,
    pub(crate) handle: SessionHandle,
    pub(crate) outbox: mpsc::Receiver<ToSession>,
    pub(crate) closed: Option<CloseReason>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Mode::Run, SessionOptions::default(), 1_024)
    }

    pub(crate) fn with(mode: Mode, options: SessionOptions, ring: usize) -> Self {
        Self::with_verifier(mode, options, ring, VerifierOptions::default())
    }

    pub(crate) fn with_verifier(mode: Mode, options: SessionOptions, ring: usize, verifier: VerifierOptions) -> Self {
        let directory = directory(mode);
        let started_at = Timestamp(now().0 - 30_000_000_000);
        let context = SessionContext { directory, options, presence: Arc::default(), started_at };
        Self::of(context, ring, verifier)
    }

    /// Another session of the same gateway.
    pub(crate) fn with_context(context: SessionContext) -> Self {
        Self::of(context, 1_024, VerifierOptions::default())
    }

    fn of(context: SessionContext, ring: usize, verifier: VerifierOptions) -> Self {
        let directory = Arc::clone(&context.directory);
        let address = Arc::new(TokenBucket::new(Rate { per_second: 1_000_000, burst: 1_000_000 }));
        let session = Session::api(Arc::new(context.clone()), address, now());
        let (to_sequencer, ring) = RingBuffer::new(ring);
        let counters = Arc::new(Counters::default());
        let wiring = VerifierWiring {
            to_sequencer,
            sequencer_signal: Arc::new(Signal::new()),
            read_digests: Arc::new(ReadDigests::new(1_000)),
            clock: now,
            counters: Arc::clone(&counters),
        };
        let verifier = Verifier::new(verifier, wiring).unwrap();
        let (handle, outbox) = SessionHandle::new(64);
        Self { directory, context, session, counters, verifier, ring, handle, outbox, closed: None }
    }

    /// Sends a frame; what the client gets at once, refusals of the verifier included.
    pub(crate) fn send(&mut self, frame: &str) -> Vec<Value> {
        let mut actions = Vec::new();
        self.session.handle_frame(frame, now(), &mut actions);
        self.perform(actions)
    }

    /// Sends a signed request over HTTP; the number of its error, 0 when it went through to the ring.
    pub(crate) fn http(&mut self, request: HttpRequest<'_>) -> i32 {
        let context = self.context.clone();
        let submission = match signed_request(&context, request, Standing::Good, now()) {
            Ok(submission) => submission,
            Err(error) => return error.code,
        };
        self.verifier.process(&mut vec![Job { submission, session: self.handle.clone() }]);
        match self.outbox.try_recv() {
            Ok(ToSession::Answer { outcome: Err(error), .. }) => error.code,
            _ => 0,
        }
    }

    pub(crate) fn perform(&mut self, actions: Vec<Action>) -> Vec<Value> {
        let mut sent = Vec::new();
        for action in actions {
            match action {
                Action::Send(text) => sent.push(json(&text)),
                Action::Close(reason) => self.closed = Some(reason),
                Action::Ping => {}
                Action::Submit(submission) => {
                    self.verifier.process(&mut vec![Job { submission, session: self.handle.clone() }]);
                }
            }
        }
        while let Ok(message) = self.outbox.try_recv() {
            sent.extend(self.answer(message));
        }
        sent
    }

    pub(crate) fn answer(&mut self, message: ToSession) -> Vec<Value> {
        let mut actions = Vec::new();
        self.session.handle_answer(message, now(), &mut actions);
        self.perform(actions)
    }

    /// The number of the error that a request is answered with; 0 when it went through to the ring.
    pub(crate) fn code(&mut self, frame: &str) -> i64 {
        let sent = self.send(frame);
        sent.first().map_or(0, |response| response["error"]["code"].as_i64().unwrap())
    }

    pub(crate) fn pop_command(&mut self) -> (SignedCommand, Bytes, RequestHandle) {
        match self.ring.pop() {
            Ok(Input::Command { command: Command::Signed(command), evidence, handle: Some(handle) }) => {
                (command, evidence, handle)
            }
            other => panic!("no command: {other:?}"),
        }
    }

    pub(crate) fn pop_read(&mut self) -> (Read, RequestHandle) {
        match self.ring.pop() {
            Ok(Input::Read { read, handle }) => (read, handle),
            other => panic!("no read: {other:?}"),
        }
    }

    /// Asserts that a command is what its evidence says.
    pub(crate) fn audit(&self, command: SignedCommand, evidence: &Bytes) {
        let decoded = Evidence::decode(evidence).unwrap();
        assert_eq!(decoded.encode().unwrap(), evidence);
        assert_eq!(command_from_evidence(&decoded, &self.directory), Ok(Command::Signed(command)));
    }
}

pub(crate) fn milliseconds() -> String {
    now().milliseconds().to_string()
}

pub(crate) fn api_key() -> String {
    api_key_of(&signing_key())
}

/// A frame of JSON parameters (with `KEY` and `NOW` replaced) whose signature is over `text` (likewise).
pub(crate) fn frame_over(method: &str, params: &str, text: &str) -> String {
    let time = milliseconds();
    let fill = |text: &str| text.replace("KEY", &api_key()).replace("NOW", &time);
    let signature = STANDARD.encode(signing_key().sign(fill(text).as_bytes()).to_bytes());
    let params = fill(params);
    format!(r#"{{"id":"x","method":"{method}","params":{{{params},"signature":"{signature}"}}}}"#)
}

/// A frame of parameters as strings, signed as the documents say. A timestamp is added unless there is one.
pub(crate) fn frame(method: &str, params: &[(&str, &str)]) -> String {
    let time = milliseconds();
    let mut all = params.to_vec();
    if !params.iter().any(|(name, _)| *name == "timestamp") {
        all.push(("timestamp", &time));
    }
    let params = sign_params(&signing_key(), &api_key(), &all);
    format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#)
}

pub(crate) const LIMIT: [(&str, &str); 6] = [
    ("symbol", "BTCUSDT"),
    ("side", "SELL"),
    ("type", "LIMIT"),
    ("timeInForce", "GTC"),
    ("price", "70000.1"),
    ("quantity", "0.01"),
];

/// [`LIMIT`] with these parameters instead or in addition; an empty value leaves one out.
pub(crate) fn limit_with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut params: Vec<(&str, &str)> = LIMIT.to_vec();
    params.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    params.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    params
}
