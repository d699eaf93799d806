//! What a whole exchange refuses over the binary face, and who may do what: logons, budgets, subscriptions, keys that only
//! read, and what becomes of a session when the venue decides something meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::collections::BTreeMap;

use common::exchange::{BINDING, Exchange, MARKET, PATIENCE, SECOND_KEY, ended, key, logon, next};
use common::now;
use lakh_engine::command::{AdminAction, CancelOrder, FrameOperation, MarketState, OrderReference, PlaceOrder, Side};
use lakh_engine::ids::{KeyId, MarketId, OrderId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::auth::api_key;
use lakh_gateway::binary_client::{BinaryClient, BinaryClientError, Incoming, LogonOptions, Message, Requests};
use lakh_gateway::client::{Client, sign_params};
use lakh_gateway::key_budgets::KeyLimits;
use lakh_gateway::limits::Rate;
use lakh_gateway::wire::sbe::enums::{Channel, Code, SessionRole, WireEnum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn refused(exchange: &Exchange, number: u32, options: &LogonOptions) -> u16 {
    match BinaryClient::connect(exchange.address(), &key(number), options).await {
        Err(BinaryClientError::Ended { code }) => code,
        other => panic!("{other:?}"),
    }
}

fn named(sender: &str, role: SessionRole) -> LogonOptions {
    LogonOptions { sender: sender.to_owned(), role, ..logon() }
}

fn bid(price: u64) -> PlaceOrder {
    PlaceOrder::limit(MARKET, Side::Bid, Ticks(price), Lots(5))
}

/// What so many requests are answered with, by their numbers: a code and when to try again, 0 and 0 for a success. A
/// refusal of the gateway may come before what the engine still works at.
async fn answers(client: &mut BinaryClient, count: usize) -> BTreeMap<u64, (u16, u32)> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let message = next(client).await;
        let (request, answer) = match &message {
            Message::BusinessReject(reject) => (reject.request_sequence, (reject.code.get(), reject.retry_after.get())),
            Message::RequestRejected(rejected) => (rejected.request_sequence, (rejected.code.get(), 0)),
            _ => (message.report().unwrap_or_else(|| panic!("{message:?}")).1, (0, 0)),
        };
        assert!(answers.insert(request.get(), answer).is_none(), "each has one answer: {message:?}");
    }
    answers
}

/// Places an order and gives the number of its refusal, 0 when it was taken.
async fn place(client: &mut BinaryClient, price: u64) -> u16 {
    let request = client.requests().place(&bid(price), now());
    client.flush().await.unwrap();
    answers(client, 1).await[&request].0
}

/// Sends bytes on a connection of their own; how the venue answers at first.
async fn first_answer(exchange: &Exchange, bytes: &[u8]) -> Message {
    let mut stream = TcpStream::connect(exchange.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut incoming = Incoming::new();
    let mut buffer = [0; 4_096];
    loop {
        if let Some(message) = incoming.next_message().unwrap() {
            return message;
        }
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the venue says why it ends a connection");
        incoming.feed(&buffer[..read]);
    }
}

#[tokio::test]
async fn a_logon_is_good_once_and_only_with_its_own_signature() {
    let exchange = Exchange::start().await;
    let mut requests = Requests::new(key(1));
    requests.log_on(&logon(), now());
    let good = requests.bytes().to_vec();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let refused =
        |message: &Message| matches!(message, Message::Logout(end) if end.code.get() == Code::LogonRefused.number());
    let message = first_answer(&exchange, &forged).await;
    assert!(refused(&message), "{message:?}");
    assert!(matches!(first_answer(&exchange, &good).await, Message::LogonAccepted(_)));
    let message = first_answer(&exchange, &good).await;
    assert!(refused(&message), "the same text again: {message:?}");
    exchange.end().await;
}

#[tokio::test]
async fn reports_that_are_not_kept_are_said_to_be_gone() {
    let exchange = Exchange::with(|_| {}, |options| options.binary.reports.bytes_per_account_max = 64 << 10).await;
    let (mut client, accepted) = exchange.client_with(1, &logon()).await;
    let first = accepted.last_account_sequence.get();
    for _ in 0..3 {
        for _ in 0..500 {
            client.requests().place(&bid(10), now());
        }
        client.flush().await.unwrap();
        assert!(answers(&mut client, 500).await.values().all(|(code, _)| *code == 0));
    }
    let from = |from| LogonOptions { resume_from: Some(from), ..named(&format!("r{from}"), SessionRole::DropCopy) };
    assert_eq!(refused(&exchange, 1, &from(first)).await, Code::ResumeTooOld.number());
    assert_eq!(refused(&exchange, 1, &from(first + 1_501)).await, Code::ResumeAhead.number());
    let (mut copy, accepted) = exchange.client_with(1, &from(first + 1_499)).await;
    assert_eq!(accepted.resumed_from.get(), first + 1_499);
    assert!(matches!(next(&mut copy).await, Message::ExecutionReport(report)
        if report.account_sequence.get() == first + 1_500));
    drop((client, copy));
    exchange.end().await;
}

#[tokio::test]
async fn subscriptions_have_their_bounds_and_their_refusals() {
    let exchange = Exchange::with(
        |_| {},
        |options| {
            options.binary.feeds.listeners_max = 1;
            options.binary.reports.sessions_max = 2;
        },
    )
    .await;
    let mut client = exchange.client(1).await;
    let elsewhere = MarketId(7);
    client.requests().subscribe(MARKET, Channel::Trades, None, now());
    client.requests().subscribe(MARKET, Channel::Trades, None, now());
    client.requests().subscribe(MARKET, Channel::Levels, None, now());
    client.requests().subscribe(elsewhere, Channel::Orders, None, now());
    client.requests().gap_fill(elsewhere, Channel::Orders, (1, 1), now());
    client.requests().unsubscribe(elsewhere, Channel::Orders, now());
    client.requests().markets(Some(elsewhere), now());
    client.requests().subscribe(MARKET, Channel::Trades, Some(1_000), now());
    client.requests().unsubscribe(MARKET, Channel::Trades, now());
    client.requests().subscribe_conflated(MARKET, 500, now());
    client.requests().unsubscribe(MARKET, Channel::Levels, now());
    client.requests().subscribe(MARKET, Channel::Orders, None, now());
    client.flush().await.unwrap();
    let mut answers = Vec::new();
    while answers.len() < 12 {
        if let Message::MarketDataAnswer(answer) = next(&mut client).await {
            answers.push(answer.code.get());
        }
    }
    let [many, unknown, range] = [Code::TooManySubscriptions, Code::UnknownMarket, Code::BadRange].map(Code::number);
    // Who asks again for what he has takes nobody's place, and what he had is over when that is refused.
    assert_eq!(answers, [0, 0, many, unknown, unknown, unknown, unknown, range, 0, 0, 0, 0]);
    let mut copy = exchange.client_with(1, &named("copy", SessionRole::DropCopy)).await.0;
    let code = refused(&exchange, 2, &named("third", SessionRole::DropCopy)).await;
    assert_eq!(code, Code::TooManySubscriptions.number());
    // Market data alone needs no place among them.
    let data = exchange.client_with(2, &named("data", SessionRole::MarketData)).await.0;
    copy.requests().log_out(now());
    copy.flush().await.unwrap();
    assert_eq!(ended(&mut copy).await, 0);
    drop((client, copy, data));
    exchange.end().await;
}

/// Nothing is conflated unless it is asked for, and it can be asked for price levels from a snapshot on only.
#[tokio::test]
async fn conflation_is_for_price_levels_and_for_who_asks() {
    use lakh_gateway::wire::sbe::enums::StartMode;
    use lakh_gateway::wire::sbe::market::MarketDataSubscribe;
    let exchange = Exchange::start().await;
    let mut trader = exchange.client(1).await;
    let mut whole = exchange.client_with(2, &named("whole", SessionRole::MarketData)).await.0;
    whole.requests().subscribe(MARKET, Channel::Levels, None, now());
    whole.flush().await.unwrap();
    while !matches!(next(&mut whole).await, Message::SnapshotEnd(_)) {}
    let mut seldom = exchange.client_with(2, &named("seldom", SessionRole::MarketData)).await.0;
    seldom.requests().subscribe_conflated(MARKET, 300, now());
    seldom.flush().await.unwrap();
    while !matches!(next(&mut seldom).await, Message::SnapshotEnd(_)) {}
    for _ in 0..200 {
        trader.requests().place(&bid(10), now());
    }
    trader.flush().await.unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&1_000) {
        if let Message::LevelChanged(level) = next(&mut whole).await {
            told.push(level.quantity.get());
        }
    }
    assert_eq!(told, (1..=200).map(|count| count * 5).collect::<Vec<u64>>(), "each change");
    let (mut messages, mut quantity) = (0, 0);
    while quantity < 1_000 {
        if let Message::LevelChanged(level) = next(&mut seldom).await {
            (messages, quantity) = (messages + 1, level.quantity.get());
        }
    }
    assert!(messages <= 10, "200 changes of one price were told {messages} times");
    drop((trader, whole, seldom));
    for (channel, start) in [
        (Channel::Orders, StartMode::Snapshot),
        (Channel::Trades, StartMode::Live),
        (Channel::Status, StartMode::Live),
        (Channel::Levels, StartMode::Live),
        (Channel::Levels, StartMode::AfterSequence),
    ] {
        let mut requests = Requests::new(key(2));
        requests.log_on(&named(&format!("{}{}", channel.wire(), start.wire()), SessionRole::MarketData), now());
        let mut bytes = requests.bytes().to_vec();
        let subscribe = MarketDataSubscribe {
            sequence_number: 2.into(),
            sending_time: 0.into(),
            feed_sequence: 0.into(),
            conflation: 300.into(),
            market_id: MARKET.0.into(),
            channel: channel.wire(),
            start: start.wire(),
        };
        lakh_gateway::wire::sbe::put(&mut bytes, &subscribe);
        let mut stream = TcpStream::connect(exchange.address()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let answer = answer_of(&mut stream).await;
        assert_eq!(answer, Code::UnusedField.number(), "{channel:?} {start:?}");
    }
    exchange.end().await;
}

/// The code of the first answer about market data on a raw connection.
async fn answer_of(stream: &mut TcpStream) -> u16 {
    let mut incoming = Incoming::new();
    let mut buffer = [0; 4_096];
    loop {
        while let Some(message) = incoming.next_message().unwrap() {
            if let Message::MarketDataAnswer(answer) = message {
                return answer.code.get();
            }
        }
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the venue answers");
        incoming.feed(&buffer[..read]);
    }
}

#[tokio::test]
async fn a_key_s_budgets_hold_on_this_face_too() {
    let orders = Rate { per_second: 1, burst: 2 };
    let exchange = Exchange::with(
        |options| options.keys = KeyLimits { orders, cancel_allowance: 2, ..KeyLimits::default() },
        |_| {},
    )
    .await;
    let mut client = exchange.client(1).await;
    for price in [10, 11, 12] {
        client.requests().place(&bid(price), now());
    }
    client.requests().frame(&[FrameOperation::PlaceOrder(bid(13))], now());
    client.flush().await.unwrap();
    let told: Vec<_> = answers(&mut client, 4).await.into_values().collect();
    assert_eq!(told[..2], [(0, 0); 2]);
    for (code, retry_after) in &told[2..] {
        assert_eq!(*code, Code::OrderBudget.number());
        assert!((1..=2_001).contains(retry_after), "{retry_after}");
    }
    // Its cancels are the last to be limited: as many as it has and has placed, and the allowance.
    let unknown = CancelOrder { market: MARKET, target: OrderReference::OrderId(OrderId(1)) };
    for _ in 0..20 {
        client.requests().cancel(&unknown, now());
    }
    client.flush().await.unwrap();
    let told: Vec<u16> = answers(&mut client, 20).await.into_values().map(|(code, _)| code).collect();
    let looked_at = told.iter().take_while(|code| **code == RejectCode::OrderUnknown as u16).count();
    assert!((4..20).contains(&looked_at), "{told:?}");
    assert!(told[looked_at..].iter().all(|code| *code == Code::OrderBudget.number()), "{told:?}");
    drop(client);
    exchange.end().await;

    let requests = Rate { per_second: 1, burst: 2 };
    let exchange =
        Exchange::with(|options| options.keys = KeyLimits { requests, ..KeyLimits::default() }, |_| {}).await;
    let mut client = exchange.client(1).await;
    for _ in 0..3 {
        client.requests().cancel_all_after(60_000, now());
    }
    client.flush().await.unwrap();
    let told: Vec<_> = answers(&mut client, 3).await.into_values().collect();
    let (code, retry_after) = told[2];
    assert_eq!((told[0], code), ((0, 0), Code::RateLimited.number()));
    assert!(retry_after > 0);
    drop(client);
    exchange.end().await;
}

/// Logons are signatures of who has proven nothing: beyond their share they are told to come again.
#[tokio::test]
async fn what_has_no_room_is_overloaded() {
    let unproven = Rate { per_second: 1, burst: 1 };
    let exchange = Exchange::with(|options| options.verifier.unproven = unproven, |_| {}).await;
    let mut client = exchange.client(1).await;
    assert_eq!(refused(&exchange, 2, &logon()).await, Code::Overloaded.number());
    assert_eq!(place(&mut client, 10).await, 0, "who is in is not held up by them");
    drop(client);
    exchange.end().await;

    let suspects = Rate { per_second: 1, burst: 1 };
    let exchange = Exchange::with(|options| options.verifier.suspects = suspects, |_| {}).await;
    let (mut client, accepted) = exchange.client_with(1, &logon()).await;
    let mut foreign = accepted;
    foreign.chain_id = 1.into();
    client.requests().logged_on(&foreign);
    assert_eq!(place(&mut client, 10).await, Code::BadSignature.number());
    client.requests().logged_on(&accepted);
    client.requests().place(&bid(10), now());
    client.requests().place(&bid(10), now());
    client.flush().await.unwrap();
    let told: Vec<_> = answers(&mut client, 2).await.into_values().collect();
    assert_eq!(told, [(0, 0), (Code::Overloaded.number(), 100)], "a lane of its own, and a small one");
    drop(client);
    exchange.end().await;
}

/// A request of the API by account 1's second key.
async fn by_second_key(exchange: &Exchange, method: &str, params: &[(&str, &str)]) {
    let signing = key(SECOND_KEY);
    let time = now().milliseconds().to_string();
    let own: String = signing.verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let named = [("method", method), ("timestamp", time.as_str()), ("publicKey", own.as_str())];
    let all: Vec<_> = params.iter().copied().chain(named).collect();
    let signed = sign_params(&signing, &api_key(BINDING.venue_tag(), signing.verifying_key().as_bytes()), &all);
    let mut client = Client::connect(exchange.gateway.address()).await.unwrap();
    let answer = client.request(method, &signed).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_key_that_only_reads_gets_the_drop_copy_and_nothing_else() {
    let exchange = Exchange::start().await;
    by_second_key(&exchange, "key.narrow", &[("operations", "NONE")]).await;
    let (mut copy, accepted) = exchange.client_with(SECOND_KEY, &named("copy", SessionRole::DropCopy)).await;
    assert_eq!(accepted.account_id.get(), 1);
    let mut trader = exchange.client(1).await;
    trader.requests().place(&bid(10), now());
    trader.flush().await.unwrap();
    let (Message::ExecutionReport(own), Message::ExecutionReport(copied)) =
        (next(&mut trader).await, next(&mut copy).await)
    else {
        panic!("both are told")
    };
    assert_eq!((own.account_sequence, own.journal_sequence), (copied.account_sequence, copied.journal_sequence));
    // Where it says that it trades, the engine does not let it.
    let mut options = named("trader", SessionRole::Trading);
    options.first_nonce = 1;
    let mut reader = exchange.client_with(SECOND_KEY, &options).await.0;
    reader.requests().place(&bid(11), now());
    reader.requests().mass_cancel(None, None, now());
    reader.requests().cancel_all_after(60_000, now());
    reader.flush().await.unwrap();
    for _ in 0..3 {
        let message = next(&mut reader).await;
        assert!(
            matches!(&message, Message::RequestRejected(rejected)
            if rejected.code.get() == RejectCode::OutOfScope as u16),
            "{message:?}"
        );
    }
    drop((copy, trader, reader));
    let (engine, _) = exchange.end().await;
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 1);
}

#[tokio::test]
async fn a_key_that_ends_takes_its_session_s_orders_no_more() {
    let exchange = Exchange::start().await;
    let mut client = exchange.client(2).await;
    assert_eq!(place(&mut client, 10).await, 0);
    exchange.decide(AdminAction::RevokeKey { key: KeyId(2) });
    // Until the gateway knows it too, the engine says so.
    loop {
        let code = place(&mut client, 11).await;
        if code == Code::KeyEnded.number() {
            break;
        }
        assert!([0, RejectCode::KeyRevoked as u16].contains(&code), "{code}");
    }
    assert_eq!(refused(&exchange, 2, &logon()).await, Code::UnknownKey.number());
    drop(client);
    exchange.end().await;
}

#[tokio::test]
async fn a_market_s_state_is_told_on_three_channels_and_the_stop_to_everybody() {
    let exchange = Exchange::start().await;
    let mut clients = Vec::new();
    for channel in [Channel::Orders, Channel::Levels, Channel::Status] {
        let options = named(&format!("c{}", channel.wire()), SessionRole::MarketData);
        let mut client = exchange.client_with(2, &options).await.0;
        client.requests().subscribe(MARKET, channel, Some(1), now());
        client.flush().await.unwrap();
        assert!(matches!(next(&mut client).await, Message::MarketDataAnswer(answer) if answer.code.get() == 0));
        clients.push(client);
    }
    let mut trader = exchange.client(1).await;
    exchange.decide(AdminAction::SetMarketState { market: MARKET, state: MarketState::CancelOnly });
    for client in &mut clients {
        let message = next(client).await;
        let Message::MarketStatus(status) = &message else { panic!("{message:?}") };
        assert_eq!((status.state, status.feed_sequence.get()), (MarketState::CancelOnly.wire(), 2));
        assert!(status.journal_sequence.get() > 0 && status.transact_time.get() > 0);
    }
    trader.requests().place(&bid(10), now());
    trader.requests().markets(Some(MARKET), now());
    trader.flush().await.unwrap();
    assert!(matches!(next(&mut trader).await, Message::RequestRejected(rejected)
        if rejected.code.get() == RejectCode::MarketClosed as u16));
    assert!(matches!(next(&mut trader).await, Message::MarketDefinition(definition)
        if definition.state == MarketState::CancelOnly.wire() && definition.following.get() == 0));
    clients.push(trader);
    let stopping = tokio::spawn(exchange.end());
    for client in &mut clients {
        assert_eq!(ended(client).await, Code::ServerStops.number());
    }
    drop(clients);
    stopping.await.unwrap();
}
