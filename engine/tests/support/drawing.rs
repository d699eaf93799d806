//! Books drawn as `bid | price | ask`, and events told in a trader's words.
//!
//! A row is a price, the best ask's row above the best bid's; at each price the orders stand in the order in which they
//! will trade, each as quantity and owner: `4a 1b | 100 |` is 4 lots of trader 1 in front of 1 lot of trader 2.

use lakh_engine::BookView;
use lakh_engine::command::Side;
use lakh_engine::event::Event;
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

use super::BTCUSD;
use super::venue::Venue;

/// Asserts that the first market's book looks like the drawing; an empty drawing is an empty book.
pub(crate) fn check(venue: &Venue, drawing: &str) {
    let expected: Vec<String> = drawing.lines().filter(|line| !line.trim().is_empty()).map(normalised).collect();
    let book = venue.engine.book(BTCUSD).expect("the first market is there");
    assert_eq!(drawn(&book), expected, "\nthe book is\n{}\n", drawn(&book).join("\n"));
}

/// A drawing's row without the spaces that only line it up.
fn normalised(line: &str) -> String {
    let cells: Vec<String> =
        line.split('|').map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    cells.join(" | ")
}

/// The book as rows.
pub(crate) fn drawn(book: &BookView<'_>) -> Vec<String> {
    let side_rows = |side: Side| -> Vec<String> {
        let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
        for order in book.orders(side) {
            let text = format!("{}{}", order.remaining, letter(order.account));
            match rows.last_mut() {
                Some((price, orders)) if *price == order.price.0 => orders.push(text),
                _ => rows.push((order.price.0, vec![text])),
            }
        }
        let row = |(price, orders): (u64, Vec<String>)| match side {
            Side::Bid => format!("{} | {price} | ", orders.join(" ")),
            Side::Ask => format!(" | {price} | {}", orders.join(" ")),
        };
        rows.into_iter().map(row).collect()
    };
    let mut rows = side_rows(Side::Ask);
    rows.reverse();
    rows.extend(side_rows(Side::Bid));
    rows
}

/// A trader's letter: `a` for account 1.
fn letter(account: AccountId) -> char {
    char::from(b'a' - 1 + u8::try_from(account.0).expect("drawings have few traders"))
}

/// Seconds after the venue's start.
fn seconds(at: Timestamp) -> u64 {
    (at.0 - super::venue::START.0) / super::venue::SECOND
}

/// What happened, in a trader's words, without the balances.
pub(crate) fn told(events: &[Event]) -> String {
    events.iter().filter_map(sentence).collect::<Vec<_>>().join(", ")
}

fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::BalanceChanged { .. } => return None,
        Event::Rejected(rejected) => format!("rejected {:?}", rejected.code),
        Event::Duplicate(duplicate) => match duplicate.rejected {
            None => format!("duplicate of {}", duplicate.original),
            Some(code) => format!("duplicate of {} {code:?}", duplicate.original),
        },
        Event::OrderAccepted(_) => "accepted".to_owned(),
        Event::Trade(trade) => {
            format!("trade {} @ {} with {}", trade.quantity, trade.price, letter(trade.maker.account))
        }
        Event::OrderRested(rested) => format!("rests {}", rested.remaining),
        Event::OrderCanceled(canceled) => {
            format!("canceled {}{} {:?}", canceled.remaining, letter(canceled.account), canceled.reason)
        }
        Event::OrderReduced(reduced) => format!("reduced to {}", reduced.remaining),
        Event::CancelAllAccepted { .. } => "mass cancel".to_owned(),
        Event::AgendaProgress { canceled, finished, .. } => format!("progress {canceled} {finished:?}"),
        Event::KeyActivated { key } => format!("key {key} live"),
        Event::KeyEnded { key, cause } => format!("key {key} {cause:?}"),
        Event::LoggedOn { .. } => "logged on".to_owned(),
        Event::DepositCredited { amount, .. } => format!("deposit {amount}"),
        Event::Withdrawn { amount, .. } => format!("withdrawal {amount}"),
        Event::AccountOpened { account, .. } => format!("account {account}"),
        Event::DepositReturned { amount, code, .. } => format!("returned {amount} {code:?}"),
        Event::ChainEntryConsumed { queue_id, refused: None } => format!("entry {queue_id}"),
        Event::ChainEntryConsumed { queue_id, refused: Some(code) } => format!("entry {queue_id} refused {code:?}"),
        Event::BatchSealed { batch_id, first_sequence, last_sequence, .. } => {
            format!("batch {batch_id} of {first_sequence} to {last_sequence}")
        }
        Event::EpochStarted { epoch } => format!("epoch {epoch}"),
        Event::MarketStateChanged { state, .. } => format!("state {state:?}"),
        Event::FeesChanged { .. } => "fees".to_owned(),
        Event::FeesAnnounced { from, .. } => format!("fees from {}", seconds(*from)),
        Event::FeeTierChanged { account, tier } => format!("{} in tier {tier}", letter(*account)),
        Event::FeeTierAnnounced { account, tier, from } => {
            format!("{} in tier {tier} from {}", letter(*account), seconds(*from))
        }
        Event::SubAccountOpened { account, parent } => format!("{} under {}", letter(*account), letter(*parent)),
        Event::Transferred(moved) => format!("{} from {} to {}", moved.amount, letter(moved.from), letter(moved.to)),
        Event::KeyLimited { key, .. } => format!("key {key} limited"),
        Event::EvidenceAllowed { allowance, .. } => format!("allowed {:?}", allowance.grade),
        Event::QuoteSet(quote) => match (quote.bid_refused, quote.ask_refused) {
            (None, None) => format!("quote {}", quote.slot),
            (bid, ask) => format!("quote {} refused {bid:?} {ask:?}", quote.slot),
        },
        Event::Quarantined { sequence } => format!("quarantined {sequence}"),
        Event::ReplaceAnswered { cancel_refused, order_refused, .. } => match (cancel_refused, order_refused) {
            (None, None) => "replaced".to_owned(),
            (Some(code), _) => format!("replaced but {code:?}"),
            (None, Some(code)) => format!("not replaced {code:?}"),
        },
        Event::CancelAllTimerSet { at, .. } => if at.is_zero() { "timer off" } else { "timer" }.to_owned(),
        Event::PriceBandChanged { band, .. } => format!("band {band}"),
        Event::RestartModeChanged { mode, .. } => format!("restart {mode:?}"),
        Event::KeyNarrowed { key, .. } => format!("key {key} narrowed"),
        Event::AccountBlockChanged { account, block } => format!("{} {block:?}", letter(*account)),
        Event::DisconnectModeChanged { account, mode } => format!("{} {mode:?}", letter(*account)),
        Event::FrameAccepted { operations, .. } => format!("frame of {operations}"),
        Event::OperationDone { index, refused: None, .. } => format!("{index} done"),
        Event::OperationDone { index, refused: Some(code), .. } => format!("{index} refused {code:?}"),
        Event::OrderTriggered { account, last_price, .. } => format!("{} triggered at {last_price}", letter(*account)),
        Event::SelfTradeGroupChanged { account, group } => format!("{} in group {group}", letter(*account)),
        Event::SelfTradeGroupInvited { account, invited } => {
            format!("{} invited by {}", letter(*invited), letter(*account))
        }
        Event::AccountPolicyChanged { .. } => "policy".to_owned(),
        Event::AssetListed(_) | Event::MarketListed(_) => "listed".to_owned(),
        Event::KeyRegistered { key, .. } => format!("key {key} registered"),
    })
}
