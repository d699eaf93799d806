//! The engine against conformance workloads: cases of our own, a workload of our own beside a naive model, and, where
//! the folder `../shared` is, the public edge cases and the shorter public workloads.
#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use lakh_loadtest::flow::conformance::exchange::Exchange;
use lakh_loadtest::flow::conformance::format::{Message, Request, Rest, encode};
use lakh_loadtest::flow::conformance::reports::{OrderIds, lower_hex};
use lakh_loadtest::flow::conformance::{Authority, HashOptions, hash_bytes, hash_workload, known_hash};
use lakh_loadtest::flow::format::FlowBounds;
use lakh_loadtest::random::SplitMix64;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The public data, where it is; says that the test is skipped where it is not.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/conformance").join(name);
    let exists = path.exists();
    if !exists {
        println!("skipped: there is no ../shared/data/conformance/{name}");
    }
    exists.then_some(path)
}

fn message(index: usize, value: &Value) -> Message {
    let field = |name: &str| value[name].as_u64().unwrap();
    let side = if field("side") == 0 { Side::Bid } else { Side::Ask };
    let (price, quantity) = (Ticks(field("price")), Lots(field("qty")));
    let rest = if field("ioc") == 0 { Rest::Stays } else { Rest::Canceled };
    let request = match field("type") {
        0 => Request::New { side, rest, price, quantity },
        1 => Request::Cancel,
        2 => Request::Modify { side, price, quantity },
        other => panic!("type {other}"),
    };
    Message { number: index as u64, order: field("order_id"), request }
}

/// Carries out one case message by message and compares reports and best prices after each of them.
fn check_case(name: &str, case: &Value) {
    let bounds = FlowBounds { commands: 0, max_price: Ticks(1_000_000), max_quantity: Lots(1_000_000) };
    let mut exchange = Exchange::new(&bounds).unwrap();
    let (mut ids, mut reports) = (OrderIds::default(), Vec::new());
    let messages = case["messages"].as_array().unwrap();
    for (index, value) in messages.iter().enumerate() {
        let mut noted = Vec::new();
        exchange.carry_out(&message(index, value), &mut noted).unwrap();
        reports.extend(noted.iter().filter_map(|noted| ids.report(noted).unwrap()).map(|report| report.to_string()));
        let (bid, ask) = exchange.best_prices();
        let best = serde_json::json!([bid.map(Ticks::raw), ask.map(Ticks::raw)]);
        assert_eq!(best, case["bbo_after"][index], "{name}, best prices after message {index}");
    }
    assert_eq!(serde_json::json!(reports), case["reports"], "{name}");
    if let Some(hash) = case["sha256"].as_str() {
        assert_eq!(lower_hex(&Sha256::digest(reports.join("\n"))), hash, "{name}");
    }
}

fn check_cases(path: &Path) -> usize {
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = document["cases"].as_object().unwrap();
    for (name, case) in cases {
        check_case(name, case);
    }
    cases.len()
}

#[test]
fn own_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance_cases.json");
    assert_eq!(check_cases(&path), 14);
}

#[test]
fn public_edge_cases() {
    let Some(path) = shared("edge_cases.json") else { return };
    assert_eq!(check_cases(&path), 34);
}

#[test]
fn shorter_public_workloads() {
    for scenario in ["normal", "flash-crash", "static"] {
        let Some(path) = shared(&format!("orders_{scenario}_s23_n100000.bin.zst")) else { continue };
        let report = hash_workload(&path, &HashOptions::default()).unwrap();
        assert!(report.passed() && report.expected.is_some(), "{scenario}: {report}");
        assert_eq!(report.messages.total(), 199_833, "{scenario}");
        println!("{scenario}: {report}");
    }
}

#[test]
fn a_hash_is_known_by_the_files_whole_name() {
    let known = |name: &str| known_hash(Path::new(name)).map(|(authority, hash)| (authority, &hash[..8]));
    assert_eq!(known("a/orders_normal_s23.bin.zst"), Some((Authority::Published, "e9b2e392")));
    assert_eq!(known("orders_static_s23_n100000.bin.zst"), Some((Authority::NaiveModel, "b91bcf37")));
    assert_eq!(known("orders_normal_s24.bin.zst"), None);
    assert_eq!(known("normal_s23.bin.zst"), None);
    assert_eq!(known(""), None);
}

/// An order of the naive model; the model's list is in order of arrival.
#[derive(Clone, Copy)]
struct Naive {
    id: u64,
    side: Side,
    price: u64,
    quantity: u64,
}

/// Price-time priority by looking at every order every time: nothing in it can be wrong that is not plain to see.
#[derive(Default)]
struct NaiveBook {
    orders: Vec<Naive>,
    text: String,
}

impl NaiveBook {
    fn line(&mut self, line: &str) {
        let separator = if self.text.is_empty() { "" } else { "\n" };
        write!(self.text, "{separator}{line}").unwrap();
    }

    /// The order that trades next with a taker: of the best price the first that came.
    fn next_maker(&self, side: Side, limit: u64) -> Option<usize> {
        let reached = |order: &Naive| {
            order.side != side && if side == Side::Bid { order.price <= limit } else { order.price >= limit }
        };
        let candidates = self.orders.iter().enumerate().filter(|(_, order)| reached(order));
        let worse = |price: u64| if side == Side::Bid { price } else { u64::MAX - price };
        candidates.min_by_key(|(arrival, order)| (worse(order.price), *arrival)).map(|(index, _)| index)
    }

    fn place(&mut self, number: u64, mut taker: Naive, rest: Rest) {
        while taker.quantity > 0 {
            let Some(index) = self.next_maker(taker.side, taker.price) else { break };
            let maker = self.orders[index];
            let quantity = taker.quantity.min(maker.quantity);
            taker.quantity -= quantity;
            self.orders[index].quantity -= quantity;
            self.line(&format!("1,{number},{},{quantity},{},{}", maker.price, maker.id, taker.id));
            if self.orders[index].quantity == 0 {
                self.orders.remove(index);
            }
        }
        match rest {
            _ if taker.quantity == 0 => {}
            Rest::Stays => self.orders.push(taker),
            Rest::Canceled => self.line(&format!("2,{number},{},{},{}", taker.side as u8, taker.id, taker.price)),
        }
    }

    fn carry_out(&mut self, message: &Message) {
        let Message { number, order: id, request } = *message;
        let live = self.orders.iter().position(|order| order.id == id);
        match (request, live) {
            (Request::New { side, rest, price, quantity }, _) => {
                let (price, quantity) = (price.raw(), quantity.raw());
                self.line(&format!("0,{number},{},{id},{price},{quantity}", side as u8));
                self.place(number, Naive { id, side, price, quantity }, rest);
            }
            (Request::Cancel, None) => self.line(&format!("4,{number},{id}")),
            (Request::Cancel, Some(index)) => {
                let Naive { side, price, .. } = self.orders.remove(index);
                self.line(&format!("2,{number},{},{id},{price}", side as u8));
            }
            (Request::Modify { .. }, None) => self.line(&format!("5,{number},{id}")),
            (Request::Modify { side, price, quantity }, Some(index)) => {
                let (price, quantity) = (price.raw(), quantity.raw());
                self.orders.remove(index);
                self.place(number, Naive { id, side, price, quantity }, Rest::Stays);
                self.line(&format!("3,{number},{},{id},{price},{quantity}", side as u8));
            }
        }
    }
}

/// New orders, cancels and modifications around a price that walks; ids are live, gone or never were.
fn workload(seed: u64, length: u64) -> Vec<Message> {
    let mut random = SplitMix64::new(seed);
    let (mut middle, mut next_id) = (10_000, 1);
    let mut messages = Vec::new();
    for number in 0..length {
        middle = middle + random.below(3) - 1;
        let side = if random.below(2) == 0 { Side::Bid } else { Side::Ask };
        let away = random.below(24);
        let price = Ticks(if side == Side::Bid { middle + 4 - away } else { middle + away - 4 });
        let quantity = Lots(1 + random.below(100));
        let earlier = random.below(next_id + 1).max(next_id.saturating_sub(random.below(400)));
        let (order, request) = match random.below(100) {
            0..50 => (next_id, Request::New { side, rest: Rest::Stays, price, quantity }),
            50..58 => (next_id, Request::New { side, rest: Rest::Canceled, price, quantity }),
            58..85 => (earlier, Request::Cancel),
            _ => (earlier, Request::Modify { side, price, quantity }),
        };
        next_id += u64::from(matches!(request, Request::New { .. }));
        messages.push(Message { number, order, request });
    }
    messages
}

#[test]
fn own_workload_beside_a_naive_model() {
    for seed in [23, 0x1a4b] {
        let messages = workload(seed, 20_000);
        let mut naive = NaiveBook::default();
        for message in &messages {
            naive.carry_out(message);
        }
        let report = hash_bytes(&encode(&messages)).unwrap();
        assert_eq!(report.sha256, lower_hex(&Sha256::digest(&naive.text)), "seed {seed}: {report}");
        assert_eq!(report.resting_orders, naive.orders.len() as u64, "seed {seed}");
        assert!(report.trades > 1_000 && report.rejects > 1_000 && report.resting_orders > 50, "seed {seed}: {report}");
    }
}

#[test]
fn an_order_that_sweeps_more_than_one_command_may_is_one_order() {
    let makers = 2_500;
    let new = |number, side, rest, quantity| Message {
        number,
        order: number + 1,
        request: Request::New { side, rest, price: Ticks(7), quantity: Lots(quantity) },
    };
    let mut messages: Vec<Message> = (0..makers).map(|number| new(number, Side::Ask, Rest::Stays, 1)).collect();
    messages.push(new(makers, Side::Bid, Rest::Stays, makers + 3));
    messages.push(new(makers + 1, Side::Ask, Rest::Canceled, 5));
    let mut naive = NaiveBook::default();
    messages.iter().for_each(|message| naive.carry_out(message));
    let report = hash_bytes(&encode(&messages)).unwrap();
    assert_eq!(report.sha256, lower_hex(&Sha256::digest(&naive.text)), "{report}");
    assert_eq!((report.trades, report.continuations, report.resting_orders), (makers + 1, 2, 0));
}

#[test]
fn an_order_that_the_engine_refuses_is_an_error_with_its_message() {
    let new = Request::New { side: Side::Bid, rest: Rest::Stays, price: Ticks(5), quantity: Lots(1) };
    let twice = [Message { number: 0, order: 1, request: new }, Message { number: 1, order: 1, request: new }];
    let error = hash_bytes(&encode(&twice)).unwrap_err().to_string();
    assert!(error.starts_with("the engine refused message 1: "), "{error}");
}
