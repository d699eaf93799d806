//! Requests of an open session: orders to the verifier, questions about market data the same way.

use lakh_engine::ids::MarketId;
use lakh_engine::units::Timestamp;

use super::{BinaryActions, BinarySession, EVIDENCE_CHUNK, Member, Phase, errand};
use crate::auth::evidence::{Evidence, SignedBody};
use crate::directory::KeyStatus;
use crate::hand_over::{AnswerShape, FeedRead, Read};
use crate::key_budgets::Errand;
use crate::session::{NativeWork, SignedBytes, Standing, Submission, Work};
use crate::wire::sbe::encode::business_reject;
use crate::wire::sbe::enums::{ALL_MARKETS, Channel, Code, SessionRole, StartMode, WireEnum};
use crate::wire::sbe::market::{GapFillRequest, MarketDataSubscribe, MarketDataUnsubscribe, MarketListRequest};
use crate::wire::sbe::request::{OrderRequest, SignedParts};
use crate::wire::sbe::{Block, Frame};

/// For how long a message may be good, in nanoseconds.
const VALID_MAX_NS: u64 = 60_000_000_000;

impl BinarySession {
    /// Takes a request of an open session. An error is one of form.
    pub(super) fn request(
        &mut self,
        frame: &Frame<'_>,
        (request, member): (u32, Member),
        now: Timestamp,
        actions: &mut BinaryActions,
    ) -> Result<(), Code> {
        let work = match self.work(frame, &member, now) {
            Ok(work) => work,
            Err(Refusal::Form(code)) => return Err(code),
            Err(Refusal::Business(code)) => {
                business_reject(request, (code.number(), 0), &mut actions.frames);
                return Ok(());
            }
        };
        let standing = if matches!(work, Work::Read(_)) { Standing::Good } else { self.standing() };
        self.submit(Submission { request, shape: AnswerShape::Binary, work, standing }, actions);
        Ok(())
    }

    fn work(&mut self, frame: &Frame<'_>, member: &Member, now: Timestamp) -> Result<Work, Refusal> {
        let work = match feed_read(frame)? {
            Some(read) => Work::Read(Read::Feed(read)),
            None => self.order(frame, member, now)?,
        };
        if matches!(self.phase, Phase::Draining(_)) {
            return Err(Refusal::Business(Code::ShuttingDown));
        }
        let most = self.context.options.in_flight;
        let most = if errand(frame.template) == Errand::Cancel { most + most.div_ceil(3) } else { most };
        if self.in_flight() >= most as u64 {
            self.context.counters.requests_over_in_flight.count();
            return Err(Refusal::Business(Code::TooManyInFlight));
        }
        Ok(work)
    }

    fn order(&mut self, frame: &Frame<'_>, member: &Member, now: Timestamp) -> Result<Work, Refusal> {
        let (request, parts) = OrderRequest::from_frame(frame)?;
        self.check(&request, member, now).map_err(Refusal::Business)?;
        let SignedParts { block, group, signature } = parts;
        if self.evidence.capacity() < frame.bytes.len() {
            self.evidence.reserve(EVIDENCE_CHUNK);
        }
        let joined;
        let body = if group.is_empty() {
            block
        } else {
            joined = [block, group].concat();
            &joined
        };
        let signed = SignedBody { body, public_key: &member.public_key, signature };
        let evidence = Evidence::Native { template: frame.template, signed };
        evidence.append_binary(&mut self.evidence).ok_or(Refusal::Form(Code::BadLength))?;
        Ok(Work::Native(NativeWork {
            public_key: member.public_key,
            signature: *signature,
            signed: SignedBytes::Message(frame.template),
            command: request.command(member.key.key),
            evidence: self.evidence.split().freeze(),
        }))
    }

    /// Whether the request may be verified at all.
    fn check(&self, request: &OrderRequest, member: &Member, now: Timestamp) -> Result<(), Code> {
        if member.role != SessionRole::Trading {
            return Err(Code::ReadOnlySession);
        }
        if request.account != member.key.account {
            return Err(Code::WrongAccount);
        }
        if request.valid_until.is_zero() {
            return Err(Code::ValidUntilMissing);
        }
        if request.valid_until <= now {
            return Err(Code::ValidUntilPassed);
        }
        if request.valid_until.0 > now.0.saturating_add(VALID_MAX_NS) {
            return Err(Code::ValidUntilTooFar);
        }
        // Before any curve work, as on the other face; the engine looks once more.
        match self.context.directory.key(&member.public_key) {
            Some(key) if key.status == KeyStatus::Live => Ok(()),
            _ => Err(Code::KeyEnded),
        }
    }
}

/// Why a request is not taken.
enum Refusal {
    /// Its bytes cannot be read: the session ends.
    Form(Code),
    /// It can be read and not be done.
    Business(Code),
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Form(code)
    }
}

/// A question about market data, if it is one.
fn feed_read(frame: &Frame<'_>) -> Result<Option<FeedRead>, Code> {
    let read = match frame.template {
        MarketListRequest::TEMPLATE => {
            let market = frame.request::<MarketListRequest>()?.market_id.get();
            FeedRead::Markets(Some(market).filter(|market| *market != ALL_MARKETS).map(MarketId))
        }
        MarketDataSubscribe::TEMPLATE => {
            let block = frame.request::<MarketDataSubscribe>()?;
            FeedRead::Subscribe {
                market: MarketId(block.market_id.get()),
                channel: Channel::from_wire(block.channel)?,
                start: StartMode::from_wire(block.start)?,
                feed_sequence: block.feed_sequence.get(),
                conflation_ms: block.conflation.get(),
            }
        }
        MarketDataUnsubscribe::TEMPLATE => {
            let block = frame.request::<MarketDataUnsubscribe>()?;
            let (market, channel) = (MarketId(block.market_id.get()), Channel::from_wire(block.channel)?);
            FeedRead::Unsubscribe { market, channel }
        }
        GapFillRequest::TEMPLATE => {
            let block = frame.request::<GapFillRequest>()?;
            FeedRead::GapFill {
                market: MarketId(block.market_id.get()),
                channel: Channel::from_wire(block.channel)?,
                first: block.first_feed_sequence.get(),
                last: block.last_feed_sequence.get(),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(read))
}
