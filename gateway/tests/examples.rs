//! The example of the reference client does what it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;
#[path = "../examples/quote_both_sides.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own, and here a module")]
mod quote_both_sides;

use common::exchange::{BINDING, Exchange, MARKET, key};
use common::now;
use lakh_engine::command::{Command, Operation, OrderType, PlaceOrder, Side, SignedCommand};
use lakh_engine::ids::AccountId;
use lakh_engine::units::{Lots, Ticks};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_market_maker_quotes_both_sides_follows_the_middle_and_leaves_nothing() {
    let exchange = Exchange::start().await;
    // What others bid and offer; the middle moves while the example runs.
    let mut others = exchange.client(2).await;
    let order = |side, price| PlaceOrder::limit(MARKET, side, Ticks(price), Lots(5));
    others.requests().place(&order(Side::Bid, 9_000), now());
    others.requests().place(&order(Side::Ask, 11_000), now());
    others.flush().await.unwrap();
    let arguments =
        [exchange.address().to_string(), hex(&BINDING.venue_tag()), hex(&key(1).to_bytes()), "2".to_owned()];
    let moving = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        // Better than the example's own bid, or it would see no other middle.
        others.requests().place(&order(Side::Bid, 10_100), now());
        others.flush().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(quote_both_sides::run(&arguments), moving);
    outcome.unwrap();
    drop(others);
    let (engine, log) = exchange.end().await;
    let placed: Vec<(Side, u64)> = log
        .iter()
        .filter_map(|(command, _)| match command {
            Command::Signed(SignedCommand {
                account: AccountId(1), operation: Operation::PlaceOrder(order), ..
            }) => {
                assert_eq!(order.order_type, OrderType::LimitMaker);
                Some((order.side, order.price.0))
            }
            _ => None,
        })
        .collect();
    // Around 10,000, and anew around the new middle: its own quotes move it nowhere.
    assert_eq!(placed.len(), 4, "{:?}", &placed[..placed.len().min(8)]);
    assert_eq!(placed, [(Side::Bid, 9_800), (Side::Ask, 10_200), (Side::Bid, 10_350), (Side::Ask, 10_750)]);
    assert_eq!(engine.book(MARKET).unwrap().order_count(), 3, "its own orders are gone with it");
}

#[test]
fn the_example_is_one_page() {
    let lines = include_str!("../examples/quote_both_sides.rs").lines().count();
    assert!(lines < 100, "{lines} lines");
}
