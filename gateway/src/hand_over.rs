//! What passes between the gateway's threads and the sequencer: plain data over bounded single-producer rings.
//!
//! A request travels in one direction and never turns round: session → verifier → sequencer → publisher → session.
//! Reads and subscriptions take the same way as commands, so that a client reads its own writes, and nothing is
//! answered before everything in front of it is durable. The sequencer only moves these values: it never frees one.
//!
//! Bounds: each ring and each session's outbox has a fixed capacity. A full ring is a reject (-1008), a full outbox
//! ends the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use lakh_engine::command::{Command, OrderReference};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, KeyId, MarketId, OrderId, Sequence};
use lakh_engine::units::Timestamp;

pub use crate::proofs::Proof;
pub use crate::reports::follower::FromPosition;
pub use crate::signal::Signal;
pub use crate::stream::{Stream, StreamKind};

use crate::api_error::ApiError;
use crate::byte_outbox::{ByteOutbox, Notice, Wake};
use crate::market_data::candles::CandleInterval;
use crate::reports::log::ReportPage;
use crate::wire::sbe::encode::business_reject;
use crate::wire::sbe::enums::{Channel, Code, StartMode};
use crate::wire::sbe::session::LogonAccepted;

/// Into the sequencer.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "moved by value through a ring: a box would allocate per order")]
pub enum Input {
    /// Something to journal and apply.
    Command {
        /// What.
        command: Command,
        /// The evidence behind it, as [`crate::auth`] encodes it; empty for the node's own commands.
        evidence: Bytes,
        /// Who waits for the outcome.
        handle: Option<RequestHandle>,
    },
    /// Something to answer in order, without a place in the journal.
    Read {
        /// What.
        read: Read,
        /// Who waits for the answer.
        handle: RequestHandle,
    },
}

/// Out of the sequencer, in its order.
#[derive(Debug)]
pub enum Output {
    /// A record was applied; its `event_count` events follow directly.
    Applied {
        /// Its place in the journal.
        sequence: Sequence,
        /// Its time.
        timestamp: Timestamp,
        /// How many events follow, each as an [`Output::Event`] or all of them as [`Output::Events`].
        event_count: u32,
        /// Who waits for the outcome.
        handle: Option<RequestHandle>,
        /// The evidence that was journaled; only to be freed.
        spent: Bytes,
    },
    /// One event of the record before.
    Event(Event),
    /// All events of the record before, on a page that goes back when they are read.
    Events(Vec<Event>),
    /// A read; everything in front of it belongs to it.
    Read {
        /// What.
        read: Read,
        /// Who waits for the answer.
        handle: RequestHandle,
    },
    /// A command that was not taken: nothing of it is in the journal.
    Refused {
        /// Why.
        error: ApiError,
        /// Who waits for the outcome.
        handle: Option<RequestHandle>,
        /// Only to be freed.
        spent: Bytes,
    },
}

/// A question about state, or a wish to be told of its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One order of the account, live or recently ended.
    OrderStatus {
        /// Whose.
        account: AccountId,
        /// Where.
        market: MarketId,
        /// Which.
        target: OrderReference,
    },
    /// The account's live orders.
    OpenOrders {
        /// Whose.
        account: AccountId,
        /// In one market, or in all.
        market: Option<MarketId>,
    },
    /// The account's balances.
    AccountStatus {
        /// Whose.
        account: AccountId,
        /// Whether assets of which there is nothing are left out.
        omit_zero_balances: bool,
    },
    /// The public book by price level.
    Depth {
        /// Where.
        market: MarketId,
        /// Levels a side: 1 ..= 5,000.
        limit: u16,
    },
    /// The account's orders in a market, live and recently ended, by id.
    AllOrders {
        /// Whose.
        account: AccountId,
        /// Where.
        market: MarketId,
        /// Which of them.
        range: HistoryRange,
    },
    /// The account's latest trades in a market, oldest first.
    MyTrades {
        /// Whose.
        account: AccountId,
        /// Where.
        market: MarketId,
        /// Only those of this order.
        order: Option<OrderId>,
        /// Which of them.
        range: HistoryRange,
    },
    /// What the account pays in fees.
    TradeFees {
        /// Whose.
        account: AccountId,
        /// In one market, or in all.
        market: Option<MarketId>,
    },
    /// The sub-accounts of an owner, and what is in them.
    SubAccounts {
        /// Whose.
        owner: AccountId,
    },
    /// What of a key's budget for new orders is used; answered by the verifier, which keeps it.
    OrderBudget {
        /// Whose.
        key: KeyId,
    },
    /// The latest trades of a market, oldest first.
    Trades {
        /// Where.
        market: MarketId,
        /// How many: 1 ..= 1,000.
        limit: u16,
    },
    /// The latest aggregates of a market, oldest first.
    AggregateTrades {
        /// Where.
        market: MarketId,
        /// Which of them.
        range: HistoryRange,
    },
    /// A market's candles, oldest first.
    Candles {
        /// Where.
        market: MarketId,
        /// Of which length.
        interval: CandleInterval,
        /// Which of them.
        range: HistoryRange,
    },
    /// Best bid and ask.
    BookTicker(Markets),
    /// The price of the last trade.
    LastPrice(Markets),
    /// What traded within a day.
    DayStatistics(Markets),
    /// Tells of every private event of the account from here on.
    SubscribeAccount {
        /// Whose.
        account: AccountId,
        /// The number that the client knows the subscription by.
        subscription: u32,
    },
    /// The same, and first every private event behind one that the client has seen.
    ResumeAccount {
        /// Whose.
        account: AccountId,
        /// The number that the client knows the subscription by.
        subscription: u32,
        /// The count of the last event that the client has seen; 0 for none.
        from: u64,
        /// Whether it has seen the position behind it.
        position: FromPosition,
    },
    /// The next part of that.
    ReportPage {
        /// Whose.
        account: AccountId,
        /// The number that the client knows the subscription by.
        subscription: u32,
        /// Behind this count.
        from: u64,
        /// Up to this count.
        through: u64,
    },
    /// Ends that.
    UnsubscribeAccount {
        /// Which; `None` for all of the session's.
        subscription: Option<u32>,
    },
    /// Joins public streams.
    SubscribeStreams {
        /// Which, already checked.
        streams: Vec<Stream>,
        /// How its messages are wrapped.
        wrapping: StreamWrapping,
    },
    /// Leaves public streams.
    UnsubscribeStreams {
        /// Which.
        streams: Vec<Stream>,
    },
    /// Something that others than the publisher prove.
    Proof {
        /// Whose.
        account: AccountId,
        /// What.
        proof: Proof,
    },
    /// Opens a session of the binary face: its reports from here on, those that were missed in front of them.
    OpenReports {
        /// Whose.
        account: AccountId,
        /// The last report that the client has; `None` for those from now on only.
        resume_from: Option<u64>,
        /// What the client is told first, unless it was told already; the publisher says up to where the account has
        /// come.
        accepted: Option<Box<LogonAccepted>>,
    },
    /// Something of the binary face about market data.
    Feed(FeedRead),
}

/// What a session of the binary face asks of market data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedRead {
    /// What is traded: one market, or all.
    Markets(Option<MarketId>),
    /// Tells a channel's changes from here on.
    Subscribe {
        /// Of which market.
        market: MarketId,
        /// Which.
        channel: Channel,
        /// Where it starts.
        start: StartMode,
        /// For [`StartMode::AfterSequence`]: the last change that the client has.
        feed_sequence: u64,
        /// For [`Channel::Levels`]: least time between two messages of one price, in milliseconds; 0 for every change.
        conflation_ms: u32,
    },
    /// Ends that.
    Unsubscribe {
        /// Of which market.
        market: MarketId,
        /// Which.
        channel: Channel,
    },
    /// Tells changes again.
    GapFill {
        /// Of which market.
        market: MarketId,
        /// Of which channel.
        channel: Channel,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

/// Which part of a history is wanted. With a first id or a begin the oldest of what is left, else the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// Nothing with a lower number.
    pub first_id: Option<u64>,
    /// Nothing before this time.
    pub begin: Option<Timestamp>,
    /// Nothing after this time.
    pub end: Option<Timestamp>,
    /// How many at most: 1 ..= 1,000.
    pub limit: u16,
}

/// Which markets are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Markets {
    /// One; the answer is an object.
    One(MarketId),
    /// Some; the answer is a list.
    Some(Vec<MarketId>),
    /// All; the answer is a list.
    All,
}

/// How a connection wants its stream messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamWrapping {
    /// `/ws`: the bare message.
    Raw,
    /// `/stream`: `{"stream":…,"data":…}`.
    Combined,
}

/// About what a report of a page takes: a page is one message, and a session asks for the next when it has it.
const REPORT_BYTES: usize = 512;

/// Into a session.
#[derive(Clone, Debug)]
pub enum ToSession {
    /// The outcome of the session's request number `request`.
    Answer {
        /// Which.
        request: u32,
        /// The JSON value of `result`, or why there is none.
        outcome: Result<Bytes, ApiError>,
    },
    /// A whole message of a public stream to pass on.
    Message(Bytes),
    /// A private report for the subscription with this number, as a whole message.
    Report {
        /// Which.
        subscription: u32,
        /// The message.
        message: Bytes,
    },
    /// Private reports that the session wants to be told again.
    Page(Box<PageAnswer>),
}

/// The answer to a [`Read::ResumeAccount`] or [`Read::ReportPage`].
#[derive(Clone, Debug)]
pub struct PageAnswer {
    /// The session's number of the request.
    pub request: u32,
    /// The subscription that it is for.
    pub subscription: u32,
    /// The account's last count when the resume was asked for: events behind it come by themselves.
    pub through: u64,
    /// The reports, or why there are none.
    pub page: Result<ReportPage, ApiError>,
}

impl ToSession {
    /// The bytes that it keeps in memory while it waits for its client.
    pub fn size(&self) -> usize {
        match self {
            Self::Message(message) | Self::Report { message, .. } | Self::Answer { outcome: Ok(message), .. } => {
                message.len()
            }
            Self::Page(answer) => answer.page.as_ref().map_or(0, |page| page.reports.len() * REPORT_BYTES),
            Self::Answer { outcome: Err(error), .. } => error.data.as_ref().map_or(0, Bytes::len),
        }
    }
}

/// What the answer to a command has to hold; the publisher encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerShape {
    /// `order.place` with `newOrderRespType=ACK`.
    OrderAck,
    /// `order.place` with `newOrderRespType=RESULT`.
    OrderResult,
    /// `order.place` with `newOrderRespType=FULL`.
    OrderFull,
    /// `order.cancelReplace` with `newOrderRespType=ACK`.
    ReplacedAck,
    /// `order.cancelReplace` with `newOrderRespType=RESULT`.
    ReplacedResult,
    /// `order.cancelReplace` with `newOrderRespType=FULL`.
    ReplacedFull,
    /// `order.cancel`.
    OrderCanceled,
    /// `order.amend.keepPriority`.
    OrderAmended,
    /// `openOrders.cancelAll`: an array of the cancelled orders, once the agenda is through.
    OrdersCanceled,
    /// `openOrders.cancelAllAfter`: when the orders go.
    TimerSet,
    /// `subAccount.create`: the number of the account.
    SubAccountOpened,
    /// That it was done, and where in the journal.
    Done,
    /// An empty object: the session itself builds what its client sees.
    Empty,
    /// Of the binary face: what the reports do not say, if there is anything.
    Binary,
    /// Of the binary face, for the session itself.
    BinarySession,
}

/// Who waits for an outcome.
#[derive(Clone, Debug)]
pub struct RequestHandle {
    /// The session.
    pub session: SessionHandle,
    /// The session's own number of the request.
    pub request: u32,
    /// What the answer has to hold.
    pub shape: AnswerShape,
}

impl RequestHandle {
    /// Sends the outcome to the session that waits for it.
    pub fn answer(&self, outcome: Result<Bytes, ApiError>) {
        if let Some(outbox) = self.session.bytes() {
            let wake = match outcome {
                Ok(_) => self.binary_outcome(outbox, Ok(())),
                Err(error) => self.binary_refusal(outbox, Code::of(&error).number(), error.retry_after_ms),
            };
            if wake == Wake::Due {
                outbox.wake();
            }
            return;
        }
        self.session.deliver(ToSession::Answer { request: self.request, outcome });
    }

    /// Sends the outcome to a session of the binary face. An error is a number of [`Code`] or one of the engine; a
    /// success says nothing there, since the request's reports do.
    pub(crate) fn binary_outcome(&self, outbox: &ByteOutbox, outcome: Result<(), u16>) -> Wake {
        match outcome {
            Err(code) => self.binary_refusal(outbox, code, 0),
            Ok(()) if self.shape == AnswerShape::BinarySession => {
                outbox.notify(Notice::Answered { request: self.request, outcome })
            }
            Ok(()) => outbox.answer(&[]),
        }
    }

    /// The same for an error, and when the request may be tried again.
    fn binary_refusal(&self, outbox: &ByteOutbox, code: u16, retry_after_ms: u32) -> Wake {
        if self.shape == AnswerShape::BinarySession {
            return outbox.notify(Notice::Answered { request: self.request, outcome: Err(code) });
        }
        let mut frame = Vec::new();
        business_reject(self.request, (code, retry_after_ms), &mut frame);
        let wake = outbox.answer(&frame);
        if code == Code::BadSignature.number() && outbox.notify(Notice::BadSignature) == Wake::Due {
            return Wake::Due;
        }
        wake
    }
}

/// The publisher's end of a session's outbox.
#[derive(Clone, Debug)]
pub struct SessionHandle(Outbox);

/// A session's bounded outbox.
#[derive(Clone, Debug)]
enum Outbox {
    /// Of a session that takes its messages one by one.
    Messages(Arc<MessageOutbox>),
    /// Of a session of the binary face.
    Bytes(Arc<ByteOutbox>),
}

/// An outbox of messages, bounded in messages and in bytes: depth of thousands of levels is large, fills are many.
#[derive(Debug)]
struct MessageOutbox {
    sender: tokio::sync::mpsc::Sender<ToSession>,
    overflowed: AtomicBool,
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// The most that waits for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of all of them together.
    pub bytes: usize,
}

/// Whether a message reached the session's outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It did.
    Delivered,
    /// The session is gone, or is ended because it reads too slowly.
    Ended,
}

impl SessionHandle {
    /// A session's handle and the receiving end, with room for `capacity` messages of any size.
    pub fn new(capacity: usize) -> (Self, tokio::sync::mpsc::Receiver<ToSession>) {
        Self::bounded(OutboxLimits { messages: capacity, bytes: usize::MAX })
    }

    /// The same, bounded in bytes too; whoever receives a message says so with [`SessionHandle::taken`].
    pub fn bounded(limits: OutboxLimits) -> (Self, tokio::sync::mpsc::Receiver<ToSession>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(limits.messages);
        let (overflowed, bytes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let outbox = MessageOutbox { sender, overflowed, bytes, bytes_max: limits.bytes };
        (Self(Outbox::Messages(Arc::new(outbox))), receiver)
    }

    /// A message of so many bytes waits no more. Says nothing to a session of the binary face, which counts by itself.
    pub fn taken(&self, size: usize) {
        if let Outbox::Messages(outbox) = &self.0 {
            outbox.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// The handle of a session of the binary face, which owns the outbox.
    pub const fn of_bytes(outbox: Arc<ByteOutbox>) -> Self {
        Self(Outbox::Bytes(outbox))
    }

    /// The outbox of a session of the binary face; `None` for another session.
    pub const fn bytes(&self) -> Option<&Arc<ByteOutbox>> {
        match &self.0 {
            Outbox::Bytes(outbox) => Some(outbox),
            Outbox::Messages(_) => None,
        }
    }

    /// Puts a message into the outbox. Never waits: an outbox without room ends the session.
    pub fn deliver(&self, message: ToSession) -> Delivery {
        let outbox = match (&self.0, message) {
            (Outbox::Messages(outbox), message) => (outbox, message),
            (Outbox::Bytes(outbox), ToSession::Page(page)) => {
                if outbox.notify(Notice::Page(page)) == Wake::Due {
                    outbox.wake();
                }
                return Delivery::Delivered;
            }
            (Outbox::Bytes(_), _) => unreachable!("what a session of the binary face gets else are answers and frames"),
        };
        let (outbox, message) = outbox;
        if outbox.overflowed.load(Ordering::Acquire) {
            return Delivery::Ended;
        }
        let size = message.size();
        let before = outbox.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) <= outbox.bytes_max && outbox.sender.try_send(message).is_ok() {
            return Delivery::Delivered;
        }
        outbox.overflowed.store(true, Ordering::Release);
        Delivery::Ended
    }

    /// True once a message did not fit: what the client would see from here on has a gap, so the session must end.
    pub fn overflowed(&self) -> bool {
        match &self.0 {
            Outbox::Messages(outbox) => outbox.overflowed.load(Ordering::Acquire),
            Outbox::Bytes(outbox) => outbox.has_ended(),
        }
    }

    /// True once nothing can reach the session any more: it is gone, or a message did not fit.
    pub fn has_ended(&self) -> bool {
        match &self.0 {
            Outbox::Messages(outbox) => self.overflowed() || outbox.sender.is_closed(),
            Outbox::Bytes(outbox) => outbox.has_ended(),
        }
    }

    /// True for two handles of one session.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Outbox::Messages(left), Outbox::Messages(right)) => Arc::ptr_eq(left, right),
            (Outbox::Bytes(left), Outbox::Bytes(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }
}
