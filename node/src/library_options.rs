//! The configuration in the libraries' own terms: what the gateway, the publisher and the report log are started with.
//!
//! Nothing is decided here; libraries take plain options and read no configuration.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lakh_config::{Config, HistoryConfig};
use lakh_engine::ids::Sequence;
use lakh_gateway::account_trades::AccountTradesOptions;
use lakh_gateway::hand_over::OutboxLimits;
use lakh_gateway::limits::Rate;
use lakh_gateway::order_state::OrderStateOptions;
use lakh_gateway::publisher::{BinaryOptions, PublisherOptions};
use lakh_gateway::reports::follower::FollowerOptions;
use lakh_gateway::reports::log::{ReportLog, ReportLogOptions};
use lakh_gateway::server::GatewayOptions;

use crate::{scheduling, sequencer};

/// Reports that a client is told at once of what it missed.
const PAGE_REPORTS: usize = 500;

/// Listeners, limits and times of the gateway.
pub(crate) fn gateway_options(config: &Config) -> GatewayOptions {
    let gateway = &config.gateway;
    let mut options = GatewayOptions::new(gateway.listen);
    options.connections = gateway.max_connections as usize;
    options.address.connections = gateway.max_connections_per_address;
    options.binary_listen = Some(gateway.binary_listen);
    options.binary_outbox_bytes = gateway.binary_outbox_bytes as usize;
    options.address.requests = rate(gateway.requests_per_second_per_address, gateway.request_burst_per_address);
    options.outbox = OutboxLimits { messages: gateway.outbox_messages as usize, bytes: gateway.outbox_bytes as usize };
    options.frame_bytes = gateway.max_frame_bytes as usize;
    options.handshake_timeout = milliseconds(gateway.handshake_timeout_ms);
    options.send_buffer_bytes = gateway.send_buffer_bytes;
    options.write_timeout = milliseconds(gateway.write_timeout_ms);
    options.session.requests = options.address.requests;
    options.session.in_flight = gateway.in_flight_per_connection as usize;
    options.session.streams = gateway.streams_per_connection as usize;
    options.session.subscriptions = gateway.subscriptions_per_connection as usize;
    options.session.idle_timeout_ns = nanoseconds(gateway.idle_timeout_ms);
    options.session.ping_interval_ns = nanoseconds(gateway.ping_interval_ms);
    options.session.answer_timeout_ns = nanoseconds(gateway.answer_timeout_ms);
    options.keys.requests = rate(gateway.requests_per_second_per_key, gateway.request_burst_per_key);
    options.keys.orders = rate(gateway.orders_per_second_per_key, gateway.order_burst_per_key);
    options.keys.orders_per_day = gateway.orders_per_day_per_key;
    options.keys.cancel_allowance = gateway.cancel_allowance_per_key;
    options.keys.keys = config.capacities.keys as usize;
    options.verifier.queue = gateway.verifier_queue as usize;
    options.clock = sequencer::now;
    options.thread_start = scheduling::at_start(gateway.scheduling);
    options
}

fn milliseconds(milliseconds: u32) -> Duration {
    Duration::from_millis(u64::from(milliseconds))
}

fn nanoseconds(milliseconds: u32) -> u64 {
    u64::from(milliseconds) * 1_000_000
}

/// The publisher's bounds. What names orders in public follows from the exchange, so that a restart gives the same names.
pub(crate) fn publisher_options(history: &HistoryConfig, exchange_id: [u8; 16]) -> PublisherOptions {
    let mut binary = BinaryOptions::default();
    binary.feeds.name_key[..16].copy_from_slice(&exchange_id);
    PublisherOptions {
        binary,
        orders: OrderStateOptions {
            ended_orders_max: history.ended_orders as usize,
            ended_orders_per_account_max: history.ended_orders_per_account as usize,
        },
        account_trades: AccountTradesOptions {
            trades_max: history.trades as usize,
            trades_per_account_max: history.trades_per_account as usize,
        },
        ..PublisherOptions::default()
    }
}

pub(crate) fn follower_options(history: &HistoryConfig) -> FollowerOptions {
    let per_second = history.report_pages_per_second;
    FollowerOptions {
        page_reports: PAGE_REPORTS,
        // A client that was away for long catches up at once, and then no faster than others.
        pages_per_account: rate(per_second, per_second.saturating_mul(50)),
        archive: history.archive.clone(),
        clock: sequencer::now,
    }
}

/// Opens the log of private reports, cut off where the journal ends.
pub(crate) fn open_reports(config: &Config, exchange_id: [u8; 16], journal_end: Sequence) -> Result<ReportLog> {
    let history = &config.history;
    let directory = history.directory.clone().unwrap_or_else(|| config.journal.directory.join("reports"));
    let options = ReportLogOptions {
        directory: directory.clone(),
        exchange_id,
        segment_bytes: history.report_segment_bytes,
        retention_bytes: history.report_bytes,
    };
    ReportLog::open(options, journal_end)
        .with_context(|| format!("the reports in {} cannot be opened", directory.display()))
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second: u64::from(per_second), burst: u64::from(burst) }
}
