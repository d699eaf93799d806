//! The feed of the binary face: a book by order that follows the engine's to the last order, price levels, trades, gaps
//! that are filled, and a client that is cut off a hundred times in the middle of everything.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::exchange::{Exchange, MARKET, key, logon};
use common::{Random, now};
use lakh_engine::Engine;
use lakh_engine::command::{AmendOrder, CancelOrder, OrderReference, PlaceOrder, Side, TimeInForce};
use lakh_engine::ids::OrderId;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{BinaryClient, Incoming, Message, PublicBook, Requests};
use lakh_gateway::wire::sbe::enums::{Channel, Code, ExecutionType, SessionRole, WireEnum};
use lakh_gateway::wire::sbe::market::LevelEntry;
use lakh_gateway::wire::sbe::session::LogonAccepted;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(60);

async fn next(client: &mut BinaryClient) -> Message {
    tokio::time::timeout(PATIENCE, client.next()).await.expect("the venue answers").unwrap()
}

/// A random stream of orders that trade, hide, shrink and go.
struct Flow {
    random: Random,
    live: Vec<OrderId>,
    /// The id of every order that was told of.
    orders: BTreeSet<u64>,
}

impl Flow {
    fn new(seed: u64) -> Self {
        Self { random: Random(seed), live: Vec::new(), orders: BTreeSet::new() }
    }

    /// Writes one request.
    fn request(&mut self, requests: &mut Requests) {
        let choice = self.random.below(10);
        if choice < 7 || self.live.is_empty() {
            let side = if self.random.below(2) == 0 { Side::Bid } else { Side::Ask };
            let middle = 10_000 + self.random.below(9) as u64;
            let price = if side == Side::Bid { middle - 4 } else { middle };
            let quantity = 1 + self.random.below(40) as u64;
            let display_quantity = if self.random.below(4) == 0 { Lots(quantity.div_ceil(3)) } else { Lots::ZERO };
            let time_in_force = match self.random.below(5) {
                0 => TimeInForce::ImmediateOrCancel,
                _ => TimeInForce::GoodTillCancel,
            };
            let display_quantity = if time_in_force.rests() { display_quantity } else { Lots::ZERO };
            let order = PlaceOrder::limit(MARKET, side, Ticks(price), Lots(quantity));
            requests.place(&PlaceOrder { time_in_force, display_quantity, ..order }, now());
            return;
        }
        let target = OrderReference::OrderId(self.live.swap_remove(self.random.below(self.live.len())));
        if choice == 7 {
            requests.amend(&AmendOrder::less(MARKET, target, Lots(1)), now());
        } else {
            requests.cancel(&CancelOrder { market: MARKET, target }, now());
        }
    }

    /// Remembers what can be changed later.
    fn observe(&mut self, message: &Message) {
        let Message::ExecutionReport(report) = message else { return };
        self.orders.insert(report.order_id.get());
        if report.execution_type == ExecutionType::New.wire() {
            self.live.push(OrderId(report.order_id.get()));
        }
    }
}

/// The engine's book as (side, price, shown): bids, then asks, best price first, then first come first.
fn engine_orders(engine: &Engine) -> Vec<(u8, u64, u64)> {
    let book = engine.book(MARKET).unwrap();
    let mut orders = Vec::new();
    for side in [Side::Bid, Side::Ask] {
        orders.extend(book.orders(side).map(|order| (side.wire(), order.price.0, order.remaining.0)));
    }
    orders
}

fn shown(book: &PublicBook) -> Vec<(u8, u64, u64)> {
    book.sorted().into_iter().map(|(_, side, price, quantity)| (side, price, quantity)).collect()
}

#[tokio::test]
async fn the_books_of_all_channels_are_the_engines() {
    let seed = 0xfeed_0001;
    println!("seed {seed:#x}");
    let exchange = Exchange::start().await;
    let mut maker = exchange.client(1).await;
    let mut options = logon();
    (options.role, options.sender) = (SessionRole::MarketData, "watcher".to_owned());
    let (mut watcher, _) = exchange.client_with(2, &options).await;
    let mut flow = Flow::new(seed);
    // Something is there before the snapshot.
    for _ in 0..200 {
        flow.request(maker.requests());
    }
    maker.flush().await.unwrap();
    maker.requests().test_request(1, now());
    for channel in [Channel::Orders, Channel::Levels, Channel::Trades] {
        watcher.requests().subscribe(MARKET, channel, None, now());
    }
    watcher.flush().await.unwrap();
    for round in 0..40 {
        while let Ok(Ok(message)) = tokio::time::timeout(Duration::from_millis(5), maker.next()).await {
            flow.observe(&message);
        }
        for _ in 0..50 {
            flow.request(maker.requests());
        }
        maker.flush().await.unwrap();
        if round == 39 {
            maker.requests().markets(None, now());
            maker.flush().await.unwrap();
            while !matches!(next(&mut maker).await, Message::MarketDefinition(_)) {}
            watcher.requests().markets(None, now());
            watcher.flush().await.unwrap();
        }
    }
    let mut watched = Watched::default();
    loop {
        let message = next(&mut watcher).await;
        if let Message::MarketDefinition(_) = message {
            break;
        }
        watched.take(&message);
    }
    assert!(watched.names.len() > 1_000 && flow.orders.len() > 1_000);
    assert!(watched.names.is_disjoint(&flow.orders), "what is public says nothing of an order's id");
    drop((maker, watcher));
    let (engine, _) = exchange.end().await;
    assert_eq!(shown(&watched.book), engine_orders(&engine));
    let mut by_level: BTreeMap<(u8, u64), u64> = BTreeMap::new();
    for (side, price, shown) in engine_orders(&engine) {
        *by_level.entry((side, price)).or_insert(0) += shown;
    }
    watched.levels.retain(|_, quantity| *quantity > 0);
    assert_eq!(watched.levels, by_level);
    assert!(watched.traded.len() > 100, "{}", watched.traded.len());
    assert_eq!(watched.traded, watched.executed);
}

/// What three channels of a market told.
#[derive(Default)]
struct Watched {
    book: PublicBook,
    levels: BTreeMap<(u8, u64), u64>,
    level_sequence: u64,
    last_trade: u64,
    /// Price and quantity of each trade, by the channel of trades and by that of orders.
    traded: BTreeMap<u64, (u64, u64)>,
    executed: BTreeMap<u64, (u64, u64)>,
    /// Every name that an order or a part of one had.
    names: BTreeSet<u64>,
}

impl Watched {
    fn take(&mut self, message: &Message) {
        self.book.apply(message).unwrap();
        match message {
            Message::SnapshotLevels(_, entries) => {
                let level = |entry: &LevelEntry| ((entry.side, entry.price.get()), entry.quantity.get());
                self.levels.extend(entries.iter().map(level));
            }
            Message::SnapshotEnd(end) if end.channel == Channel::Levels.wire() => {
                self.level_sequence = end.feed_sequence.get();
            }
            Message::LevelChanged(level) => {
                assert_eq!(level.previous_feed_sequence.get(), self.level_sequence, "no change is missing");
                self.level_sequence = level.feed_sequence.get();
                self.levels.insert((level.side, level.price.get()), level.quantity.get());
            }
            Message::TradeReported(trade) => {
                let number = trade.trade_id.get();
                assert!(self.last_trade == 0 || number == self.last_trade + 1, "trades have no gap");
                self.last_trade = number;
                self.traded.insert(number, (trade.price.get(), trade.quantity.get()));
            }
            Message::OrderAdded(added) => {
                let is_new = self.names.insert(added.public_order_id.get());
                assert!(is_new, "the next part of an iceberg has another name: {added:?}");
            }
            Message::OrderExecuted(one) => {
                self.executed.insert(one.trade_id.get(), (one.price.get(), one.quantity.get()));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn gaps_are_filled_by_range_and_what_is_gone_is_said_to_be() {
    let exchange = Exchange::with(|_| {}, |options| options.binary.feeds.changes_max = 50).await;
    let mut client = exchange.client(1).await;
    for price in 1..=100 {
        client.requests().place(&PlaceOrder::limit(MARKET, Side::Bid, Ticks(price), Lots(1)), now());
    }
    client.requests().gap_fill(MARKET, Channel::Orders, (60, 70), now());
    client.requests().gap_fill(MARKET, Channel::Orders, (1, 70), now());
    client.requests().gap_fill(MARKET, Channel::Orders, (90, 1_000), now());
    client.requests().gap_fill(MARKET, Channel::Orders, (7, 6), now());
    client.requests().subscribe(MARKET, Channel::Orders, Some(90), now());
    client.flush().await.unwrap();
    let mut changes = Vec::new();
    let mut answers = Vec::new();
    while answers.len() < 5 || changes.len() < 22 {
        match next(&mut client).await {
            Message::OrderAdded(added) => changes.push(added.feed_sequence.get()),
            Message::MarketDataAnswer(answer) => answers.push(answer.code.get()),
            _ => {}
        }
    }
    // The market's opening was change 1, so order n is change n + 1.
    assert_eq!(changes, (60..=70).chain(91..=101).collect::<Vec<_>>());
    assert_eq!(answers, [0, Code::GapTooOld.number(), Code::BadRange.number(), Code::BadRange.number(), 0]);
    drop(client);
    exchange.end().await;
}

#[tokio::test]
async fn who_does_not_read_is_dropped_with_a_reason_and_nobody_else() {
    let exchange = Exchange::with(|options| options.binary_outbox_bytes = 256 * 1_024, |_| {}).await;
    let mut client = exchange.client(1).await;
    let mut sleeper = Sleeper::connect(&exchange).await;
    // More than the sockets' buffers and the outbox hold, while the sleeper sleeps.
    let counters = exchange.gateway.counters();
    let mut rounds = 0;
    while counters.slow_consumers_dropped.value() == 0 {
        for index in 0..400 {
            client.requests().place(&PlaceOrder::limit(MARKET, Side::Bid, Ticks(1 + index), Lots(1)), now());
        }
        client.requests().mass_cancel(None, None, now());
        client.flush().await.unwrap();
        let mut canceled = 0;
        while canceled < 400 {
            match next(&mut client).await {
                Message::ExecutionReport(report) if report.execution_type == ExecutionType::Canceled.wire() => {
                    canceled += 1;
                }
                Message::BusinessReject(reject) => panic!("{reject:?}"),
                _ => {}
            }
        }
        rounds += 1;
        assert!(rounds < 1_000, "a sleeper is dropped at some point");
    }
    assert_eq!(sleeper.wake().await, Code::SlowReader.number());
    drop((client, sleeper));
    exchange.end().await;
}

/// What the session says by itself is bounded, too: nothing more is taken from a client that does not read it.
#[tokio::test]
async fn who_asks_without_reading_is_not_listened_to() {
    const OUTBOX: usize = 64 * 1_024;
    let exchange = Exchange::with(
        |options| (options.binary_outbox_bytes, options.send_buffer_bytes) = (OUTBOX, 16 * 1_024),
        |_| {},
    )
    .await;
    let mut sleeper = Sleeper::connect(&exchange).await;
    let mut requests = Requests::new(key(2));
    requests.log_on(&logon(), now());
    requests.subscribe(MARKET, Channel::Orders, None, now());
    requests.clear();
    // Each asks for a heartbeat, which is as long as the question: without a bound all of it is taken and answered.
    let mut taken = 0;
    let is_full = loop {
        for test in 0..1_000 {
            requests.test_request(test, now());
        }
        let sent = tokio::time::timeout(Duration::from_secs(2), sleeper.stream.write_all(requests.bytes())).await;
        if sent.is_err() {
            break true;
        }
        sent.unwrap().unwrap();
        taken += requests.bytes().len();
        requests.clear();
        if taken > 64 << 20 {
            break false;
        }
    };
    assert!(is_full, "{taken} bytes of questions were answered to nobody");
    println!(
        "{taken} bytes were taken of a client that does not read, its and the venue's sockets' buffers among them"
    );
    let mut client = exchange.client(1).await;
    client.requests().place(&PlaceOrder::limit(MARKET, Side::Bid, Ticks(1), Lots(1)), now());
    client.flush().await.unwrap();
    assert!(matches!(next(&mut client).await, Message::ExecutionReport(_)), "nobody else notices");
    drop((client, sleeper));
    exchange.end().await;
}

/// A client that asks for the feed and does not read it, with a small window.
struct Sleeper {
    stream: TcpStream,
    incoming: Incoming,
}

impl Sleeper {
    async fn connect(exchange: &Exchange) -> Self {
        let mut options = logon();
        (options.role, options.sender) = (SessionRole::MarketData, "sleeper".to_owned());
        options.heartbeat_ms = 60_000;
        let mut requests = Requests::new(key(2));
        requests.log_on(&options, now());
        requests.subscribe(MARKET, Channel::Orders, None, now());
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8_192).unwrap();
        let mut stream = socket.connect(exchange.address()).await.unwrap();
        stream.write_all(requests.bytes()).await.unwrap();
        Self { stream, incoming: Incoming::new() }
    }

    /// Reads everything that is left; the code of the goodbye.
    async fn wake(&mut self) -> u16 {
        let mut buffer = vec![0; 65_536];
        loop {
            while let Some(message) = self.incoming.next_message().unwrap() {
                if let Message::Logout(logout) = message {
                    return logout.code.get();
                }
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(read > 0, "a goodbye comes before the end");
            self.incoming.feed(&buffer[..read]);
        }
    }
}

/// What a client that keeps losing its link has seen.
#[derive(Default)]
struct Seen {
    /// The last report.
    report: u64,
    reports: u64,
    book: PublicBook,
    /// Place in the journal of the last public change on this connection.
    public: u64,
}

/// Place in the journal of what caused a public change.
fn public_change(message: &Message) -> Option<u64> {
    let sequence = match message {
        Message::OrderAdded(change) => change.journal_sequence,
        Message::OrderExecuted(change) => change.journal_sequence,
        Message::OrderReduced(change) => change.journal_sequence,
        Message::OrderDeleted(change) => change.journal_sequence,
        _ => return None,
    };
    Some(sequence.get())
}

impl Seen {
    fn take(&mut self, message: &Message) {
        if let Some(sequence) = public_change(message) {
            assert!(sequence >= self.public, "changes come in the journal's order");
            self.public = sequence;
        }
        if let Message::ExecutionReport(report) = message {
            let caused = report.journal_sequence.get();
            assert!(caused > self.public, "at each sequence reports leave before public changes: {caused}");
        }
        if let Message::Logout(_) | Message::Reject(_) = message {
            panic!("{message:?}");
        }
        if let Some((sequence, _)) = message.report() {
            assert_eq!(sequence.get(), self.report + 1, "each report once, in its place");
            self.report = sequence.get();
            self.reports += 1;
        }
        // A snapshot that is cut off is asked for once more; changes follow on each other exactly.
        self.book.apply(message).unwrap();
    }
}

/// One connection that is cut off after so many bytes, wherever that is in a message.
struct Cut {
    stream: TcpStream,
    incoming: Incoming,
    requests: Requests,
    left: usize,
}

impl Cut {
    /// Logs on behind what was seen and asks for the feed behind it.
    async fn connect(exchange: &Exchange, (seen, number): (&Seen, u32), left: usize, nonce: u64) -> Self {
        let mut options = logon();
        options.resume_from = Some(seen.report);
        options.sender = format!("cut-{number}");
        options.first_nonce = nonce + 1;
        let mut requests = Requests::new(key(1));
        requests.log_on(&options, now());
        let mut stream = TcpStream::connect(exchange.address()).await.unwrap();
        stream.write_all(requests.bytes()).await.unwrap();
        requests.clear();
        Self { stream, incoming: Incoming::new(), requests, left }
    }

    /// The session is open: asks for the feed behind what was seen.
    fn ask(&mut self, accepted: &LogonAccepted, seen: &Seen) {
        self.requests.logged_on(accepted);
        let after = Some(seen.book.feed_sequence()).filter(|sequence| *sequence > 0);
        self.requests.subscribe(MARKET, Channel::Orders, after, now());
    }

    /// Sends what is collected; it may be cut off in the middle of that, too.
    async fn send(&mut self, random: &mut Random) {
        let bytes = self.requests.bytes();
        let sent = if random.below(3) == 0 { random.below(bytes.len()) } else { bytes.len() };
        self.stream.write_all(&bytes[..sent]).await.unwrap();
        if sent < bytes.len() {
            self.left = self.left.min(sent);
        }
    }

    /// The next message, or nothing once the bytes are used up.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.incoming.next_message().unwrap() {
                return Some(message);
            }
            if self.left == 0 {
                return None;
            }
            let mut buffer = [0; 4_096];
            let most = self.left.min(buffer.len());
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer[..most])).await.unwrap().unwrap();
            assert!(read > 0, "the venue does not end it");
            self.left -= read;
            self.incoming.feed(&buffer[..read]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_cuts_lose_nothing_and_repeat_nothing() {
    let seed = 0x00c0_ffee;
    println!("seed {seed:#x}");
    let exchange = Exchange::start().await;
    let mut random = Random(seed);
    let (mut flow, mut seen, mut nonce) = (Flow::new(seed + 1), Seen::default(), 0);
    let mut noise_flow = Flow::new(seed + 2);
    let mut noise = exchange.client(2).await;
    let mut cuts = 0;
    let mut number = 0;
    while cuts < 100 {
        // Load from the other side, whatever becomes of this one.
        for _ in 0..20 {
            noise_flow.request(noise.requests());
        }
        noise.flush().await.unwrap();
        while let Ok(Some(message)) = noise.ready() {
            noise_flow.observe(&message);
        }
        if let Ok(Ok(message)) = tokio::time::timeout(Duration::from_millis(1), noise.next()).await {
            noise_flow.observe(&message);
        }
        let left = 200 + random.below(12_000);
        number += 1;
        let mut cut = Cut::connect(&exchange, (&seen, number), left, nonce).await;
        seen.public = 0;
        while let Some(message) = cut.next().await {
            flow.observe(&message);
            if let Message::LogonAccepted(accepted) = &message {
                assert_eq!(accepted.resumed_from.get(), seen.report);
                cut.ask(accepted, &seen);
                (0..60).for_each(|_| flow.request(&mut cut.requests));
                nonce = cut.requests.last_nonce();
                cut.send(&mut random).await;
            }
            seen.take(&message);
        }
        if seen.book.is_incomplete() {
            seen.book = PublicBook::default();
        }
        cuts += 1;
    }
    // A last time, without a cut, until the venue has nothing more to say.
    let mut last = Cut::connect(&exchange, (&seen, number + 1), usize::MAX, nonce).await;
    seen.public = 0;
    loop {
        let message = last.next().await.unwrap();
        match &message {
            Message::LogonAccepted(accepted) => {
                last.ask(accepted, &seen);
                last.requests.markets(None, now());
                last.stream.write_all(last.requests.bytes()).await.unwrap();
            }
            Message::MarketDefinition(_) => break,
            _ => {}
        }
        seen.take(&message);
    }
    drop((noise, last));
    let (engine, log) = exchange.end().await;
    assert_eq!(shown(&seen.book), engine_orders(&engine));
    assert_eq!(seen.reports, seen.report);
    assert!(seen.reports > 1_000 && log.len() > 2_000, "{} reports of {} commands", seen.reports, log.len());
    println!("{} reports and {} changes over 100 cuts", seen.reports, seen.book.feed_sequence());
}
