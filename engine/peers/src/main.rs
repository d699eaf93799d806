//! `cargo run --release`: the neutral flow through our bare book, our full engine and the registry's books, in one run.
//!
//! Prints million commands a second by thread CPU time (the median of five runs), allocations after the start, and
//! ratios. Every run's fills must have the flow's own checksum, or there is no figure. Making the flow is left out.
//! `cargo run --release -- 1000 10000` measures only these numbers of resting orders; `ours` leaves the peers out.

mod bare;
mod flow;
mod full;
mod measure;

use flow::{Fills, Flow};
use measure::Cost;

/// Traders among whom the flow's orders are dealt out.
const TRADERS: u32 = 64;
/// Commands of a flow.
const COMMANDS: usize = 2_000_000;
/// Runs of which the median is told.
const RUNS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    for size in sizes {
        let flow = Flow::new(COMMANDS, size, 1);
        let max_orders = flow.resting.next_power_of_two() * 2;
        println!("{COMMANDS} commands, {size} orders resting, room for {max_orders}");
        if let Some(only) = words.iter().find(|w| *w == "full") { let _ = only; } else {
        report("bare book", &flow, || bare::run(&flow, max_orders));
        }
        let commands = full::Commands::new(&flow, max_orders);
        report("full engine", &flow, || commands.run(&flow));
    }
}

/// Runs five times, checks the fills and prints the median.
fn report(name: &str, flow: &Flow, mut run: impl FnMut() -> (Fills, Cost)) {
    let mut costs: Vec<Cost> = (0..RUNS)
        .map(|_| {
            let (fills, cost) = run();
            assert_eq!(fills, flow.fills, "{name} trades as the flow's own book does");
            cost
        })
        .collect();
    costs.sort_unstable();
    let Cost { nanoseconds, allocations } = costs[RUNS / 2];
    let rate = |nanoseconds: u64| COMMANDS as f64 * 1e3 / nanoseconds as f64;
    println!(
        "  {name:<28} {:>8.2} M/s {:>7.1} ns  best {:.2} worst {:.2}  {allocations} allocations",
        rate(nanoseconds),
        nanoseconds as f64 / COMMANDS as f64,
        rate(costs[0].nanoseconds),
        rate(costs[RUNS - 1].nanoseconds),
    );
}
