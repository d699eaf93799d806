//! `[gateway]`: where traders connect, and everything that bounds what they can ask for.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::error::Fault;
use crate::sections::{check_loopback, check_range};

/// Where the stages of an order's way run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stages {
    /// As tasks beside the sockets where there are one or two cores, else on threads of their own.
    Automatic,
    /// Each on a thread of its own: nothing holds it up but the machine.
    OwnThreads,
    /// As tasks beside the sockets: no order is handed from thread to thread.
    Shared,
}

/// How the threads that serve sockets, decide and answer get processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduling {
    /// As all others.
    Normal,
    /// In front of all that are not real-time, by turns (`SCHED_RR`).
    RealTime,
}

/// `[gateway]`: where traders connect and how much each may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Address of the one port for HTTP and WebSocket: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9080`.
    pub listen: SocketAddr,
    /// Address of the same with TLS, which needs `[tls]`; port 0 takes a free one. Default: there is none.
    pub tls_listen: Option<SocketAddr>,
    /// Address of the binary port of market makers: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9083`.
    pub binary_listen: SocketAddr,
    /// Address of the same with TLS, which needs `[tls]`; port 0 takes a free one. Default: there is none.
    pub binary_tls_listen: Option<SocketAddr>,
    /// Connections open at once: 1 ..= 65,536. Default 1,024.
    pub max_connections: u32,
    /// Connections that one IP address may have open: 1 ..= 65,536. Default 256.
    pub max_connections_per_address: u32,
    /// Requests that one connection may have unanswered; cancels may go a third beyond it: 1 ..= 12,288. Default 256.
    pub in_flight_per_connection: u32,
    /// Public streams that one connection may join: 1 ..= 65,536. Default 1,024.
    pub streams_per_connection: u32,
    /// Subscriptions to private events that one connection may have: 1 ..= 1,024. Default 16.
    pub subscriptions_per_connection: u32,
    /// Streams and subscriptions of all connections together: 16 ..= 4,194,304. Default 65,536.
    pub max_subscriptions: u32,
    /// Requests a second that one IP address may send, whatever its keys: 1 ..= 10,000,000. Default 10,000.
    pub requests_per_second_per_address: u32,
    /// Requests that one IP address may send at once after a pause; cancels may go a third beyond it: 1 ..=
    /// 10,000,000. Default 20,000.
    pub request_burst_per_address: u32,
    /// Requests a second that one key may sign, cancels aside: 1 ..= 10,000,000. Default 5,000.
    pub requests_per_second_per_key: u32,
    /// Requests that one key may sign at once after a pause, cancels aside: 1 ..= 10,000,000. Default 10,000.
    pub request_burst_per_key: u32,
    /// New orders a second of one key: 1 ..= 10,000,000. Default 5,000.
    pub orders_per_second_per_key: u32,
    /// New orders that one key may place at once after a pause: 1 ..= 10,000,000. Default 10,000.
    pub order_burst_per_key: u32,
    /// New orders of one key in a day of UTC: 1 ..= 4,294,967,295. Default 100,000,000.
    pub orders_per_day_per_key: u32,
    /// Cancels a second that one key may send beyond its account's live orders and what it has just placed: 1 ..=
    /// 10,000,000. Default 1,000.
    pub cancel_allowance_per_key: u32,
    /// Messages that wait for one slow reader before it is dropped: 16 ..= 1,048,576. Default 4,096.
    pub outbox_messages: u32,
    /// Bytes that wait for one slow reader before it is dropped: 65,536 ..= 1,073,741,824. Default 4,194,304.
    pub outbox_bytes: u32,
    /// Bytes that wait for one slow reader of the binary port before it is dropped; what a client has missed has to fit:
    /// 8,388,608 ..= 1,073,741,824. Default 33,554,432.
    pub binary_outbox_bytes: u32,
    /// Bytes of a connection that the system may hold on their way to the client, beside what waits here: 4,096 ..=
    /// 16,777,216. Default 262,144.
    pub send_buffer_bytes: u32,
    /// Bytes of a client's longest message; a longer one ends its connection: 1,024 ..= 65,536. Default 65,536.
    pub max_frame_bytes: u32,
    /// Milliseconds for a TLS handshake, and for the head of an HTTP request: 100 ..= 60,000. Default 10,000.
    pub handshake_timeout_ms: u32,
    /// Milliseconds without any frame, pongs included, after which a connection ends: 1,000 ..= 86,400,000. Default
    /// 60,000.
    pub idle_timeout_ms: u32,
    /// Milliseconds between two pings: 1,000 ..= 86,400,000. Default 20,000.
    pub ping_interval_ms: u32,
    /// Milliseconds after which a client is told that its request's outcome is not known: 100 ..= 60,000. Default
    /// 10,000.
    pub answer_timeout_ms: u32,
    /// Milliseconds that a client may take to read what is sent: 100 ..= 60,000. Default 10,000.
    pub write_timeout_ms: u32,
    /// Where verifiers, sequencer and publisher run. Default automatic.
    pub stages: Stages,
    /// How the threads that serve sockets, decide and answer get processors. Default normal.
    pub scheduling: Scheduling,
    /// Stages that verify signatures: 1 ..= 64. Default 1.
    pub verifiers: u32,
    /// Requests that wait for one of these threads, a frame of 64 operations counted as five; the last quarter is for
    /// cancels: 64 ..= 1,048,576. Default 65,536.
    pub verifier_queue: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9_080)),
            tls_listen: None,
            binary_listen: SocketAddr::from(([127, 0, 0, 1], 9_083)),
            binary_tls_listen: None,
            max_connections: 1_024,
            max_connections_per_address: 256,
            in_flight_per_connection: 256,
            streams_per_connection: 1_024,
            subscriptions_per_connection: 16,
            max_subscriptions: 65_536,
            requests_per_second_per_address: 10_000,
            request_burst_per_address: 20_000,
            requests_per_second_per_key: 5_000,
            request_burst_per_key: 10_000,
            orders_per_second_per_key: 5_000,
            order_burst_per_key: 10_000,
            orders_per_day_per_key: 100_000_000,
            cancel_allowance_per_key: 1_000,
            outbox_messages: 4_096,
            outbox_bytes: 4_194_304,
            binary_outbox_bytes: 33_554_432,
            send_buffer_bytes: 262_144,
            max_frame_bytes: 65_536,
            handshake_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            ping_interval_ms: 20_000,
            answer_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            stages: Stages::Automatic,
            scheduling: Scheduling::Normal,
            verifiers: 1,
            verifier_queue: 65_536,
        }
    }
}

impl GatewayConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        check_loopback("listen", self.listen)?;
        check_loopback("binary_listen", self.binary_listen)?;
        let ranges = [
            ("max_connections", self.max_connections, 1..=65_536),
            ("max_connections_per_address", self.max_connections_per_address, 1..=65_536),
            ("in_flight_per_connection", self.in_flight_per_connection, 1..=12_288),
            ("streams_per_connection", self.streams_per_connection, 1..=65_536),
            ("subscriptions_per_connection", self.subscriptions_per_connection, 1..=1_024),
            ("max_subscriptions", self.max_subscriptions, 16..=4_194_304),
            ("requests_per_second_per_address", self.requests_per_second_per_address, 1..=10_000_000),
            ("request_burst_per_address", self.request_burst_per_address, 1..=10_000_000),
            ("requests_per_second_per_key", self.requests_per_second_per_key, 1..=10_000_000),
            ("request_burst_per_key", self.request_burst_per_key, 1..=10_000_000),
            ("orders_per_second_per_key", self.orders_per_second_per_key, 1..=10_000_000),
            ("order_burst_per_key", self.order_burst_per_key, 1..=10_000_000),
            ("orders_per_day_per_key", self.orders_per_day_per_key, 1..=4_294_967_295),
            ("cancel_allowance_per_key", self.cancel_allowance_per_key, 1..=10_000_000),
            ("outbox_messages", self.outbox_messages, 16..=1_048_576),
            ("outbox_bytes", self.outbox_bytes, 65_536..=1_073_741_824),
            ("binary_outbox_bytes", self.binary_outbox_bytes, 8_388_608..=1_073_741_824),
            ("send_buffer_bytes", self.send_buffer_bytes, 4_096..=16_777_216),
            ("max_frame_bytes", self.max_frame_bytes, 1_024..=65_536),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 100..=60_000),
            ("idle_timeout_ms", self.idle_timeout_ms, 1_000..=86_400_000),
            ("ping_interval_ms", self.ping_interval_ms, 1_000..=86_400_000),
            ("answer_timeout_ms", self.answer_timeout_ms, 100..=60_000),
            ("write_timeout_ms", self.write_timeout_ms, 100..=60_000),
            ("verifiers", self.verifiers, 1..=64),
            ("verifier_queue", self.verifier_queue, 64..=1_048_576),
        ];
        for (key, value, range) in ranges {
            check_range(key, value, range)?;
        }
        if self.ping_interval_ms >= self.idle_timeout_ms {
            // A client that only listens is heard by its pongs alone.
            return Err(Fault::new(
                "ping_interval_ms",
                "is not below idle_timeout_ms: who only listens would be dropped",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        assert_eq!(GatewayConfig::default().check(), Ok(()));
    }
}
