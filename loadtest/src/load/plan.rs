//! Makes and signs all requests ahead of time, on all processors.
//!
//! A request's timestamp is its intended send time, so the start has to be known before the first signature: the
//! caller guesses it from the measured speed and signs again when the guess was too short.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::client::{Trader, Value, plain_request, signed_request};
use crate::load::{LoadOptions, Schedule};
use crate::market_text::side_text;
use crate::workload::{LoadOrder, Workload};

/// What kind of answer a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The answer says nothing of fills.
    Plain,
    /// The answer says how much was executed.
    Take,
}

/// All that one connection will send.
#[derive(Debug, Default)]
pub(crate) struct ConnectionPlan {
    /// JSON texts; request `i` has id `i`.
    pub(crate) frames: Vec<Utf8Bytes>,
    pub(crate) kinds: Vec<RequestKind>,
    /// A read that travels behind them all: its answer says that no other is still under way. Its id is their number.
    pub(crate) barrier: Utf8Bytes,
}

/// Signs the first `limit` requests of each connection, stamped for a start at `start_us` since the Unix epoch.
pub(crate) fn sign_all(options: &LoadOptions, traders: &[Trader], start_us: u64, limit: u64) -> Vec<ConnectionPlan> {
    let connections = options.connections as usize;
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(connections);
    let next = AtomicUsize::new(0);
    let mut plans: Vec<(usize, ConnectionPlan)> = std::thread::scope(|scope| {
        let work = || {
            let mut made = Vec::new();
            loop {
                let connection = next.fetch_add(1, Ordering::Relaxed);
                if connection >= connections {
                    return made;
                }
                made.push((connection, sign_connection(options, traders, connection, (start_us, limit))));
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, _>| handle.join().expect("signing does not panic");
        handles.into_iter().flat_map(join).collect()
    });
    plans.sort_unstable_by_key(|(connection, _)| *connection);
    plans.into_iter().map(|(_, plan)| plan).collect()
}

fn sign_connection(
    options: &LoadOptions,
    traders: &[Trader],
    connection: usize,
    (start_us, limit): (u64, u64),
) -> ConnectionPlan {
    let (position, connections) = (connection as u64, u64::from(options.connections));
    // The first connections take what does not divide evenly.
    let share = options.requests / connections + u64::from(position < options.requests % connections);
    let schedule = Schedule::new(options);
    let mut own: Vec<(usize, Workload)> = (connection..traders.len())
        .step_by(options.connections as usize)
        .map(|key| (key, Workload::new(&options.workload, options.seed, key as u64)))
        .collect();
    let mut plan = ConnectionPlan::default();
    for (index, turn) in (0..share.min(limit)).zip((0..own.len()).cycle()) {
        let (key, workload) = &mut own[turn];
        let due = u64::try_from(schedule.due(position, index).as_micros()).expect("at most MAX_REQUESTS seconds");
        let request = RequestText { options, key: *key, trader: &traders[*key], id: index, timestamp: start_us + due };
        let order = workload.next_order();
        plan.frames.push(Utf8Bytes::from(request.json(&order)));
        plan.kinds.push(if matches!(order, LoadOrder::Take { .. }) { RequestKind::Take } else { RequestKind::Plain });
    }
    let params = [("symbol", Value::Text(&options.market.symbol)), ("limit", Value::Number(5))];
    plan.barrier = Utf8Bytes::from(plain_request(plan.frames.len() as u64, "depth", &params));
    plan
}

/// What a request's text is made of besides the order.
struct RequestText<'a> {
    options: &'a LoadOptions,
    key: usize,
    trader: &'a Trader,
    id: u64,
    timestamp: u64,
}

impl RequestText<'_> {
    fn json(&self, order: &LoadOrder) -> String {
        let market = &self.options.market;
        let mut params = vec![
            ("recvWindow", Value::Number(u64::from(self.options.receive_window_ms))),
            // Nobody reads them here, and they would be half of each answer.
            ("returnRateLimits", Value::Text("false")),
            ("symbol", Value::Text(&market.symbol)),
            ("timestamp", Value::Number(self.timestamp)),
        ];
        let (number, placed) = match *order {
            LoadOrder::Add { number, side, price, quantity } => (number, Some((side, price, quantity, "GTC", "ACK"))),
            LoadOrder::Take { number, side, price, quantity } => {
                (number, Some((side, price, quantity, "IOC", "RESULT")))
            }
            LoadOrder::Cancel { number } => (number, None),
        };
        let client_id = format!("{}-{:x}-{number:x}", self.options.run, self.key);
        let Some((side, price, quantity, time_in_force, response)) = placed else {
            params.push(("origClientOrderId", Value::Text(&client_id)));
            return signed_request(self.id, "order.cancel", self.trader, &params);
        };
        let (price, quantity) = (market.price(price), market.quantity(quantity));
        params.extend([
            ("newClientOrderId", Value::Text(&client_id)),
            ("newOrderRespType", Value::Text(response)),
            ("price", Value::Text(&price)),
            ("quantity", Value::Text(&quantity)),
            ("side", Value::Text(side_text(side))),
            ("timeInForce", Value::Text(time_in_force)),
            ("type", Value::Text("LIMIT")),
        ]);
        signed_request(self.id, "order.place", self.trader, &params)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::market_text::MarketText;

    fn options() -> LoadOptions {
        let mut options = LoadOptions::new("ws://127.0.0.1:1", MarketText::cents_and_units("UNITCASH"));
        options.requests = 203;
        options.connections = 4;
        options
    }

    #[test]
    fn plans_are_the_same_again_and_hold_every_request_once() {
        let traders = Trader::from_seed(9, 6, None);
        let texts = |plans: &[ConnectionPlan]| -> Vec<String> {
            plans.iter().flat_map(|plan| plan.frames.iter().map(|frame| frame.as_str().to_owned())).collect()
        };
        let plans = sign_all(&options(), &traders, 1_700_000_000_000_000, u64::MAX);
        let first = texts(&plans);
        assert_eq!(first, texts(&sign_all(&options(), &traders, 1_700_000_000_000_000, u64::MAX)));
        assert_eq!(plans.iter().map(|plan| plan.frames.len()).collect::<Vec<_>>(), [51, 51, 51, 50]);
        assert_eq!(texts(&sign_all(&options(), &traders, 1, 10)).len(), 40);
        let mut keys = HashSet::new();
        let mut placed = HashSet::new();
        for (plan, text) in plans.iter().flat_map(|plan| plan.frames.iter().map(move |frame| (plan, frame))) {
            let value: serde_json::Value = serde_json::from_str(text).expect("good JSON");
            assert!(value["id"].as_u64().unwrap() < plan.frames.len() as u64);
            keys.insert(value["params"]["apiKey"].as_str().unwrap().to_owned());
            if let Some(client_id) = value["params"]["newClientOrderId"].as_str() {
                assert!(client_id.len() <= 36 && placed.insert(client_id.to_owned()), "{client_id} twice");
            } else {
                assert!(placed.contains(value["params"]["origClientOrderId"].as_str().unwrap()));
            }
        }
        assert_eq!(keys.len(), traders.len(), "every key signs");
    }

    #[test]
    fn timestamps_are_the_intended_send_times() {
        let traders = Trader::from_seed(9, 4, None);
        let plans = sign_all(&options(), &traders, 1_000_000, u64::MAX);
        // 10,000 a second over 4 connections: connection 1 is due at 100 µs and each 400 µs after that.
        for (frame, expected) in plans[1].frames.iter().zip([1_000_100, 1_000_500, 1_000_900]) {
            let value: serde_json::Value = serde_json::from_str(frame).expect("good JSON");
            assert_eq!(value["params"]["timestamp"], expected);
        }
    }
}
