//! The binary face over loopback sockets, with a real engine behind it: what each request leads to, and what refusals
//! are called.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use common::exchange::{ACCOUNTS, Exchange, MARKET, ended, key, logon, next};
use common::now;
use lakh_engine::command::{
    AmendOrder, CancelOrder, CancelRestriction, Command, FrameOperation, OrderReference, OrderType, PlaceOrder,
    ReplaceMode, ReplaceOrder, Side,
};
use lakh_engine::ids::{ClientId, OrderId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::auth::evidence::{Evidence, command_from_evidence};
use lakh_gateway::binary_client::{BinaryClient, BinaryClientError, Message};
use lakh_gateway::wire::sbe::enums::{Code, DisconnectChoice, ExecutionType, SessionRole, TradeRole, WireEnum};
use lakh_gateway::wire::sbe::orders::QuoteEntry;
use lakh_gateway::wire::sbe::reports::ExecutionReport;

async fn execution(client: &mut BinaryClient) -> ExecutionReport {
    match next(client).await {
        Message::ExecutionReport(report) => report,
        other => panic!("{other:?}"),
    }
}

fn limit(side: Side, price: u64, quantity: u64, client_id: &str) -> PlaceOrder {
    let client_id = ClientId::new(client_id).unwrap();
    PlaceOrder { client_id, ..PlaceOrder::limit(MARKET, side, Ticks(price), Lots(quantity)) }
}

/// Everything that was asked is what its evidence alone says, as the audit looks at it.
fn audit(exchange_directory: &lakh_gateway::directory::Directory, log: &[(Command, bytes::Bytes)]) {
    assert!(!log.is_empty());
    for (command, evidence) in log {
        if let Command::SessionEnded { .. } = command {
            assert!(evidence.is_empty());
            continue;
        }
        let decoded = Evidence::decode(evidence).unwrap();
        assert_eq!(decoded.encode().unwrap(), evidence);
        assert_eq!(command_from_evidence(&decoded, exchange_directory).as_ref(), Ok(command));
    }
}

#[tokio::test]
async fn an_order_rests_trades_and_goes() {
    let exchange = Exchange::start().await;
    let mut maker = exchange.client(1).await;
    let mut taker = exchange.client(2).await;
    let asked = maker.requests().place(&limit(Side::Ask, 5_000, 100, "m-1"), now());
    maker.flush().await.unwrap();
    let accepted = execution(&mut maker).await;
    assert_eq!((accepted.request_sequence.get(), accepted.execution_type), (asked, ExecutionType::New.wire()));
    assert_eq!(
        (accepted.price.get(), accepted.remaining.get(), &accepted.client_order_id[..4]),
        (5_000, 100, &b"m-1\0"[..])
    );

    taker.requests().place(&limit(Side::Bid, 5_000, 30, "t-1"), now());
    taker.flush().await.unwrap();
    let new = execution(&mut taker).await;
    let bought = execution(&mut taker).await;
    let sold = execution(&mut maker).await;
    assert_eq!(bought.journal_sequence, new.journal_sequence);
    assert_eq!(bought.request_sequence, new.request_sequence);
    assert_eq!(
        (sold.request_sequence.get(), sold.role, bought.role),
        (0, TradeRole::Maker.wire(), TradeRole::Taker.wire())
    );
    assert_eq!((sold.last_quantity.get(), sold.remaining.get(), sold.trade_id), (30, 70, bought.trade_id));
    assert_eq!(sold.account_sequence.get(), accepted.account_sequence.get() + 1);

    let target = OrderReference::OrderId(OrderId(accepted.order_id.get()));
    let amend = AmendOrder::less(MARKET, target, Lots(90));
    maker.requests().amend(&amend, now());
    let replace = ReplaceOrder {
        target: OrderReference::ClientId(ClientId::new("m-1").unwrap()),
        restriction: CancelRestriction::OnlyPartiallyFilled,
        mode: ReplaceMode::StopOnFailure,
        order: limit(Side::Ask, 6_000, 10, "m-2"),
    };
    maker.requests().replace(&replace, now());
    let cancel = CancelOrder { market: MARKET, target: OrderReference::ClientId(ClientId::new("m-2").unwrap()) };
    maker.requests().cancel(&cancel, now());
    maker.requests().cancel_all_after(60_000, now());
    maker.flush().await.unwrap();
    let reduced = execution(&mut maker).await;
    assert_eq!((reduced.execution_type, reduced.remaining.get()), (ExecutionType::Reduced.wire(), 60));
    assert_eq!(execution(&mut maker).await.execution_type, ExecutionType::Canceled.wire());
    assert!(matches!(next(&mut maker).await, Message::ReplaceResult(result) if result.order_code.get() == 0));
    assert_eq!(execution(&mut maker).await.execution_type, ExecutionType::New.wire());
    assert_eq!(execution(&mut maker).await.execution_type, ExecutionType::Canceled.wire());
    assert!(matches!(next(&mut maker).await, Message::CancelTimerSet(set) if set.cancel_at.get() > now().0));
    drop((maker, taker));
    let directory = exchange.directory.clone();
    let (engine, log) = exchange.end().await;
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 0);
    audit(&directory, &log);
}

#[tokio::test]
async fn a_frame_has_a_result_for_each_operation_and_a_mass_cancel_one_for_each_order() {
    let exchange = Exchange::start().await;
    let mut client = exchange.client(1).await;
    let place = |price, id: &str| FrameOperation::PlaceOrder(limit(Side::Bid, price, 5, id));
    let unknown = CancelOrder { market: MARKET, target: OrderReference::OrderId(OrderId(1)) };
    let amend = AmendOrder::less(MARKET, OrderReference::ClientId(ClientId::new("a").unwrap()), Lots(4));
    let operations =
        [place(100, "a"), place(101, "b"), FrameOperation::CancelOrder(unknown), FrameOperation::AmendOrder(amend)];
    let asked = client.requests().frame(&operations, now());
    client.requests().mass_cancel(None, Some(Side::Bid), now());
    client.flush().await.unwrap();
    assert!(matches!(next(&mut client).await, Message::FrameAccepted(frame)
        if frame.operations == 4 && frame.request_sequence.get() == asked));
    let mut results = Vec::new();
    let mut canceled = 0;
    while canceled < 2 {
        match next(&mut client).await {
            Message::OperationResult(result) => results.push((result.index, result.code.get())),
            Message::ExecutionReport(report) if report.execution_type == ExecutionType::Canceled.wire() => {
                canceled += 1
            }
            Message::ExecutionReport(_) | Message::MassCancelAccepted(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(results, [(0, 0), (1, 0), (2, RejectCode::OrderUnknown as u16), (3, 0)]);
    drop(client);
    let directory = exchange.directory.clone();
    let (engine, log) = exchange.end().await;
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 0);
    audit(&directory, &log);
}

#[tokio::test]
async fn refusals_have_their_codes_and_the_session_goes_on() {
    let exchange = Exchange::start().await;
    let mut client = exchange.client(1).await;
    client.requests().place(&limit(Side::Bid, 0, 5, "zero"), now());
    client.requests().place(&limit(Side::Bid, 10, 5, "same"), now());
    client.requests().place(&limit(Side::Bid, 10, 5, "same"), now());
    client.flush().await.unwrap();
    let rejected = |message, code: RejectCode| match message {
        Message::RequestRejected(rejected) => assert_eq!(rejected.code.get(), code as u16),
        other => panic!("{other:?}"),
    };
    rejected(next(&mut client).await, RejectCode::PriceOutOfRange);
    let live = execution(&mut client).await;
    match next(&mut client).await {
        // The client's id makes it idempotent: the answer names the order that there is.
        Message::RequestRejected(again) => {
            assert_eq!((again.code.get(), again.order_id), (RejectCode::ClientOrderLive as u16, live.order_id));
        }
        other => panic!("{other:?}"),
    }
    let past = common::now().0 - 40_000_000_000;
    let future = common::now().0 + 60_000_000_000;
    for (time, code) in [(past, Code::ValidUntilPassed), (future, Code::ValidUntilTooFar)] {
        let asked = client.requests().place(&limit(Side::Bid, 11, 5, ""), lakh_engine::units::Timestamp(time));
        client.flush().await.unwrap();
        business(next(&mut client).await, asked, code.number());
    }
    drop(client);
    exchange.end().await;
}

#[tokio::test]
async fn quotes_are_set_by_slot_and_replace_what_stood_there() {
    let exchange = Exchange::start().await;
    let mut client = exchange.client(1).await;
    let terms = PlaceOrder { order_type: OrderType::LimitMaker, ..limit(Side::Bid, 1, 1, "") };
    let entry = |bid: u64, ask: u64, slot| QuoteEntry {
        bid_price: bid.into(),
        bid_quantity: 5.into(),
        ask_price: ask.into(),
        ask_quantity: 5.into(),
        slot,
    };
    client.requests().mass_quote(&terms, &[entry(100, 110, 0), entry(90, 120, 1)], now());
    let second = client.requests().mass_quote(&terms, &[entry(101, 110, 0)], now());
    client.flush().await.unwrap();
    let (mut results, mut done) = (Vec::new(), 0);
    while done < 3 {
        match next(&mut client).await {
            Message::QuoteResult(result) => {
                assert_eq!((result.bid_code.get(), result.ask_code.get()), (0, 0));
                results.push((result.slot, result.request_sequence.get() == second, result.ask_order_id.get()));
            }
            Message::OperationResult(result) => {
                assert_eq!(result.code.get(), 0);
                done += 1;
            }
            Message::ExecutionReport(_) | Message::FrameAccepted(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(results.iter().map(|(slot, ..)| *slot).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(results[0].2, results[2].2, "the side that was asked for as it stood keeps its place");
    drop(client);
    let directory = exchange.directory.clone();
    let (engine, log) = exchange.end().await;
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 4);
    audit(&directory, &log);
}

fn business(message: Message, request: u64, code: u16) {
    match message {
        Message::BusinessReject(reject) => {
            assert_eq!((reject.request_sequence.get(), reject.code.get()), (request, code));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nonces_are_used_once_and_bad_signatures_end_the_session() {
    let exchange = Exchange::start().await;
    let (mut client, _) = exchange.client_with(1, &logon()).await;
    client.requests().place(&limit(Side::Bid, 10, 5, "first"), now());
    client.flush().await.unwrap();
    execution(&mut client).await;
    drop(client);
    // The same nonce again, then one that is too high.
    for (first_nonce, code) in [(1, Code::NonceUsed.number()), (1 << 30, RejectCode::NonceTooHigh as u16)] {
        let mut options = logon();
        options.first_nonce = first_nonce;
        options.sender = format!("n{first_nonce}");
        let (mut client, _) = exchange.client_with(1, &options).await;
        let asked = client.requests().place(&limit(Side::Bid, 10, 5, "again"), now());
        client.flush().await.unwrap();
        business(next(&mut client).await, asked, code);
    }
    let mut options = logon();
    options.sender = "forger".to_owned();
    options.first_nonce = 100;
    let (mut client, accepted) = exchange.client_with(1, &options).await;
    let mut foreign = accepted;
    foreign.chain_id = 1.into();
    // Signed for another chain: good bytes, and no signature here.
    client.requests().logged_on(&foreign);
    for _ in 0..3 {
        client.requests().place(&limit(Side::Bid, 10, 5, "forged"), now());
    }
    client.flush().await.unwrap();
    for _ in 0..3 {
        assert!(matches!(next(&mut client).await, Message::BusinessReject(reject)
            if reject.code.get() == Code::BadSignature.number()));
    }
    assert_eq!(ended(&mut client).await, Code::BadSignatures.number());
    exchange.end().await;
}

#[tokio::test]
async fn logons_are_refused_for_a_reason() {
    let exchange = Exchange::start().await;
    let refused =
        async |options, account| match BinaryClient::connect(exchange.address(), &key(account), &options).await {
            Err(BinaryClientError::Ended { code }) => code,
            other => panic!("{other:?}"),
        };
    let mut options = logon();
    options.venue_tag = [9; 16];
    assert_eq!(refused(options, 1).await, Code::WrongVenue.number());
    assert_eq!(refused(logon(), ACCOUNTS + 1).await, Code::UnknownKey.number());
    let mut options = logon();
    options.heartbeat_ms = 1;
    assert_eq!(refused(options, 1).await, Code::BadHeartbeatInterval.number());
    let mut options = logon();
    options.resume_from = Some(1_000);
    assert_eq!(refused(options, 1).await, Code::ResumeAhead.number());
    let mut options = logon();
    options.sender = "soh\u{1}".to_owned();
    assert_eq!(refused(options, 1).await, Code::BadText.number());
    exchange.end().await;
}

#[tokio::test]
async fn a_drop_copy_gets_the_same_reports_and_takes_no_orders() {
    let exchange = Exchange::start().await;
    let mut options = logon();
    options.role = SessionRole::DropCopy;
    options.sender = "drop-copy".to_owned();
    let (mut copy, _) = exchange.client_with(1, &options).await;
    let asked = copy.requests().place(&limit(Side::Bid, 10, 5, ""), now());
    copy.flush().await.unwrap();
    business(next(&mut copy).await, asked, Code::ReadOnlySession.number());
    let mut client = exchange.client(1).await;
    client.requests().place(&limit(Side::Bid, 10, 5, "copied"), now());
    client.flush().await.unwrap();
    let own = execution(&mut client).await;
    let copied = execution(&mut copy).await;
    assert_eq!((own.account_sequence, own.order_id), (copied.account_sequence, copied.order_id));
    assert_eq!(copied.request_sequence.get(), 0, "the request is another session's");
    drop((client, copy));
    exchange.end().await;
}

#[tokio::test]
async fn orders_go_with_the_last_session_that_wants_it() {
    let exchange = Exchange::start().await;
    let mut options = logon();
    options.disconnect = DisconnectChoice::CancelAll;
    options.heartbeat_ms = 500;
    let (mut client, _) = exchange.client_with(1, &options).await;
    let mut watcher_options = logon();
    (watcher_options.role, watcher_options.sender) = (SessionRole::DropCopy, "watcher".to_owned());
    let (mut watcher, _) = exchange.client_with(1, &watcher_options).await;
    client.requests().place(&limit(Side::Bid, 10, 5, "doomed"), now());
    client.flush().await.unwrap();
    assert_eq!(execution(&mut watcher).await.execution_type, ExecutionType::New.wire());
    // The client falls silent without a word: its socket stays open, and nothing more is sent or answered.
    assert!(matches!(next(&mut watcher).await, Message::MassCancelAccepted(_)));
    let report = execution(&mut watcher).await;
    assert_eq!(report.execution_type, ExecutionType::Canceled.wire());
    assert_eq!(ended(&mut client).await, Code::HeartbeatTimeout.number());
    drop(watcher);
    let (engine, log) = exchange.end().await;
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 0);
    assert!(log.iter().any(|(command, _)| matches!(command, Command::SessionEnded { .. })));
}

#[tokio::test]
async fn a_lost_link_is_resumed_without_a_gap() {
    let exchange = Exchange::start().await;
    let (mut client, accepted) = exchange.client_with(1, &logon()).await;
    let from = accepted.last_account_sequence.get();
    for price in 10..20 {
        client.requests().place(&limit(Side::Bid, price, 5, ""), now());
    }
    client.flush().await.unwrap();
    let seen = execution(&mut client).await.account_sequence.get();
    assert_eq!(seen, from + 1);
    let mut options = logon();
    (options.resume_from, options.sender, options.first_nonce) = (Some(seen), "again".to_owned(), 11);
    drop(client);
    let (mut client, accepted) = exchange.client_with(1, &options).await;
    assert_eq!(accepted.resumed_from.get(), seen);
    client.requests().test_request(77, now());
    for expected in seen + 1..=from + 10 {
        assert_eq!(execution(&mut client).await.account_sequence.get(), expected);
    }
    drop(client);
    exchange.end().await;
}

/// The worked example of the document, made again from what it says.
#[test]
fn the_documents_example_is_what_the_code_signs() {
    use ed25519_dalek::{Signer as _, SigningKey};
    use lakh_gateway::auth::native::SigningDomain;
    use lakh_gateway::wire::sbe::orders::NewOrder;
    use lakh_gateway::wire::sbe::{Block as _, HEADER_BYTES, padded, put};

    let mut order = NewOrder {
        sequence_number: 2.into(),
        sending_time: 1_800_000_000_000_000_000.into(),
        account_id: 1.into(),
        nonce: 7.into(),
        valid_until: 1_800_000_030_000_000_000.into(),
        market_id: 0.into(),
        side: 0,
        order_type: 0,
        time_in_force: 0,
        self_trade_mode: 2,
        price: 5_000_000.into(),
        quantity: 1_000.into(),
        trigger_price: 0.into(),
        display_quantity: 0.into(),
        quote_budget: 0.into(),
        expires_at: 0.into(),
        client_order_id: padded(b"quote-1"),
        signature: [0; 64],
    };
    let mut frame = Vec::new();
    put(&mut frame, &order);
    let domain = SigningDomain::of_logon(31_337, [0x42; 20]);
    let body = &frame[HEADER_BYTES + 16..frame.len() - 64];
    let digest = domain.digest(NewOrder::TEMPLATE, body, &[]);
    order.signature = SigningKey::from_bytes(&common::SEED).sign(&digest).to_bytes();
    let mut frame = Vec::new();
    put(&mut frame, &order);
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/binary_protocol.md")).unwrap();
    let document: String = document.split_whitespace().collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for bytes in [body, &digest[..], &order.signature[..], &frame[..]] {
        assert!(document.contains(&hex(bytes)), "{}", hex(bytes));
    }
    for code in Code::ALL {
        assert!(document.contains(&format!("|{}|{}|", code.number(), code.name())), "{}", code.name());
    }
}
