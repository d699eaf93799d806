//! How cost grows: the same load again with more connections, keys, markets or resting orders, one row each.
//!
//! At a fixed rate processor time for an operation tells more than the highest rate, which on a shared machine is whatever
//! its neighbours leave. Memory is the venue's before the first request; the last line says what one more of it takes.

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::one_run::{self, Plan};

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Table {
    /// Connections from 1 to 1,000.
    Connections,
    /// Keys from 1 to 100,000.
    Keys,
    /// Markets from 1 to 64.
    Markets,
    /// Resting orders from 1,000 to 1,000,000.
    Resting,
}

impl Table {
    const fn steps(self) -> &'static [u32] {
        match self {
            Self::Connections => &[1, 10, 100, 1_000],
            Self::Keys => &[1, 10, 100, 1_000, 10_000, 100_000],
            Self::Markets => &[1, 4, 16, 64],
            Self::Resting => &[1_000, 10_000, 100_000, 1_000_000],
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Keys => "keys",
            Self::Markets => "markets",
            Self::Resting => "resting orders",
        }
    }

    /// The plan with so many of it; `None` where the transport or the engine does not have that.
    fn at(self, plan: &Plan, count: u32) -> Option<Plan> {
        let mut plan = plan.clone();
        let scenario = &mut plan.scenario;
        match self {
            Self::Connections => {
                scenario.connections = count;
                scenario.keys = scenario.keys.max(count);
            }
            Self::Keys => {
                scenario.keys = count;
                scenario.connections = scenario.connections.min(count);
            }
            Self::Markets => scenario.markets = u16::try_from(count).ok()?,
            Self::Resting => scenario.resting_orders = u64::from(count),
        }
        plan.check().is_ok().then_some(plan)
    }
}

/// One row.
#[derive(Clone, Debug, Serialize)]
struct Row {
    count: u32,
    orders_per_second: u64,
    p50_us: u64,
    p99_us: u64,
    /// Processor time of the venue and of the client's thread for an operation.
    venue_ns: u64,
    client_ns: u64,
    /// The venue's memory before the first request.
    resident_bytes: u64,
    journal_bytes_per_operation: Option<u64>,
}

/// Runs every row and prints the table.
pub(super) fn print(table: Table, plan: &Plan, json: bool) -> Result<()> {
    let mut rows = Vec::new();
    if !json {
        println!(
            "{:>14} {:>10} {:>9} {:>9} {:>13} {:>13} {:>10} {:>12}",
            table.noun(),
            "orders/s",
            "p50 µs",
            "p99 µs",
            "venue ns/op",
            "client ns/op",
            "memory MB",
            "journal B/op"
        );
    }
    for count in table.steps() {
        let Some(plan) = table.at(plan, *count) else {
            if !json {
                println!("{count:>14} not possible with this scenario over this transport");
            }
            continue;
        };
        let row = row(*count, &Plan { quiet: true, ..plan })?;
        if !json {
            print_row(&row);
        }
        rows.push(row);
    }
    let each = rows.first().zip(rows.last()).and_then(|(first, last)| {
        let more = u64::from(last.count.checked_sub(first.count)?);
        last.resident_bytes.checked_sub(first.resident_bytes)?.checked_div(more)
    });
    if json {
        println!("{}", json!({ "of": table.noun(), "rows": rows, "bytes_for_one_more": each }));
    } else if let Some(each) = each {
        println!("{each} bytes of the venue's memory for one more of {}, first row to last", table.noun());
    }
    Ok(())
}

fn print_row(row: &Row) {
    println!(
        "{:>14} {:>10} {:>9} {:>9} {:>13} {:>13} {:>10} {:>12}",
        row.count,
        row.orders_per_second,
        row.p50_us,
        row.p99_us,
        row.venue_ns,
        row.client_ns,
        row.resident_bytes / 1_000_000,
        row.journal_bytes_per_operation.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string())
    );
}

fn row(count: u32, plan: &Plan) -> Result<Row> {
    let (report, measured) = one_run::run(plan)?;
    let venue_ns: u64 = measured.uses.last().map_or(0, |last| last.processes["venue"].cpu_ns.values().copied().sum());
    Ok(Row {
        count,
        orders_per_second: report.orders_per_second,
        p50_us: report.latency_us.p50,
        p99_us: report.latency_us.p99,
        venue_ns: venue_ns / report.sent.max(1),
        client_ns: report.conditions.generator_ns_per_operation,
        resident_bytes: measured.uses.first().map_or(0, |first| first.processes["venue"].resident_bytes),
        journal_bytes_per_operation: report.conditions.journal_bytes_per_operation,
    })
}
