//! Who is told what: accounts' reports and public streams, by session.
//!
//! A session that ends does not have to say so: a handle whose outbox takes nothing more is dropped when a message
//! finds it, and all of them are looked at whenever their number has doubled, so that at most as many ended ones are
//! kept as there are living ones (plus 64). Bounded by an option; full is a reject.

use bytes::Bytes;
use lakh_engine::ids::AccountId;

use crate::hand_over::{Delivery, SessionHandle, Stream, StreamWrapping, ToSession};
use crate::id_map::IdMap;
use crate::wire_encode::reports;

/// There is no room for another subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionsFull;

/// See the module.
#[derive(Debug)]
pub(super) struct Subscriptions {
    accounts: IdMap<AccountId, Vec<AccountSubscription>>,
    streams: IdMap<Stream, StreamSubscribers>,
    count: usize,
    count_max: usize,
    sweep_at: usize,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct AccountSubscription {
    session: SessionHandle,
    subscription: u32,
}

#[derive(Debug, Default)]
struct StreamSubscribers {
    raw: Vec<SessionHandle>,
    combined: Vec<SessionHandle>,
}

impl StreamSubscribers {
    fn len(&self) -> usize {
        self.raw.len() + self.combined.len()
    }

    /// Keeps only the sessions that `keep` says.
    fn retain(&mut self, mut keep: impl FnMut(&SessionHandle) -> bool) {
        self.raw.retain(&mut keep);
        self.combined.retain(&mut keep);
    }
}

/// Looked at first when a sweep is due: fewer are not worth it.
const SWEEP_MIN: usize = 64;

impl Subscriptions {
    pub(super) fn new(count_max: usize) -> Self {
        Self {
            accounts: IdMap::default(),
            streams: IdMap::default(),
            count: 0,
            count_max,
            sweep_at: SWEEP_MIN,
            scratch: Vec::new(),
        }
    }

    /// Subscriptions that are kept.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Whether anybody listens to the account.
    pub(super) fn has_account(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Whether anybody listens to the stream.
    pub(super) fn has_stream(&self, stream: Stream) -> bool {
        self.streams.contains_key(&stream)
    }

    /// The session is told of the account's reports under this number. The same again changes nothing; numbers of one
    /// session for several accounts are the session's to keep apart.
    pub(super) fn subscribe_account(
        &mut self,
        account: AccountId,
        subscription: u32,
        session: &SessionHandle,
    ) -> Result<(), SubscriptionsFull> {
        let same = |entry: &AccountSubscription| entry.session.is(session) && entry.subscription == subscription;
        if self.accounts.get(&account).is_some_and(|entries| entries.iter().any(same)) {
            return Ok(());
        }
        self.make_room(1)?;
        let subscribed = AccountSubscription { session: session.clone(), subscription };
        self.accounts.entry(account).or_default().push(subscribed);
        self.count += 1;
        Ok(())
    }

    /// The session is no longer told under this number, or under any.
    pub(super) fn unsubscribe_account(&mut self, subscription: Option<u32>, session: &SessionHandle) {
        let ends = |entry: &AccountSubscription| {
            entry.session.is(session) && subscription.is_none_or(|subscription| subscription == entry.subscription)
        };
        let mut removed = 0;
        self.accounts.retain(|_, entries| {
            let before = entries.len();
            entries.retain(|entry| !ends(entry));
            removed += before - entries.len();
            !entries.is_empty()
        });
        self.count -= removed;
    }

    /// The session is told of these streams; one that it is told of already changes its wrapping. All or none.
    pub(super) fn subscribe_streams(
        &mut self,
        streams: &[Stream],
        wrapping: StreamWrapping,
        session: &SessionHandle,
    ) -> Result<(), SubscriptionsFull> {
        self.unsubscribe_streams(streams, session);
        self.make_room(streams.len())?;
        for stream in streams {
            let subscribers = self.streams.entry(*stream).or_default();
            if subscribers.raw.iter().chain(&subscribers.combined).any(|other| other.is(session)) {
                continue;
            }
            match wrapping {
                StreamWrapping::Raw => subscribers.raw.push(session.clone()),
                StreamWrapping::Combined => subscribers.combined.push(session.clone()),
            }
            self.count += 1;
        }
        Ok(())
    }

    /// The session is no longer told of these streams.
    pub(super) fn unsubscribe_streams(&mut self, streams: &[Stream], session: &SessionHandle) {
        for stream in streams {
            self.retain_stream(*stream, |subscriber| !subscriber.is(session));
        }
    }

    /// Sends a report to all that listen to the account, each under its own number.
    pub(super) fn report(&mut self, account: AccountId, event: &[u8]) {
        let Some(entries) = self.accounts.get_mut(&account) else { return };
        let before = entries.len();
        let scratch = &mut self.scratch;
        entries.retain(|entry| {
            scratch.clear();
            reports::wrap_for_subscription(entry.subscription, event, scratch);
            let message = Bytes::copy_from_slice(scratch);
            let report = ToSession::Report { subscription: entry.subscription, message };
            entry.session.deliver(report) == Delivery::Delivered
        });
        self.count -= before - entries.len();
        if entries.is_empty() {
            self.accounts.remove(&account);
        }
    }

    /// Sends a message to all that listen to the stream; `wrap` makes the combined form of it, once, if one is needed.
    pub(super) fn publish(&mut self, stream: Stream, message: &[u8], wrap: impl FnOnce(&mut Vec<u8>)) {
        let Some(subscribers) = self.streams.get(&stream) else { return };
        let raw = if subscribers.raw.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(message) };
        let combined = if subscribers.combined.is_empty() {
            Bytes::new()
        } else {
            self.scratch.clear();
            wrap(&mut self.scratch);
            Bytes::copy_from_slice(&self.scratch)
        };
        let deliver = |session: &SessionHandle, message: &Bytes| {
            session.deliver(ToSession::Message(message.clone())) == Delivery::Delivered
        };
        self.change_stream(stream, |subscribers| {
            subscribers.raw.retain(|session| deliver(session, &raw));
            subscribers.combined.retain(|session| deliver(session, &combined));
        });
    }

    /// Drops the ended ones if there are many more than at the last look, then says whether `more` fit.
    fn make_room(&mut self, more: usize) -> Result<(), SubscriptionsFull> {
        if self.count + more > self.sweep_at.min(self.count_max) {
            self.sweep();
            self.sweep_at = (2 * (self.count + more)).max(SWEEP_MIN);
        }
        if self.count + more > self.count_max { Err(SubscriptionsFull) } else { Ok(()) }
    }

    fn sweep(&mut self) {
        self.accounts.retain(|_, entries| {
            entries.retain(|entry| !entry.session.has_ended());
            !entries.is_empty()
        });
        self.streams.retain(|_, subscribers| {
            subscribers.retain(|session| !session.has_ended());
            subscribers.len() > 0
        });
        self.count = self.accounts.values().map(Vec::len).sum::<usize>()
            + self.streams.values().map(StreamSubscribers::len).sum::<usize>();
    }

    fn retain_stream(&mut self, stream: Stream, keep: impl FnMut(&SessionHandle) -> bool) {
        self.change_stream(stream, |subscribers| subscribers.retain(keep));
    }

    fn change_stream(&mut self, stream: Stream, change: impl FnOnce(&mut StreamSubscribers)) {
        let Some(subscribers) = self.streams.get_mut(&stream) else { return };
        let before = subscribers.len();
        change(subscribers);
        self.count -= before - subscribers.len();
        if subscribers.len() == 0 {
            self.streams.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_over::StreamKind;
    use lakh_engine::ids::MarketId;

    const TRADES: Stream = Stream { market: MarketId(0), kind: StreamKind::Trade };
    const TICKER: Stream = Stream { market: MarketId(0), kind: StreamKind::BookTicker };

    #[test]
    fn ended_sessions_make_room_without_a_word() {
        let mut subscriptions = Subscriptions::new(8);
        let (living, _receiver) = SessionHandle::new(1);
        subscriptions.subscribe_account(AccountId(1), 0, &living).unwrap();
        for number in 0..1_000 {
            let (session, receiver) = SessionHandle::new(1);
            subscriptions.subscribe_account(AccountId(number % 3), 0, &session).expect("the ended ones are dropped");
            drop(receiver);
            assert!(subscriptions.len() <= 8, "the bound holds");
        }
        assert!(subscriptions.has_account(AccountId(1)));
    }

    #[test]
    fn full_is_a_reject_and_changes_nothing() {
        let mut subscriptions = Subscriptions::new(2);
        let (first, _first) = SessionHandle::new(1);
        let (second, _second) = SessionHandle::new(1);
        subscriptions.subscribe_account(AccountId(1), 7, &first).unwrap();
        let both = [TRADES, TICKER];
        assert_eq!(subscriptions.subscribe_streams(&both, StreamWrapping::Raw, &second), Err(SubscriptionsFull));
        assert!(!subscriptions.has_stream(TRADES));
        subscriptions.subscribe_streams(&[TRADES], StreamWrapping::Raw, &second).unwrap();
        assert_eq!(subscriptions.subscribe_account(AccountId(2), 8, &first), Err(SubscriptionsFull));
        subscriptions.unsubscribe_account(None, &first);
        assert_eq!(subscriptions.len(), 1);
        subscriptions.subscribe_account(AccountId(2), 8, &first).unwrap();
    }

    #[test]
    fn a_stream_named_twice_is_told_once() {
        let mut subscriptions = Subscriptions::new(8);
        let (session, mut receiver) = SessionHandle::new(8);
        subscriptions.subscribe_streams(&[TRADES, TRADES], StreamWrapping::Raw, &session).unwrap();
        subscriptions.subscribe_streams(&[TRADES], StreamWrapping::Combined, &session).unwrap();
        assert_eq!(subscriptions.len(), 1);
        subscriptions.publish(TRADES, b"raw", |out| out.extend_from_slice(b"combined"));
        assert!(matches!(receiver.try_recv(), Ok(ToSession::Message(message)) if message == "combined"));
        assert!(receiver.try_recv().is_err());
        subscriptions.unsubscribe_streams(&[TRADES], &session);
        assert_eq!(subscriptions.len(), 0);
    }
}
