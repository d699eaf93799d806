//! Requests of one WebSocket connection: signed JSON in frames that are masked ahead of time.
//!
//! A frame of a client has to be masked; doing so when it is made leaves nothing to do when it is due.

use crate::client::{Trader, Value, plain_request, signed_request};
use crate::market_text::{MarketText, side_text};
use crate::random::SplitMix64;
use crate::workload::{LoadOrder, LoadedOrder};

/// Shortest payload whose length has 16 bits.
const LENGTH_16: usize = 126;
/// Shortest payload whose length has 64.
const LENGTH_64: usize = 1 << 16;
/// First byte of a text frame that is whole.
const WHOLE_TEXT: u8 = 0x81;
/// In the second byte: the payload is masked.
const MASKED: u8 = 0x80;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebSocketRequests {
    /// Number and key of each trader of the connection, in their turn.
    pub(crate) traders: Vec<(usize, Trader)>,
    /// By market.
    pub(crate) markets: Vec<MarketText>,
    /// In front of every client id.
    pub(crate) run: String,
    pub(crate) receive_window_ms: u32,
    pub(crate) masks: SplitMix64,
}

impl WebSocketRequests {
    /// Appends the frame of request `index`, which is due at `due_ns` since the Unix epoch, by the trader whose turn it is.
    pub(crate) fn write(&mut self, turn: usize, order: &LoadOrder, (index, due_ns): (u64, u64), out: &mut Vec<u8>) {
        let json = self.json(turn, order, (index, due_ns / 1_000));
        push_frame(json.as_bytes(), self.masks.next_u64(), out);
    }

    fn json(&self, turn: usize, order: &LoadOrder, (id, timestamp_us): (u64, u64)) -> String {
        let asked = Asked { writer: self, turn, id, timestamp_us };
        match order {
            LoadOrder::Add(order) => asked.place(order, None, ("LIMIT", Some("GTC"), "ACK")),
            LoadOrder::Cross(order) => asked.place(order, None, ("LIMIT", Some("GTC"), "FULL")),
            LoadOrder::Take(order) => asked.place(order, None, ("LIMIT", Some("IOC"), "FULL")),
            LoadOrder::PostOnly(order) | LoadOrder::Maker(order) => {
                asked.place(order, None, ("LIMIT_MAKER", None, "ACK"))
            }
            LoadOrder::Replace { old, new } => asked.place(new, Some(old), ("LIMIT", Some("GTC"), "ACK")),
            LoadOrder::Cancel(order) => asked.about("order.cancel", order, None),
            LoadOrder::Reduce { order, .. } => {
                let quantity = asked.market(order).quantity(order.quantity);
                asked.about("order.amend.keepPriority", order, Some(&quantity))
            }
        }
    }
}

/// Type, time in force and the answer that is asked for, in the API's words.
type Terms = (&'static str, Option<&'static str>, &'static str);

/// What a request's text is made of besides the order.
struct Asked<'a> {
    writer: &'a WebSocketRequests,
    turn: usize,
    id: u64,
    timestamp_us: u64,
}

impl Asked<'_> {
    fn market(&self, order: &LoadedOrder) -> &MarketText {
        &self.writer.markets[usize::from(order.market)]
    }

    fn client_id(&self, order: &LoadedOrder) -> String {
        format!("{}-{:x}-{:x}", self.writer.run, self.writer.traders[self.turn].0, order.number)
    }

    fn signed<'b>(&'b self, method: &str, order: &LoadedOrder, mut params: Vec<(&'b str, Value<'b>)>) -> String {
        params.extend([
            ("recvWindow", Value::Number(u64::from(self.writer.receive_window_ms))),
            // Nobody reads them here, and they would be half of each answer.
            ("returnRateLimits", Value::Text("false")),
            ("timestamp", Value::Number(self.timestamp_us)),
        ]);
        params.push(("symbol", Value::Text(&self.market(order).symbol)));
        signed_request(self.id, method, &self.writer.traders[self.turn].1, &params)
    }

    fn place(&self, order: &LoadedOrder, old: Option<&LoadedOrder>, terms: Terms) -> String {
        let (order_type, time_in_force, response) = terms;
        let (client_id, old_id) = (self.client_id(order), old.map(|old| self.client_id(old)));
        let market = self.market(order);
        let (price, quantity) = (market.price(order.price), market.quantity(order.quantity));
        let mut params = vec![
            ("newClientOrderId", Value::Text(&client_id)),
            ("newOrderRespType", Value::Text(response)),
            ("price", Value::Text(&price)),
            ("quantity", Value::Text(&quantity)),
            ("selfTradePreventionMode", Value::Text("NONE")),
            ("side", Value::Text(side_text(order.side))),
            ("type", Value::Text(order_type)),
        ];
        params.extend(time_in_force.map(|name| ("timeInForce", Value::Text(name))));
        if let Some(old_id) = &old_id {
            params.push(("cancelOrigClientOrderId", Value::Text(old_id)));
            params.push(("cancelReplaceMode", Value::Text("STOP_ON_FAILURE")));
        }
        let method = if old_id.is_some() { "order.cancelReplace" } else { "order.place" };
        self.signed(method, order, params)
    }

    fn about(&self, method: &str, order: &LoadedOrder, new_quantity: Option<&str>) -> String {
        let client_id = self.client_id(order);
        let mut params = vec![("origClientOrderId", Value::Text(&client_id))];
        params.extend(new_quantity.map(|quantity| ("newQty", Value::Text(quantity))));
        self.signed(method, order, params)
    }
}

/// A read that is answered behind everything before it, with the number `id`.
pub(crate) fn barrier_frame(market: &MarketText, id: u64) -> Vec<u8> {
    let params = [("symbol", Value::Text(&market.symbol)), ("limit", Value::Number(5))];
    let json = plain_request(id, "depth", &params);
    let mut frame = Vec::new();
    push_frame(json.as_bytes(), id, &mut frame);
    frame
}

/// Appends a masked text frame.
fn push_frame(payload: &[u8], random: u64, out: &mut Vec<u8>) {
    let length = payload.len();
    out.push(WHOLE_TEXT);
    if length < LENGTH_16 {
        out.push(MASKED | u8::try_from(length).expect("below 126"));
    } else if length < LENGTH_64 {
        out.push(MASKED | 126);
        out.extend_from_slice(&u16::try_from(length).expect("below 65,536").to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    let mask: [u8; 4] = *random.to_le_bytes().first_chunk().expect("eight bytes");
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
