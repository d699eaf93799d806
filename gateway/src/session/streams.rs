//! A session of public streams: names in the address, `SUBSCRIBE` and its kin as messages, market data out.

use std::sync::Arc;

use bytes::Bytes;
use lakh_engine::units::Timestamp;

use super::api::envelope_error;
use super::in_flight::InFlight;
use super::{Action, Liveness, NOBODY, SessionContext, Standing, Submission, Work};
use crate::api_error::ApiError;
use crate::hand_over::{AnswerShape, Read, Stream, StreamWrapping, ToSession};
use crate::limits::{Charge, TokenBucket};
use crate::request::refusal;
use crate::stream;
use crate::wire::json::envelope::{self, Params};
use crate::wire::json::response;

/// A session of public streams.
#[derive(Debug)]
pub struct StreamSession {
    context: Arc<SessionContext>,
    wrapping: StreamWrapping,
    control_messages: TokenBucket,
    liveness: Liveness,
    in_flight: InFlight<Box<str>>,
    /// Each with the name that the client knows it by.
    joined: Vec<(Stream, String)>,
}

impl StreamSession {
    /// A session that has just been opened and has joined nothing.
    pub fn new(context: Arc<SessionContext>, wrapping: StreamWrapping, now: Timestamp) -> Self {
        let options = context.options;
        Self {
            context,
            wrapping,
            control_messages: TokenBucket::new(options.control_messages),
            liveness: Liveness::new(&options, now),
            in_flight: InFlight::new(options.in_flight),
            joined: Vec::new(),
        }
    }

    /// Joins the streams that an address names, `/` between them. What is no stream is passed over: clients open
    /// `/ws/0` and `/stream?streams=` before they know what they want.
    pub fn join(&mut self, names: &str, actions: &mut Vec<Action>) {
        let mut streams = Vec::new();
        for name in names.split('/') {
            if let Some(stream) = stream::parse(name, &self.context.directory)
                && self.add(stream, name) == Joined::New
            {
                streams.push(stream);
            }
        }
        if !streams.is_empty() {
            let read = Read::SubscribeStreams { streams, wrapping: self.wrapping };
            actions.push(submit(NOBODY, read));
        }
    }

    /// Requests that have no answer yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn liveness(&mut self) -> &mut Liveness {
        &mut self.liveness
    }

    /// Takes in a control message.
    pub fn handle_frame(&mut self, frame: &str, now: Timestamp, actions: &mut Vec<Action>) {
        self.liveness.heard_at = now;
        let charge = self.control_messages.charge(1, now);
        let parsed = match envelope::parse(frame) {
            Ok(parsed) => parsed,
            Err(error) => return respond(error.id, &Err(envelope_error(&error.kind)), actions),
        };
        let id = parsed.id;
        if charge == Charge::Refused {
            return respond(id, &Err(refusal::too_many_requests()), actions);
        }
        let names: Vec<&str> = match &parsed.params {
            Params::Listed(names) => names.iter().map(AsRef::as_ref).collect(),
            Params::Named(_) => Vec::new(),
        };
        let read = match parsed.method.as_ref() {
            "LIST_SUBSCRIPTIONS" => {
                let list = response::string_list(self.joined.iter().map(|(_, name)| name.as_str()));
                return respond(id, &Ok(list), actions);
            }
            "SUBSCRIBE" => self.subscribe(&names),
            "UNSUBSCRIBE" => self.unsubscribe(&names),
            _ => Err(refusal::unsupported_operation()),
        };
        match read {
            Err(error) => respond(id, &Err(error), actions),
            Ok(read) => {
                let deadline = Timestamp(now.0.saturating_add(self.context.options.answer_timeout_ns));
                match self.in_flight.insert(id.into(), deadline) {
                    Some(request) => actions.push(submit(request, read)),
                    None => respond(id, &Err(refusal::too_many_in_flight()), actions),
                }
            }
        }
    }

    /// Takes in an answer or a public message.
    pub fn handle_answer(&mut self, message: ToSession, actions: &mut Vec<Action>) {
        match message {
            ToSession::Message(message) => actions.push(Action::Send(message)),
            ToSession::Answer { request, outcome } => {
                if let Some(id) = self.in_flight.remove(request) {
                    respond(&id, &outcome.map(|_| Bytes::from_static(b"null")), actions);
                }
            }
            // Nothing private is ever asked for here.
            ToSession::Report { .. } | ToSession::Page(_) => {}
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        while let Some(id) = self.in_flight.pop_expired(now) {
            respond(&id, &Err(refusal::timeout()), actions);
        }
        self.liveness.handle_timeout(&self.context.options, now, actions);
    }

    /// Tells the client that the server stops.
    pub fn handle_shutdown(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        actions.push(Action::Send(response::server_shutdown(now.milliseconds())));
    }

    /// All of the names or none: a client that asked for something else must not take silence for a quiet market.
    fn subscribe(&mut self, names: &[&str]) -> Result<Read, ApiError> {
        let mut streams = Vec::with_capacity(names.len());
        for name in names {
            let found = stream::parse(name, &self.context.directory);
            streams.push(found.ok_or_else(|| refusal::invalid_value("params"))?);
        }
        if self.joined.len() + streams.len() > self.context.options.streams {
            return Err(refusal::too_many_in_flight());
        }
        let mut added = Vec::with_capacity(streams.len());
        for (stream, name) in streams.into_iter().zip(names) {
            if self.add(stream, name) == Joined::New {
                added.push(stream);
            }
        }
        Ok(Read::SubscribeStreams { streams: added, wrapping: self.wrapping })
    }

    fn unsubscribe(&mut self, names: &[&str]) -> Result<Read, ApiError> {
        let mut streams = Vec::with_capacity(names.len());
        for name in names {
            let found = stream::parse(name, &self.context.directory);
            streams.push(found.ok_or_else(|| refusal::invalid_value("params"))?);
        }
        self.joined.retain(|(stream, _)| !streams.contains(stream));
        Ok(Read::UnsubscribeStreams { streams })
    }

    fn add(&mut self, stream: Stream, name: &str) -> Joined {
        let known = self.joined.iter().any(|(joined, _)| *joined == stream);
        if known || self.joined.len() >= self.context.options.streams {
            return Joined::Not;
        }
        self.joined.push((stream, name.to_owned()));
        Joined::New
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    New,
    Not,
}

const fn submit(request: u32, read: Read) -> Action {
    let (shape, standing) = (AnswerShape::Empty, Standing::Good);
    Action::Submit(Submission { request, shape, work: Work::Read(read), standing })
}

fn respond(id: &str, outcome: &Result<Bytes, ApiError>, actions: &mut Vec<Action>) {
    actions.push(Action::Send(response::stream_response(id, outcome)));
}
