//! The tokio shell of a session: moves messages between a socket, the session and the verifier.
//!
//! Whatever is ready is handled before anything is written, and whatever was written is flushed once: system calls,
//! not encoding, are what a message costs here. A client that does not read fills its outbox and is dropped.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::CapacityError};

use crate::counters::Counters;
use crate::hand_over::{AnswerShape, OutboxLimits, SessionHandle, ToSession};
use crate::request::refusal::OVERLOADED;
use crate::session::{Action, CloseReason, NOBODY, Session, Standing, Submission, Work};
use crate::verifier::{Job, VerifierQueue};

/// Messages that are handled between two flushes at most.
const BATCH: usize = 256;
/// Messages that there is room for in a quiet connection.
const QUIET: usize = 4;
/// How often a session lets time pass.
const TICK: Duration = Duration::from_secs(1);
/// How long requests in flight are waited for before a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a goodbye may take to be read.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long is waited before the end of an account's sessions is told again.
const DEPARTURE_PAUSE: Duration = Duration::from_millis(20);
/// How often it is told at most: for a minute.
const DEPARTURE_TRIES: u32 = 3_000;

/// Whether the end of an account's sessions was taken on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Taken,
    TryAgain,
}

/// Has the orders of an account taken off whose last session is over, of whichever face.
pub(crate) async fn has_ended(account: AccountId, verifier: &VerifierQueue, counters: &Counters) {
    counters.sessions_ended.count();
    let mut tries = 0;
    while tell_ended(account, verifier).await == Told::TryAgain {
        tries += 1;
        if tries == DEPARTURE_TRIES {
            tracing::error!("nobody takes the end of account {account}'s sessions; its orders stay");
            break;
        }
        tokio::time::sleep(DEPARTURE_PAUSE).await;
    }
}

async fn tell_ended(account: AccountId, verifier: &VerifierQueue) -> Told {
    let (session, mut outbox) = SessionHandle::new(1);
    let (shape, standing) = (AnswerShape::Empty, Standing::Good);
    let submission = Submission { request: 0, shape, work: Work::SessionEnded(account), standing };
    if verifier.submit(Job { submission, session }).is_err() {
        return Told::TryAgain;
    }
    match outbox.recv().await {
        Some(ToSession::Answer { outcome: Err(error), .. }) if error.code == OVERLOADED => Told::TryAgain,
        _ => Told::Taken,
    }
}

/// What a connection needs besides its socket.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) handle: SessionHandle,
    pub(crate) outbox: mpsc::Receiver<ToSession>,
    pub(crate) verifier: VerifierQueue,
    pub(crate) shutdown: watch::Receiver<bool>,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) counters: Arc<Counters>,
    /// How long the client may take to read what is sent.
    pub(crate) write_timeout: Duration,
    /// Where the client is.
    pub(crate) address: SocketAddr,
}

/// What a socket has to keep to.
pub(crate) struct SocketLimits {
    pub(crate) outbox: OutboxLimits,
    pub(crate) frame_bytes: usize,
    pub(crate) write_timeout: Duration,
}

/// Why a connection is over; carries the close frame that the client gets, if any.
type End = Option<CloseFrame>;

/// Buffer sizes and bounds of a socket. Buffers are small: there may be thousands of connections.
pub(crate) fn socket_options(frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1_024)
        .write_buffer_size(16 * 1_024)
        .max_write_buffer_size(4 * 1_024 * 1_024)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes))
}

impl Connection {
    /// Serves the connection until it ends. `first` is what the session wants done at once.
    pub(crate) async fn serve<S>(mut self, mut socket: WebSocketStream<S>, mut first: Vec<Action>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let end = match self.perform(&mut socket, &mut first).await {
            ControlFlow::Continue(()) => self.exchange(&mut socket).await,
            ControlFlow::Break(end) => end,
        };
        // First of all: a network that is dead may take its time over the rest.
        self.depart().await;
        let goodbye = async {
            // Fails where the client has closed first, whose close frame is answered by the flush.
            let _ = socket.close(end).await;
            socket.flush().await
        };
        let patience = self.write_timeout.min(GOODBYE_TIMEOUT);
        let _ = timeout(patience, goodbye).await;
        // With TLS the end has to be said, or it could be somebody on the way who cut the connection.
        let _ = timeout(patience, socket.get_mut().shutdown()).await;
    }

    /// Has the orders of those accounts taken off whose last session this was, and asks again until that was taken on: a
    /// venue that is too busy to hear it is the very one whose orders must not stay.
    async fn depart(&mut self) {
        for account in self.session.end() {
            has_ended(account, &self.verifier, &self.counters).await;
        }
    }

    async fn exchange<S>(&mut self, socket: &mut WebSocketStream<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Most connections wait most of the time: what they have to keep for busy moments they give back.
        let mut answers = Vec::new();
        let mut actions = Vec::new();
        let mut drain_until = None;
        loop {
            tokio::select! {
                count = self.outbox.recv_many(&mut answers, BATCH) => {
                    if count == 0 {
                        return None;
                    }
                    let now = (self.clock)();
                    for answer in answers.drain(..) {
                        self.handle.taken(answer.size());
                        self.session.handle_answer(answer, now, &mut actions);
                    }
                }
                message = socket.next() => {
                    if let ControlFlow::Break(end) = self.receive(message, socket, &mut actions) {
                        let _ = self.perform(socket, &mut actions).await;
                        return end;
                    }
                }
                _ = ticks.tick() => {
                    answers.shrink_to(QUIET);
                    actions.shrink_to(QUIET);
                    self.session.handle_timeout((self.clock)(), &mut actions);
                }
                () = stopped(&mut self.shutdown), if drain_until.is_none() => {
                    drain_until = Some(tokio::time::Instant::now() + DRAIN_TIMEOUT);
                    self.session.handle_shutdown((self.clock)(), &mut actions);
                }
            }
            if let ControlFlow::Break(end) = self.perform(socket, &mut actions).await {
                return end;
            }
            let drained = |until| self.session.in_flight() == 0 || tokio::time::Instant::now() >= until;
            if drain_until.is_some_and(drained) {
                return close_frame(CloseCode::Restart, "server shutdown");
            }
        }
    }

    /// Takes in a message and whatever else has already come.
    fn receive<S>(
        &mut self,
        first: Option<Result<Message, Error>>,
        socket: &mut WebSocketStream<S>,
        actions: &mut Vec<Action>,
    ) -> ControlFlow<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = (self.clock)();
        let mut message = first;
        for handled in 1..=BATCH {
            match message {
                Some(Ok(Message::Text(text))) => self.session.handle_frame(&text, now, actions),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => self.session.handle_heard(now),
                Some(Ok(Message::Binary(_))) => {
                    self.counters.frames_refused.count();
                    return ControlFlow::Break(close_frame(CloseCode::Unsupported, "text messages only"));
                }
                Some(Ok(Message::Close(_))) | None => return ControlFlow::Break(None),
                Some(Err(error)) => {
                    let end = close_frame_of(&error);
                    if end.is_some() {
                        self.counters.frames_refused.count();
                    }
                    return ControlFlow::Break(end);
                }
            }
            // What is taken out of the socket must be handled, so nothing is taken out at the end of a batch.
            if handled == BATCH {
                break;
            }
            match socket.next().now_or_never() {
                Some(next) => message = next,
                None => break,
            }
        }
        ControlFlow::Continue(())
    }

    /// Does what the session wants, then flushes once.
    async fn perform<S>(&mut self, socket: &mut WebSocketStream<S>, actions: &mut Vec<Action>) -> ControlFlow<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.handle.overflowed() {
            self.counters.slow_consumers_dropped.count();
            tracing::info!(address = %self.address, "ended since it reads too slowly");
            return ControlFlow::Break(close_frame(CloseCode::Policy, "reads too slowly"));
        }
        if actions.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut refused = Vec::new();
        let (handle, most) = (self.handle.clone(), self.write_timeout);
        // What is written at once, which is nearly everything, needs no timer.
        let written = tokio::select! {
            biased;
            written = self.write(socket, actions, &mut refused) => Some(written),
            () = reads_too_slowly(&handle, most) => None,
        };
        match written {
            Some(Ok(flow)) => flow,
            Some(Err(_)) => ControlFlow::Break(None),
            None => {
                self.counters.slow_consumers_dropped.count();
                tracing::info!(address = %self.address, "ended since it does not read");
                ControlFlow::Break(None)
            }
        }
    }

    async fn write<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        actions: &mut Vec<Action>,
        refused: &mut Vec<Action>,
    ) -> Result<ControlFlow<End>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut written = false;
        let mut end = None;
        for action in actions.drain(..) {
            match action {
                Action::Submit(submission) => {
                    let request = submission.request;
                    let job = Job { submission, session: self.handle.clone() };
                    if let Err(error) = self.verifier.submit(job)
                        && request != NOBODY
                    {
                        let answer = ToSession::Answer { request, outcome: Err(error) };
                        self.session.handle_answer(answer, (self.clock)(), refused);
                    }
                }
                Action::Send(text) => {
                    socket.feed(text_message(text)).await?;
                    written = true;
                }
                Action::Ping => {
                    socket.feed(Message::Ping(Bytes::new())).await?;
                    written = true;
                }
                Action::Close(reason) => {
                    match reason {
                        CloseReason::BadSignatures => {
                            self.counters.bad_signature_disconnects.count();
                            tracing::info!(address = %self.address, "ended for its bad signatures");
                        }
                        CloseReason::Idle => self.counters.idle_disconnects.count(),
                        CloseReason::ResumeTooSlow => self.counters.slow_consumers_dropped.count(),
                    }
                    end = close_frame_for(reason);
                }
            }
        }
        // A refusal leads to a message at most, never to more work.
        for action in refused.drain(..) {
            if let Action::Send(text) = action {
                socket.feed(text_message(text)).await?;
                written = true;
            }
        }
        if written {
            socket.flush().await?;
        }
        Ok(end.map_or(ControlFlow::Continue(()), |frame| ControlFlow::Break(Some(frame))))
    }
}

/// Ends when the client has not taken what is being written in its time, or more has come meanwhile than may wait for it.
async fn reads_too_slowly(handle: &SessionHandle, most: Duration) {
    let end = tokio::time::Instant::now() + most;
    while !handle.overflowed() && tokio::time::Instant::now() < end {
        tokio::time::sleep(TICK.min(most)).await;
    }
}

/// Ends when the server stops, or is gone.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn text_message(text: Bytes) -> Message {
    let text = Utf8Bytes::try_from(text).expect("the encoders write UTF-8 only");
    Message::Text(text)
}

fn close_frame(code: CloseCode, reason: &'static str) -> End {
    Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
}

fn close_frame_for(reason: CloseReason) -> End {
    match reason {
        CloseReason::Idle => close_frame(CloseCode::Policy, "nothing heard"),
        CloseReason::ResumeTooSlow => close_frame(CloseCode::Policy, "reads too slowly"),
        CloseReason::BadSignatures => close_frame(CloseCode::Policy, "too many bad signatures"),
    }
}

fn close_frame_of(error: &Error) -> End {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => close_frame(CloseCode::Size, "message too long"),
        Error::Utf8(_) => close_frame(CloseCode::Invalid, "not UTF-8"),
        Error::Protocol(_) => close_frame(CloseCode::Protocol, "not WebSocket"),
        _ => None,
    }
}
