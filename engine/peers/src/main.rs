//! `cargo run --release`: the neutral flow through our bare book, our full engine and the registry's books, in one run.
//!
//! Prints million commands a second by thread CPU time (the median of five runs), nanoseconds a
//! command, allocations after the start, whether the fills' checksum is the flow's own, and the ratio to our full engine.
//! Ours must have the checksum, or there is no figure; a peer that has not says so. Making the flow is left out.
//! Numbers choose how many orders rest (`cargo run --release -- 1000 10000`), `bare`, `full` and `peers` what is played.
//! `hash` tells what the state's hash costs at the interval at which the node's tools take it;
//! `latency` instead offers our engine a million commands a second and tells how long each one takes.
#![forbid(clippy::unwrap_used)]

mod bare;
mod flow;
mod full;
mod latency;
mod measure;
mod peers;

use bare::Reach;
use flow::{Fills, Flow};
use full::Shown;
use measure::Cost;

/// Traders among whom the flow's orders are dealt out.
const TRADERS: u32 = 64;
/// Commands of a flow.
const COMMANDS: usize = 2_000_000;
/// Runs of which the median is told.
const RUNS: usize = 5;
/// Commands between two hashes of the state.
const HASH_INTERVAL: usize = 65_536;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    let names_any =
        ["bare", "full", "hash", "latency", "peers"].iter().any(|name| words.iter().any(|word| word == name));
    let wants = |name: &str| !names_any || words.iter().any(|word| word == name);
    for size in sizes {
        let flow = Flow::new(COMMANDS, size, 1);
        let max_orders = flow.resting.next_power_of_two() * 2;
        println!("{COMMANDS} commands, {size} orders resting, room for {max_orders}");
        let mut ours = Vec::new();
        if wants("bare") {
            let requests = bare::Requests::new(&flow, max_orders, Reach::Limit);
            let row = must_agree(&flow.fills, || requests.play_by_handle());
            ours.push(("bare book", row.median()));
            print_row("bare book, cancel by handle", &[], row);
            print_row("bare book, cancel by id", &[], must_agree(&flow.fills, || requests.play_by_id()));
        }
        if wants("full") {
            let commands = full::Commands::new(&flow, max_orders);
            let row = must_agree(&flow.fills, || commands.play(&flow, Shown::Nothing));
            ours.push(("full engine", row.median()));
            print_row("full engine", &[], row);
            let row = must_agree(&flow.fills, || commands.play(&flow, Shown::Ahead));
            print_row("full engine, shown commands", &[], row);
        }
        if words.iter().any(|word| word == "hash") {
            print_hash(&full::Commands::new(&flow, max_orders).hash(HASH_INTERVAL));
        }
        // Only where it is asked for: it needs a processor to itself for as long as the flow lasts.
        if words.iter().any(|word| word == "latency") {
            print_latencies(&full::Commands::new(&flow, max_orders));
        }
        if wants("peers") {
            for (name, play) in peers::PEERS {
                print_row(name, &ours, run(&flow.fills, || play(&flow)));
            }
            print_matchcore(&flow, max_orders, ours);
        }
    }
}

/// matchcore, and our book by its rules: an order that trades at all trades through its limit, so what it does with the flow
/// is other work than everybody else's.
fn print_matchcore(flow: &Flow, max_orders: u32, mut ours: Vec<(&str, u64)>) {
    let mut flow = flow.numbered_by_command();
    let [by_ours, by_its] =
        [Reach::Limit, Reach::Everything].map(|reach| bare::Requests::new(&flow, max_orders, reach));
    flow.fills = by_ours.play_by_handle().0;
    let (its_fills, _) = peers::play_matchcore(&flow);
    let row = must_agree(&its_fills, || by_its.play_by_handle());
    ours.push(("bare book by its rules", row.median()));
    print_row("bare book, by matchcore's rules", &[], row);
    print_row("matchcore 0.4.0", &ours, run(&flow.fills, || peers::play_matchcore(&flow)));
}

/// What the runs of one book came to.
struct Row {
    /// Ascending.
    nanoseconds: Vec<u64>,
    allocations: u64,
    /// Runs whose fills were the flow's.
    agreed: usize,
    /// How many fills a run had, and how many of the flow's.
    fills: (u64, u64),
}

impl Row {
    fn median(&self) -> u64 {
        self.nanoseconds[RUNS / 2]
    }
}

fn run(expected: &Fills, mut play: impl FnMut() -> (Fills, Cost)) -> Row {
    let runs: Vec<(Fills, Cost)> = (0..RUNS).map(|_| play()).collect();
    let mut nanoseconds: Vec<u64> = runs.iter().map(|(_, cost)| cost.nanoseconds).collect();
    nanoseconds.sort_unstable();
    Row {
        nanoseconds,
        allocations: runs.iter().map(|(_, cost)| cost.allocations).max().unwrap_or(0),
        agreed: runs.iter().filter(|(fills, _)| fills == expected).count(),
        fills: (runs[0].0.count, expected.count),
    }
}

/// Runs a book of ours, which must trade as the flow's own book does and take no memory.
fn must_agree(expected: &Fills, play: impl FnMut() -> (Fills, Cost)) -> Row {
    let row = run(expected, play);
    assert_eq!((row.agreed, row.allocations), (RUNS, 0), "runs with the flow's fills, allocations after the start");
    row
}

/// Prints what the state's hash costs, as a share of the commands' time.
fn print_hash(cost: &full::HashCost) {
    let full::HashCost { commands_ns, hashes_ns, snapshot_bytes } = cost;
    let (median, all) = (hashes_ns[hashes_ns.len() / 2], hashes_ns.iter().sum::<u64>());
    println!(
        "  state hash every {HASH_INTERVAL} commands: {} us in the median, {snapshot_bytes} bytes, {:.2} % of the time of \
         the commands in between",
        median / 1_000,
        all as f64 * 100.0 / *commands_ns as f64,
    );
}

/// Prints how long a command takes at a fixed rate, run by run: a machine that others use as well spoils some of them.
fn print_latencies(commands: &full::Commands) {
    for _ in 0..RUNS {
        let latency::Latencies { p50, p99, p999, max, service_p999, idle, pauses, longest_pause } =
            latency::play(commands);
        println!(
            "  full engine at {} commands/s: p50 {p50} ns, p99 {p99}, p99.9 {p999}, max {max}; without waiting p99.9 \
             {service_p999}; in {} ms of nothing to do the machine paused {pauses} times, at most {longest_pause} ns",
            latency::RATE,
            idle / 1_000_000
        );
    }
}

/// Prints a row, with how many times as fast each of `ours` is.
fn print_row(name: &str, ours: &[(&str, u64)], row: Row) {
    let rate = |nanoseconds: u64| COMMANDS as f64 * 1e3 / nanoseconds as f64;
    let fills = match row.fills {
        _ if row.agreed == RUNS => "equal".to_owned(),
        (count, expected) => format!("DIFFER ({count} of {expected})"),
    };
    print!(
        "  {name:<28} {:>7.2} M/s {:>7.1} ns  best {:.2} worst {:.2}  {} allocations, fills {fills}",
        rate(row.median()),
        row.median() as f64 / COMMANDS as f64,
        rate(row.nanoseconds[0]),
        rate(row.nanoseconds[RUNS - 1]),
        row.allocations,
    );
    for (name, nanoseconds) in ours {
        print!(", {name} {:.1} x", row.median() as f64 / *nanoseconds as f64);
    }
    println!();
}
