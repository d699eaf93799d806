//! What the node does, in numbers that Prometheus reads from the operators' port.
//!
//! Every number is an atomic that its owner keeps anyway; they are read when somebody asks and cost nothing before. None of
//! them is of an account, a key or an order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lakh_gateway::counters::Histogram;
use lakh_gateway::journal_feed::FeedWatch;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::operators_port::Watched;

/// The media type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the node.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Those of what is watched.
    pub(crate) fn new(watched: Arc<Watched>) -> Self {
        let mut registry = Registry::with_prefix("lakh");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which software runs", version);
        registry.register_collector(Box::new(NodeCollector(watched)));
        Self(registry)
    }

    /// All of them as text.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).expect("a string takes any text");
        text
    }
}

/// Reads the numbers when somebody asks.
#[derive(Debug)]
struct NodeCollector(Arc<Watched>);

impl Collector for NodeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Watched { journal, gateway, keeper, archiver, settlement, feed, notary } = &*self.0;
        let counters = gateway.counters();
        for (name, meaning, value) in counters.all() {
            let meaning = meaning.trim_end_matches('.');
            put(&mut encoder, &format!("gateway_{name}"), meaning, &ConstCounter::new(value))?;
        }
        let verifying = ConstCounter::new(counters.verifying_ns.value() as f64 / 1e9);
        put(&mut encoder, "gateway_verifying_seconds", "Time that the verifiers were at work", &verifying)?;
        if let Some(feed) = feed {
            put_feed(&mut encoder, feed)?;
        }
        let times = Times(&counters.answer_time);
        put(&mut encoder, "gateway_answer_seconds", "From a request over WebSocket to its answer", &times)?;
        let running = i64::from(journal.stopped().is_none());
        let mut gauges = vec![
            ("gateway_connections", "Connections that are open", count(gateway.connections())),
            ("gateway_connections_max", "Connections that may be open", count(gateway.connections_max())),
            ("journal_running", "1 while the journal takes records", running),
            ("journal_durable_sequence", "Last record that is durable", saturating(journal.durable_sequence())),
        ];
        let keeper = keeper.lock().clone();
        gauges.extend([
            (
                "keeper_diverged",
                "1 once the live engine was found to differ from its journal",
                i64::from(keeper.has_diverged),
            ),
            ("keeper_sequence", "Last record that was followed", saturating(keeper.sequence)),
            ("keeper_snapshot_sequence", "Record of the last snapshot", saturating(keeper.snapshot)),
            ("keeper_checkpoint_sequence", "Record of the last checkpoint", saturating(keeper.checkpoint)),
        ]);
        put(&mut encoder, "keeper_checkpoints", "Checkpoints taken", &ConstCounter::new(keeper.checkpoints))?;
        let hashing = ConstCounter::new(keeper.checkpoints_cpu_us as f64 / 1e6);
        let meaning = "Processor time that the state hashes of checkpoints took";
        put(&mut encoder, "keeper_checkpoint_cpu_seconds", meaning, &hashing)?;
        if let Some(archiver) = archiver {
            let archiver = archiver.lock();
            gauges.push((
                "archiver_archived_segments",
                "Segments archived since the start",
                saturating(archiver.archived),
            ));
            gauges.push(("archiver_removed_segments", "Segments let go since the start", saturating(archiver.removed)));
        }
        if let Some(settlement) = settlement {
            let settlement = settlement.lock().current();
            gauges.extend([
                (
                    "settlement_running",
                    "1 while the chain does what it should",
                    i64::from(settlement.state == "running"),
                ),
                ("settlement_journal_batch", "Last batch of the journal", saturating(settlement.journal_batch)),
                ("settlement_chain_batch", "Last batch of the chain", saturating(settlement.chain_batch)),
                ("settlement_final_batch", "Last batch that is final", saturating(settlement.final_batch)),
                ("settlement_waiting_batches", "Batches that wait for the chain", count(settlement.waiting_batches)),
            ]);
        }
        if let Some(signed) = notary {
            let signed = saturating(signed.load(Ordering::Relaxed));
            gauges.push(("notary_signed_sequence", "Last record that receipts are signed for", signed));
        }
        if let Some(bytes) = resident_bytes() {
            gauges.push(("process_resident_memory_bytes", "Memory of the process", bytes));
        }
        for (name, meaning, value) in gauges {
            put(&mut encoder, name, meaning, &ConstGauge::new(value))?;
        }
        Ok(())
    }
}

/// What is given of the journal, and to how many.
fn put_feed(encoder: &mut DescriptorEncoder<'_>, feed: &FeedWatch) -> fmt::Result {
    let counters = feed.counters();
    for (name, meaning, counter) in [
        ("connections_refused", "Readers' connections over a limit", &counters.connections_refused),
        ("requests", "Requests of readers of the journal", &counters.requests),
        ("requests_refused", "Requests of readers that were refused", &counters.requests_refused),
        ("readers_let_go", "Readers that made no progress", &counters.readers_let_go),
        ("watcher_bytes", "Bytes of the journal that went to watchers", &counters.watcher_bytes),
        ("public_bytes", "Bytes of the journal that went to the public", &counters.public_bytes),
    ] {
        put(encoder, &format!("journal_feed_{name}"), meaning, &ConstCounter::new(counter.value()))?;
    }
    let (watchers, public) = feed.readers();
    for (name, meaning, readers) in [
        ("watchers", "Connections of watchers", watchers),
        ("public_readers", "Connections of the public that read the journal", public),
    ] {
        put(encoder, &format!("journal_feed_{name}"), meaning, &ConstGauge::new(count(readers)))?;
    }
    Ok(())
}

fn put(encoder: &mut DescriptorEncoder<'_>, name: &str, meaning: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, meaning, None, metric.metric_type())?)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn saturating(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A histogram of the gateway's as Prometheus has it, in seconds.
#[derive(Debug)]
struct Times<'a>(&'a Histogram);

impl EncodeMetric for Times<'_> {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let seconds = |ns: u64| if ns == u64::MAX { f64::MAX } else { ns as f64 / 1e9 };
        let buckets: Vec<(f64, u64)> = self.0.buckets().into_iter().map(|(end, count)| (seconds(end), count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.0.sum_ns() as f64 / 1e9, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The memory of this process that is in use, as Linux tells it.
fn resident_bytes() -> Option<i64> {
    let pages: i64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(i64::try_from(rustix::param::page_size()).ok()?))
}
