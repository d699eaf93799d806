//! Event scripts through the publisher, and what sessions get of them, letter by letter.

mod gate;
mod history;
mod private;
mod public;
mod reads;
mod replaces;
mod terms;

use std::sync::Arc;

use bytes::Bytes;
use lakh_engine::command::{Mode, OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::{
    CancelReason, Event, OrderAccepted, OrderCanceled, OrderReduced, OrderRested, Trade, TradeParty,
};
use lakh_engine::ids::{AccountId, AssetId, ClientId, MarketId, OrderId, Sequence, Symbol, TradeId};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use tokio::sync::mpsc::Receiver;

use crate::directory::Directory;
use crate::hand_over::{
    AnswerShape, Output, Read, RequestHandle, SessionHandle, Stream, StreamKind, StreamWrapping, ToSession,
};
use crate::publisher::{Publisher, PublisherOptions};

const BTC: AssetId = AssetId(0);
const USDT: AssetId = AssetId(1);
const MARKET: MarketId = MarketId(0);
const OTHER_MARKET: MarketId = MarketId(1);
const ALICE: AccountId = AccountId(1);
const BOB: AccountId = AccountId(2);
/// The time of sequence 1 is one millisecond behind this.
const START_MS: u64 = 1_700_000_000_000;

/// A client's end of a session.
struct Client {
    handle: SessionHandle,
    receiver: Receiver<ToSession>,
}

impl Client {
    fn new(capacity: usize) -> Self {
        let (handle, receiver) = SessionHandle::new(capacity);
        Self { handle, receiver }
    }

    fn request(&self, request: u32, shape: AnswerShape) -> RequestHandle {
        RequestHandle { session: self.handle.clone(), request, shape }
    }

    /// Everything that came since the last time: `#request ok …`, `#request status code message data`, or a message.
    fn received(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(message) = self.receiver.try_recv() {
            lines.push(match message {
                ToSession::Message(bytes) | ToSession::Report { message: bytes, .. } => text(&bytes),
                ToSession::Page(answer) => format!("#{} page {:?}", answer.request, answer.page),
                ToSession::Answer { request, outcome: Ok(bytes) } => format!("#{request} ok {}", text(&bytes)),
                ToSession::Answer { request, outcome: Err(error) } => {
                    let data = error.data.as_ref().map(text).unwrap_or_default();
                    format!("#{request} {} {} {} {data}", error.status, error.code, error.message)
                }
            });
        }
        lines
    }

    /// The one thing that came.
    fn only(&mut self) -> String {
        let mut lines = self.received();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8")
}

/// A publisher with two markets, stepped by hand.
struct Scene {
    publisher: Publisher,
    sequence: u64,
    feed_sequences: [u64; 2],
    trades: u64,
    report_sequence: u64,
}

impl Scene {
    fn new() -> Self {
        Self::with(PublisherOptions::default())
    }

    fn with(options: PublisherOptions) -> Self {
        let directory = Arc::new(Directory::new([7; 16], Mode::Dev));
        let mut scene = Self {
            publisher: Publisher::new(options, directory),
            sequence: 0,
            feed_sequences: [0; 2],
            trades: 0,
            report_sequence: 0,
        };
        scene.apply(None, &listing());
        scene
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp((START_MS + self.sequence) * 1_000_000)
    }

    /// The order id that the next command gives.
    fn next_order(&self) -> OrderId {
        OrderId::new(Sequence(self.sequence + 1), 0)
    }

    fn next_report(&mut self) -> u64 {
        self.report_sequence += 1;
        self.report_sequence
    }

    fn next_feed(&mut self, market: MarketId) -> u64 {
        let feed = &mut self.feed_sequences[usize::from(market.0)];
        *feed += 1;
        *feed
    }

    /// One command with its events.
    fn apply(&mut self, handle: Option<RequestHandle>, events: &[Event]) {
        self.sequence += 1;
        for output in outputs(Sequence(self.sequence), self.timestamp(), handle, events) {
            self.publisher.handle_output(output);
        }
    }

    fn read(&mut self, client: &Client, request: u32, read: Read) {
        let handle = client.request(request, AnswerShape::Empty);
        self.publisher.handle_output(Output::Read { read, handle });
    }

    /// Subscribes and takes the answer away.
    fn subscribe(&mut self, client: &mut Client, read: Read) {
        self.read(client, 0, read);
        let answer = client.only();
        assert!(answer.starts_with("#0 ok"), "{answer}");
    }

    fn subscribe_account(&mut self, client: &mut Client, account: AccountId, subscription: u32) {
        self.subscribe(client, Read::SubscribeAccount { account, subscription });
    }

    fn subscribe_stream(&mut self, client: &mut Client, kind: StreamKind, wrapping: StreamWrapping) {
        let streams = vec![Stream { market: MARKET, kind }];
        self.subscribe(client, Read::SubscribeStreams { streams, wrapping });
    }

    /// A limit order that rests: the events of its command.
    fn resting(&mut self, order: &Order) -> Vec<Event> {
        let accepted = self.accepted(order);
        let rested = self.rested(order, order.quantity);
        vec![accepted, rested]
    }

    fn accepted(&mut self, order: &Order) -> Event {
        Event::OrderAccepted(OrderAccepted {
            account: order.account,
            report_sequence: self.next_report(),
            market: order.market,
            order: order.id,
            client_id: ClientId::new(order.client_id).expect("a test's client id fits"),
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            self_trade_mode: SelfTradeMode::ExpireMaker,
            price: Ticks(order.price),
            quantity: Lots(order.quantity),
            display_quantity: Lots(0),
            quote_budget: Atoms(order.quote_budget),
            trigger_price: Ticks(0),
            expires_at: Timestamp::ZERO,
        })
    }

    fn rested(&mut self, order: &Order, remaining: u64) -> Event {
        Event::OrderRested(OrderRested {
            account: order.account,
            market: order.market,
            order: order.id,
            side: order.side,
            price: Ticks(order.price),
            remaining: Lots(remaining),
            feed_sequence: self.next_feed(order.market),
        })
    }

    /// `quantity` trades at the maker's price; `left` is what then is left of maker and taker.
    fn trade(&mut self, maker: &Order, taker: &Order, quantity: u64, left: (u64, u64)) -> Event {
        self.trades += 1;
        let feed_sequence = self.next_feed(maker.market);
        let notional = Atoms(maker.price * quantity * spec(maker.market).quote_atoms_per_tick_lot);
        let mut party = |order: &Order, remaining, rate: i32| TradeParty {
            account: order.account,
            order: order.id,
            report_sequence: self.next_report(),
            remaining: Lots(remaining),
            fee: FeeRate(rate).fee_on(notional),
        };
        let (maker_party, taker_party) = (party(maker, left.0, -100), party(taker, left.1, 500));
        Event::Trade(Trade {
            market: maker.market,
            trade: TradeId(self.trades),
            feed_sequence,
            taker_side: taker.side,
            price: Ticks(maker.price),
            quantity: Lots(quantity),
            maker_displayed: maker_party.remaining,
            maker: maker_party,
            taker: taker_party,
        })
    }

    /// What was left of an order goes; it was on the book unless the reason says that it was incoming.
    fn canceled(&mut self, order: &Order, remaining: u64, reason: CancelReason) -> Event {
        let incoming = matches!(reason, CancelReason::NotFilled | CancelReason::FillOrKill | CancelReason::MaxFills);
        Event::OrderCanceled(OrderCanceled {
            account: order.account,
            report_sequence: self.next_report(),
            market: order.market,
            order: order.id,
            side: order.side,
            price: Ticks(order.price),
            remaining: Lots(remaining),
            displayed: Lots(remaining),
            reason,
            feed_sequence: if incoming { 0 } else { self.next_feed(order.market) },
        })
    }

    fn reduced(&mut self, order: &Order, quantity: u64, remaining: u64, reduced_by: u64) -> Event {
        Event::OrderReduced(OrderReduced {
            account: order.account,
            report_sequence: self.next_report(),
            market: order.market,
            order: order.id,
            side: order.side,
            price: Ticks(order.price),
            quantity: Lots(quantity),
            remaining: Lots(remaining),
            reduced_by: Lots(reduced_by),
            feed_sequence: self.next_feed(order.market),
        })
    }

    /// Applies a resting order of its own and gives it back.
    fn place(&mut self, order: Order) -> Order {
        let order = Order { id: self.next_order(), ..order };
        let events = self.resting(&order);
        self.apply(None, &events);
        order
    }
}

/// A record as the sequencer hands it over.
fn outputs(sequence: Sequence, timestamp: Timestamp, handle: Option<RequestHandle>, events: &[Event]) -> Vec<Output> {
    let event_count = u32::try_from(events.len()).expect("few events");
    let applied = Output::Applied { sequence, timestamp, event_count, handle, spent: Bytes::new() };
    std::iter::once(applied).chain(events.iter().copied().map(Output::Event)).collect()
}

/// What a test says of an order.
#[derive(Clone, Copy)]
struct Order {
    id: OrderId,
    account: AccountId,
    market: MarketId,
    client_id: &'static str,
    side: Side,
    order_type: OrderType,
    time_in_force: TimeInForce,
    price: u64,
    quantity: u64,
    quote_budget: u64,
}

/// A good-till-cancel limit order; its id is given when it is placed.
fn limit(account: AccountId, side: Side, price: u64, quantity: u64) -> Order {
    Order {
        id: OrderId(0),
        account,
        market: MARKET,
        client_id: "",
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price,
        quantity,
        quote_budget: 0,
    }
}

fn asset(asset: AssetId, symbol: &str) -> AssetSpec {
    let symbol = Symbol::new(symbol).expect("a short name");
    AssetSpec { asset, symbol, decimals: 8, chain_units_per_atom: 1 }
}

/// BTCUSDT with tick 0.01 and lot 0.00001, and a market of the same units with another name.
fn spec(market: MarketId) -> MarketSpec {
    let symbol = if market == MARKET { "BTCUSDT" } else { "XBTUSDT" };
    MarketSpec {
        market,
        symbol: Symbol::new(symbol).expect("a short name"),
        base: BTC,
        quote: USDT,
        tick_size_e8: 1_000_000,
        base_atoms_per_lot: 1_000,
        quote_atoms_per_tick_lot: 10,
        max_price: Ticks(100_000_000),
        min_quantity: Lots(1),
        max_quantity: Lots(100_000_000),
        min_notional: Atoms(50_000_000),
        market_order_band: 50_000,
        maker_fee: FeeRate(-100),
        taker_fee: FeeRate(500),
        max_orders: 1_000,
        max_levels: 1_000,
    }
}

fn listing() -> Vec<Event> {
    let markets = [spec(MARKET), spec(OTHER_MARKET)];
    let (base, quote) = (asset(BTC, "BTC"), asset(USDT, "USDT"));
    markets.iter().for_each(|spec| spec.validate(&base, &quote).expect("a market that the engine would list"));
    let listed = [Event::AssetListed(base), Event::AssetListed(quote)];
    listed.into_iter().chain(markets.map(Event::MarketListed)).collect()
}

/// Small numbers from a seed, the same on every machine.
struct Random(u64);

impl Random {
    /// Below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
