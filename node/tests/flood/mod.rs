//! Orders as fast as a venue answers them, until it is gone: what tests do that kill it meanwhile.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "each test uses its part of it")]

use lakh_loadtest::client::{Trader, Value, connect, now_us, signed_request};
use serde_json::Value as Json;

/// Orders of one connection that wait for their answers.
const IN_FLIGHT: u64 = 64;

/// Sends orders with the client ids `{name}-{number}`, as fast as [`IN_FLIGHT`] allow, until the venue is gone; `hear` is
/// told each answer.
pub(crate) async fn flood(url: &str, trader: &Trader, name: &str, mut hear: impl FnMut(&Json)) {
    let Ok((mut outgoing, mut incoming)) = connect(url).await else { return };
    let (mut sent, mut answered) = (0, 0);
    loop {
        while sent < answered + IN_FLIGHT {
            if outgoing.feed(order(trader, sent, &format!("{name}-{sent}")).into()).await.is_err() {
                return;
            }
            sent += 1;
        }
        if outgoing.flush().await.is_err() {
            return;
        }
        let Ok(answer) = incoming.next().await else { return };
        hear(&serde_json::from_str(&answer).unwrap());
        answered += 1;
    }
}

/// An order that rests, or trades with one of the same account: both change the state. Never more than a few rest.
pub(crate) fn order(trader: &Trader, number: u64, client_id: &str) -> String {
    let side = if number.is_multiple_of(2) { "BUY" } else { "SELL" };
    let params = [
        ("symbol", Value::Text("UNITCASH")),
        ("side", Value::Text(side)),
        ("type", Value::Text("LIMIT")),
        ("timeInForce", Value::Text("GTC")),
        ("price", Value::Text("100.00")),
        ("quantity", Value::Text("3")),
        ("newClientOrderId", Value::Text(client_id)),
        ("selfTradePreventionMode", Value::Text("NONE")),
        ("newOrderRespType", Value::Text("ACK")),
        ("timestamp", Value::Number(now_us())),
    ];
    signed_request(number, "order.place", trader, &params)
}
