//! A trader's request: who asks, whether it was asked before, and what becomes of it.
//!
//! Codes below [`RejectCode::AccountUnknown`] leave the digest or nonce unused; everything after uses it up, or a
//! rejected order could be sent again by somebody else once funds have arrived.

use crate::accounts::KeyStatus;
use crate::allowance::Footing;
use crate::command::{EvidenceGrade, FrameCommand, FrameOperation, KeyScope, Operation, ReplayGuard, SignedCommand};
use crate::digests::DigestEntry;
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::{Duplicate, Event, KeyEnd, Rejected};
use crate::ids::{AccountId, ClientId, KeyId, MarketId, OrderId, Sequence};
use crate::nonces::NonceUse;
use crate::reject::RejectCode;
use crate::units::Timestamp;

/// The longest receive window in milliseconds.
pub const MAX_RECEIVE_WINDOW_MS: u32 = 60_000;
/// How far ahead of the engine's time a request may be stamped.
const MAX_AHEAD_NS: u64 = 1_000_000_000;

/// Who asks, and with what right: the same for one operation and for a frame of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) account: AccountId,
    pub(crate) key: KeyId,
    pub(crate) grade: EvidenceGrade,
    pub(crate) replay_guard: &'a ReplayGuard,
    pub(crate) valid_until: Timestamp,
    /// What is asked.
    pub(crate) wish: Wish<'a>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish<'a> {
    One(&'a Operation),
    Frame(&'a [FrameOperation]),
}

/// What a trader asks. Whoever needs all of [`Asking`] for something rare asks for it there, so that it is put together
/// for nothing else.
pub(crate) trait Request {
    fn asking(&self) -> Asking<'_>;
}

impl Request for SignedCommand {
    #[inline(always)]
    fn asking(&self) -> Asking<'_> {
        let Self { account, key, grade, ref replay_guard, valid_until, ref operation } = *self;
        Asking { account, key, grade, replay_guard, valid_until, wish: Wish::One(operation) }
    }
}

impl Request for FrameCommand {
    #[inline(always)]
    fn asking(&self) -> Asking<'_> {
        let Self { account, key, grade, ref replay_guard, valid_until, ref operations } = *self;
        Asking { account, key, grade, replay_guard, valid_until, wish: Wish::Frame(operations) }
    }
}

impl Asking<'_> {
    /// Whether it is the key's first word.
    const fn activates(&self) -> bool {
        matches!(self.wish, Wish::One(Operation::ActivateKey))
    }

    /// Whether orders only go by it, which is the last that is refused for want of room.
    pub(crate) fn only_cancels(&self) -> bool {
        match self.wish {
            Wish::One(operation) => matches!(operation, Operation::CancelOrder(_) | Operation::CancelAll(_)),
            Wish::Frame(operations) => operations.iter().all(|one| matches!(one, FrameOperation::CancelOrder(_))),
        }
    }

    /// Whether it needs the key's own word, and not a session's.
    const fn needs_signature(&self) -> bool {
        matches!(
            self.wish,
            Wish::One(
                Operation::ActivateKey
                    | Operation::Logon
                    | Operation::SetSelfTradeGroup { .. }
                    | Operation::InviteToSelfTradeGroup { .. }
                    | Operation::NarrowKey { .. }
                    | Operation::LimitKey { .. }
                    | Operation::OpenSubAccount
                    | Operation::Transfer(_)
                    | Operation::AllowEvidence(_)
            )
        )
    }
}

/// A request that is new.
#[derive(Clone, Copy)]
pub(crate) struct Admitted {
    /// Where its digest stands, if it has one.
    pub(crate) digest: Option<u32>,
    /// Its key; 0 for one that nothing bounds.
    pub(crate) bounded_key: KeyId,
}

impl Shard {
    /// Takes a trader's request.
    #[inline(always)]
    pub(crate) fn trade(
        &mut self,
        moment: Moment,
        signed: &SignedCommand,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        let Some(admitted) = self.let_in(moment, signed, events)? else { return Ok(()) };
        let Err(reject) = self.operate(moment, signed, admitted.bounded_key, events) else { return Ok(()) };
        self.refuse(signed.asking(), admitted.digest, (reject, names(&signed.operation)), events);
        Ok(())
    }

    /// Whether the request may be looked at, in the order of the codes; uses up its digest or nonce. `None` for one that
    /// was used before, which is answered here.
    #[inline(always)]
    pub(crate) fn let_in(
        &mut self,
        moment: Moment,
        request: &impl Request,
        events: &mut Emitter<'_>,
    ) -> Result<Option<Admitted>, RejectCode> {
        let Asking { account, key, replay_guard, .. } = request.asking();
        let bounded_key = match self.accounts.is_unbounded(key, account) {
            true => KeyId(0),
            false => {
                self.check_bounded_key(moment.now, request.asking())?;
                key
            }
        };
        match *replay_guard {
            ReplayGuard::Nonce { nonce } => match self.accounts.key_mut(key).nonces.use_up(nonce)? {
                NonceUse::Fresh => Ok(Some(Admitted { digest: None, bounded_key })),
                NonceUse::UsedBefore => {
                    say_used_before(account, (Sequence(0), None), events);
                    Ok(None)
                }
            },
            ReplayGuard::Digest { digest, signed_at, receive_window_ms } => {
                check_window(moment.now, signed_at, receive_window_ms)?;
                let expires_ns = signed_at.0 + (u64::from(receive_window_ms) + 1_000) * 1_000_000;
                let expires_second = expires_ns.div_ceil(1_000_000_000);
                let digest = self.admit_digest(moment, request.asking(), (digest, expires_second), events)?;
                Ok(digest.map(|digest| Admitted { digest: Some(digest), bounded_key }))
            }
            ReplayGuard::Session { signed_at, receive_window_ms } => {
                check_window(moment.now, signed_at, receive_window_ms)?;
                Ok(Some(Admitted { digest: None, bounded_key }))
            }
        }
    }

    /// Says that a request was refused which has used up its digest or nonce.
    pub(crate) fn refuse(
        &mut self,
        asking: Asking<'_>,
        digest: Option<u32>,
        (reject, (market, client_id)): (Reject, (Option<MarketId>, ClientId)),
        events: &mut Emitter<'_>,
    ) {
        if let Some(digest) = digest {
            self.digests.note_reject(digest, reject.code);
        }
        events.push(Event::Rejected(Rejected {
            account: asking.account,
            report_sequence: self.accounts.next_report(asking.account),
            code: reject.code,
            market,
            client_id,
            order: reject.order,
        }));
    }

    /// Whether a key that something bounds may speak for the account at all.
    #[cold]
    fn check_bounded_key(&self, now: Timestamp, signed: Asking<'_>) -> Result<(), RejectCode> {
        let key = self.accounts.key(signed.key).ok_or(RejectCode::KeyUnknown)?;
        // A key's end by its own date counts from that moment, whether or not `AdvanceTime` has come yet.
        let over = key.expires_at != Timestamp::ZERO && key.expires_at <= now;
        match key.status {
            KeyStatus::Revoked => return Err(RejectCode::KeyRevoked),
            KeyStatus::Expired => return Err(RejectCode::KeyExpired),
            KeyStatus::Pending | KeyStatus::Live if over => return Err(RejectCode::KeyExpired),
            KeyStatus::Pending if !signed.activates() => return Err(RejectCode::KeyPending),
            KeyStatus::Pending | KeyStatus::Live => {}
        }
        // A key is bound to its owner's account and speaks for the sub-accounts too.
        let speaks = key.account == signed.account || key.account == self.accounts.owner_of(signed.account);
        if speaks { Ok(()) } else { Err(RejectCode::KeyOfOtherAccount) }
    }

    /// Uses up the request's digest and tells where it stands; `None` for one that was used before, which is answered here.
    #[inline(never)]
    fn admit_digest(
        &mut self,
        moment: Moment,
        asking: Asking<'_>,
        (digest, expires_second): ([u8; 16], u64),
        events: &mut Emitter<'_>,
    ) -> Result<Option<u32>, RejectCode> {
        let key = asking.key;
        if let Some(entry) = self.digests.find(key, &digest) {
            say_used_before(asking.account, (entry.sequence, entry.rejected), events);
            return Ok(None);
        }
        let accounts = &mut self.accounts;
        self.digests.purge(moment.now, |freed| accounts.key_mut(freed).digests -= 1);
        let owner = accounts.key_mut(key);
        // The last quarter of what a key has is kept for cancels, so that who sends too much can still get out.
        let kept = if asking.only_cancels() { 0 } else { owner.digest_capacity / 4 };
        if owner.digests >= owner.digest_capacity - kept {
            return Err(RejectCode::DigestTableFull);
        }
        owner.digests += 1;
        let entry = DigestEntry { digest, key, expires_second, sequence: moment.sequence, rejected: None };
        Ok(Some(self.digests.insert(entry)))
    }

    /// Carries out a request that is new and comes from a key that may ask. Nearly every one is an order or a cancel by a
    /// key that nothing bounds: these are in line here, everything else is not.
    #[inline(always)]
    fn operate(
        &mut self,
        moment: Moment,
        signed: &SignedCommand,
        bounded_key: KeyId,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let footing = self.check_policy(moment.now, signed)?;
        match &signed.operation {
            Operation::PlaceOrder(order) if bounded_key == KeyId(0) && footing == Footing::Own && order.is_plain() => {
                self.check_not_blocked(signed.account)?;
                self.place_plain(order_id(moment), signed.account, order, events)
            }
            Operation::CancelOrder(cancel) if bounded_key == KeyId(0) => {
                self.cancel_order(signed.account, cancel, events)
            }
            operation => {
                self.operate_unusually(Moment { bounded_key, footing, ..moment }, signed.asking(), operation, events)
            }
        }
    }

    #[inline(never)]
    fn operate_unusually(
        &mut self,
        moment: Moment,
        asking: Asking<'_>,
        operation: &Operation,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let Asking { account, key, .. } = asking;
        if needs_unblocked(operation) {
            self.check_not_blocked(account)?;
        }
        if moment.bounded_key != KeyId(0) {
            self.check_bounded_scope(asking, operation)?;
        }
        match operation {
            Operation::PlaceOrder(order) => self.place_order(moment, account, order, events),
            Operation::CancelOrder(cancel) => self.cancel_order(account, cancel, events),
            Operation::ReplaceOrder(replace) => self.replace_order(moment, account, replace, events),
            Operation::AmendOrder(amend) => self.amend_order(moment, account, amend, events),
            Operation::Quote(quote) => self.set_quote(moment, account, quote, events),
            Operation::CancelAll(cancel) => self.cancel_all(moment.sequence, account, cancel, events),
            Operation::Logon => {
                events.push(Event::LoggedOn { account, key });
                Ok(())
            }
            Operation::ActivateKey => self.activate_key(key, events),
            Operation::RevokeKey => {
                let cause: KeyEnd = self.accounts.revoke(key);
                events.push(Event::KeyEnded { key, cause });
                Ok(())
            }
            Operation::CancelAllAfter { timeout_ms } => {
                self.cancel_all_after(moment.now, account, *timeout_ms, events);
                Ok(())
            }
            Operation::SetDisconnectMode { mode } => {
                self.set_disconnect_mode(account, *mode, events);
                Ok(())
            }
            Operation::NarrowKey { key, scope } => self.narrow_key(account, *key, *scope, events),
            Operation::LimitKey { key: limited, limits } => self.limit_key((account, key), *limited, *limits, events),
            Operation::OpenSubAccount => self.open_sub_account(account, events),
            Operation::Transfer(transfer) => self.transfer(account, transfer, events),
            Operation::AllowEvidence(allowance) => {
                self.allow_evidence(moment, (account, asking.grade), *allowance, events)
            }
            Operation::SetSelfTradeGroup { group } => self.set_self_trade_group(account, *group, events),
            Operation::InviteToSelfTradeGroup { invited } => self.invite(account, *invited, events),
        }
    }

    #[inline(always)]
    pub(crate) fn check_policy(&self, now: Timestamp, request: &impl Request) -> Result<Footing, RejectCode> {
        let signed = request.asking();
        let account = self.accounts.governing(signed.account).ok_or(RejectCode::AccountUnknown)?;
        let weak = signed.grade < account.minimum_grade;
        // A session has no signature to grade, and nothing that needs the key's own word may rest on one.
        let in_session = matches!(signed.replay_guard, ReplayGuard::Session { .. });
        let delegated = signed.grade == EvidenceGrade::Delegated;
        let wrong_grade = in_session && !delegated;
        if wrong_grade || (delegated && signed.needs_signature()) {
            return Err(RejectCode::EvidenceTooWeak);
        }
        let footing = if weak { self.check_allowance(signed.account, signed.grade, now)? } else { Footing::Own };
        if signed.valid_until != Timestamp::ZERO && signed.valid_until <= now {
            return Err(RejectCode::ValidUntilPassed);
        }
        Ok(footing)
    }

    /// Whether the key's scope, of which something may be taken away, covers the operation.
    #[inline(never)]
    fn check_bounded_scope(&self, asking: Asking<'_>, operation: &Operation) -> Result<(), RejectCode> {
        match scope_of(operation) {
            Some((operations, market)) => {
                let account = (!concerns_others(operation)).then_some(asking.account);
                self.check_scope(asking.key, &KeyScope { operations, market, account })
            }
            None => self.check_account_scope(asking.key, asking.account),
        }
    }

    /// Whether the key may do what needs this scope.
    pub(crate) fn check_scope(&self, key: KeyId, needed: &KeyScope) -> Result<(), RejectCode> {
        match self.accounts.key(key) {
            Some(known) if !known.scope.covers(needed) => Err(RejectCode::OutOfScope),
            _ => Ok(()),
        }
    }

    /// Whether the key may speak for this one of its owner's accounts.
    fn check_account_scope(&self, key: KeyId, account: AccountId) -> Result<(), RejectCode> {
        let bound_to = self.accounts.key(key).and_then(|key| key.scope.account);
        if bound_to.is_none_or(|bound| bound == account) { Ok(()) } else { Err(RejectCode::OutOfScope) }
    }

    /// Gives a key of the account less to do.
    #[inline(never)]
    fn narrow_key(
        &mut self,
        account: AccountId,
        key: KeyId,
        scope: KeyScope,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let own = self.accounts.key(key).filter(|known| known.account == account && known.scope.covers(&scope));
        own.ok_or(RejectCode::OutOfScope)?;
        self.accounts.bound_key(key, |key| key.scope = scope);
        events.push(Event::KeyNarrowed { key, scope });
        Ok(())
    }

    #[inline(never)]
    fn activate_key(&mut self, key: KeyId, events: &mut Emitter<'_>) -> Result<(), Reject> {
        if self.accounts.key(key).is_some_and(|key| key.status == KeyStatus::Live) {
            return Err(RejectCode::KeyAlreadyLive.into());
        }
        self.accounts.bound_key(key, |key| key.status = KeyStatus::Live);
        events.push(Event::KeyActivated { key });
        Ok(())
    }
}

/// Answers a request whose signed bytes were used before.
#[cold]
fn say_used_before(account: AccountId, (original, rejected): (Sequence, Option<RejectCode>), events: &mut Emitter<'_>) {
    events.push(Event::Duplicate(Duplicate { account, original, rejected }));
}

/// Whether a request stamped `signed_at` is neither early nor late.
fn check_window(now: Timestamp, signed_at: Timestamp, receive_window_ms: u32) -> Result<(), RejectCode> {
    let window_in_range = (1..=MAX_RECEIVE_WINDOW_MS).contains(&receive_window_ms);
    let ahead = signed_at.0.saturating_sub(now.0) >= MAX_AHEAD_NS;
    let late = now.0.saturating_sub(signed_at.0) > u64::from(receive_window_ms) * 1_000_000;
    if !window_in_range || ahead || late { Err(RejectCode::TimestampOutsideWindow) } else { Ok(()) }
}

/// Whether a blocked account may not have it: whatever makes an order or moves money.
#[inline(always)]
const fn needs_unblocked(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::PlaceOrder(_)
            | Operation::AmendOrder(_)
            | Operation::ReplaceOrder(_)
            | Operation::Quote(_)
            | Operation::Transfer(_)
    )
}

/// Whether an operation concerns other accounts of the owner than the asking one, or his keys.
const fn concerns_others(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::NarrowKey { .. }
            | Operation::LimitKey { .. }
            | Operation::OpenSubAccount
            | Operation::Transfer(_)
            | Operation::AllowEvidence(_)
    )
}

/// What a key needs for an operation, and in which market, `None` for all; `None` for what every key may do.
fn scope_of(operation: &Operation) -> Option<(u8, Option<MarketId>)> {
    Some(match operation {
        Operation::PlaceOrder(order) => (KeyScope::PLACE, Some(order.market)),
        Operation::ReplaceOrder(replace) => (KeyScope::PLACE | KeyScope::CANCEL, Some(replace.order.market)),
        Operation::CancelOrder(cancel) => (KeyScope::CANCEL, Some(cancel.market)),
        Operation::AmendOrder(amend) => (amend.needed_scope(), Some(amend.market)),
        Operation::CancelAll(cancel) => (KeyScope::CANCEL, cancel.market),
        Operation::CancelAllAfter { .. } => (KeyScope::CANCEL, None),
        Operation::Quote(quote) => (KeyScope::PLACE | KeyScope::CANCEL, Some(quote.market)),
        Operation::SetSelfTradeGroup { .. }
        | Operation::InviteToSelfTradeGroup { .. }
        | Operation::SetDisconnectMode { .. }
        | Operation::NarrowKey { .. }
        | Operation::LimitKey { .. }
        | Operation::OpenSubAccount
        | Operation::Transfer(_)
        | Operation::AllowEvidence(_) => (KeyScope::ACCOUNT, None),
        Operation::Logon | Operation::ActivateKey | Operation::RevokeKey => return None,
    })
}

/// The market and the client id that an operation names, for its reject.
fn names(operation: &Operation) -> (Option<MarketId>, ClientId) {
    use crate::command::OrderReference::ClientId as ByClientId;
    let of = |target: &crate::command::OrderReference| match target {
        ByClientId(client_id) => *client_id,
        crate::command::OrderReference::OrderId(_) => ClientId::EMPTY,
    };
    match operation {
        Operation::PlaceOrder(order) => (Some(order.market), order.client_id),
        Operation::CancelOrder(cancel) => (Some(cancel.market), of(&cancel.target)),
        Operation::ReplaceOrder(replace) => (Some(replace.order.market), replace.order.client_id),
        Operation::AmendOrder(amend) => (Some(amend.market), of(&amend.target)),
        Operation::CancelAll(cancel) => (cancel.market, ClientId::EMPTY),
        Operation::Quote(quote) => (Some(quote.market), ClientId::EMPTY),
        Operation::Logon
        | Operation::ActivateKey
        | Operation::RevokeKey
        | Operation::CancelAllAfter { .. }
        | Operation::NarrowKey { .. }
        | Operation::LimitKey { .. }
        | Operation::OpenSubAccount
        | Operation::Transfer(_)
        | Operation::AllowEvidence(_)
        | Operation::SetDisconnectMode { .. }
        | Operation::SetSelfTradeGroup { .. }
        | Operation::InviteToSelfTradeGroup { .. } => (None, ClientId::EMPTY),
    }
}

/// The id of the order that the command, or the operation of it, creates.
pub(crate) fn order_id(moment: Moment) -> OrderId {
    OrderId::new(moment.sequence, moment.operation)
}

/// The venue's own account, which receives the fees.
pub(crate) const VENUE: AccountId = AccountId(0);
