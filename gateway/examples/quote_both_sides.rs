//! A market maker in one page: quotes both sides of a market around what others bid and offer, and takes everything off
//! when its link is gone.
//!
//! `lakh dev` in one terminal; in another, with the venue tag (the first 32 digits of the api key) and secret that it prints:
//! `cargo run --release -p lakh-gateway --example quote_both_sides -- 127.0.0.1:9083 TAG SECRET 10`
//! Each quote is its own signed order; the last argument is for how many seconds.
#![allow(clippy::print_stdout, reason = "it is what an example does")]

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use lakh_engine::command::{OrderType, PlaceOrder, Side};
use lakh_engine::ids::MarketId;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{BinaryClient, LogonOptions, Message, PublicBook, now};
use lakh_gateway::wire::sbe::enums::{Channel, DisconnectChoice};

const MARKET: MarketId = MarketId(0);
const QUANTITY: Lots = Lots(1_000);
/// Ticks from the middle to each quote.
const HALF_SPREAD: u64 = 200;

/// Bytes from hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], Box<dyn std::error::Error>> {
    let bytes: Result<Vec<u8>, _> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16)).collect();
    Ok(bytes?.try_into().map_err(|_| format!("{} hexadecimal digits are wanted", 2 * N))?)
}

/// The middle between the best bid and the best offer of others. The feed names nobody, so what stands at the prices of
/// its own quotes is passed over: who follows himself never comes to rest.
fn middle(book: &PublicBook, own: &[PlaceOrder]) -> Option<u64> {
    let orders = book.sorted();
    let best = |wanted: Side| {
        let is_own = |price| own.iter().any(|quote| (quote.side, quote.price.0) == (wanted, price));
        orders.iter().find(|(_, side, price, _)| *side == wanted as u8 && !is_own(*price)).map(|order| order.2)
    };
    Some(best(Side::Bid)?.midpoint(best(Side::Ask)?))
}

fn quote(side: Side, middle: u64) -> PlaceOrder {
    let price = match side {
        Side::Bid => middle.saturating_sub(HALF_SPREAD),
        Side::Ask => middle + HALF_SPREAD,
    };
    PlaceOrder { order_type: OrderType::LimitMaker, ..PlaceOrder::limit(MARKET, side, Ticks(price), QUANTITY) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments).await
}

/// Quotes until the time is over.
pub(crate) async fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [address, tag, secret, seconds] = arguments else { return Err("ADDRESS TAG SECRET SECONDS".into()) };
    let mut options = LogonOptions::new(hex(tag)?);
    options.disconnect = DisconnectChoice::CancelAll;
    // Nonces rise with the clock's seconds, so that a run never uses one of the last.
    options.first_nonce = now().0 / 1_000_000_000 % (1 << 19) + 1;
    let (mut client, accepted) =
        BinaryClient::connect(address.parse()?, &SigningKey::from_bytes(&hex(secret)?), &options).await?;
    println!("logged on, account {}", accepted.account_id);
    client.requests().subscribe(MARKET, Channel::Orders, None, now());
    client.flush().await?;
    let (mut book, mut quoted, mut own) = (PublicBook::default(), None, Vec::new());
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    while Instant::now() < end {
        let Ok(message) = tokio::time::timeout(Duration::from_millis(200), client.next()).await else { continue };
        match message? {
            Message::ExecutionReport(report) => println!(
                "order {} {:?}: {} of {} left at {}",
                report.order_id, report.execution_type, report.remaining, report.quantity, report.price
            ),
            Message::RequestRejected(rejected) => println!("refused: {}", rejected.code),
            message => book.apply(&message)?,
        }
        // Requoted when the middle has moved: everything off, then both sides anew, in one write.
        let moved = |middle: &u64| quoted.is_none_or(|last: u64| last.abs_diff(*middle) > 50);
        if let Some(middle) = middle(&book, &own).filter(moved) {
            quoted = Some(middle);
            // The last ones stand in the book until the feed has told that they are gone.
            own.drain(..own.len().saturating_sub(2));
            own.extend([Side::Bid, Side::Ask].map(|side| quote(side, middle)));
            client.requests().mass_cancel(Some(MARKET), None, now());
            for order in &own[own.len() - 2..] {
                client.requests().place(order, now());
            }
            client.flush().await?;
        }
    }
    client.requests().log_out(now());
    client.flush().await?;
    Ok(())
}
