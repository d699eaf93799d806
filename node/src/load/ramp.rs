//! The highest rate that keeps a latency: doubled until it does not, then halved in between. Each step is a run of its own
//! on a venue of its own, so that no step carries what the one before left.
//!
//! A step holds when every check does, nothing was refused that does not belong, all of it was sent and answered at the
//! offered rate, and the 99th percentile is within the bound. A step that shows a fault of the venue ends the search.

use anyhow::{Result, bail};
use lakh_loadtest::error::LoadtestError;
use lakh_loadtest::report::LoadReport;
use serde::Serialize;
use serde_json::json;

use super::one_run::{self, Plan};

/// The first step is this part of the scenario's rate.
const FIRST_PART: u64 = 8;
/// Below this part of the first step nothing is looked for.
const FLOOR_PART: u64 = 8;
/// The search ends when both ends are as near as this, in percent.
const NEAR_PERCENT: u64 = 5;
/// Most steps.
const STEPS_MAX: usize = 24;
/// A step has to acknowledge and refuse this share of what was offered within its time, in percent.
const KEPT_UP_PERCENT: u64 = 97;

/// One step.
#[derive(Clone, Debug, Serialize)]
struct Step {
    offered_per_second: u64,
    held: bool,
    /// Why it did not hold.
    reason: Option<String>,
    orders_per_second: Option<u64>,
    p99_us: Option<u64>,
}

/// Searches and prints all steps and the report of the best one.
pub(super) fn find(plan: &Plan, p99_us: u64, json: bool) -> Result<()> {
    let first = (plan.scenario.rate / FIRST_PART).max(1);
    let mut search = Search { low: 0, high: None, floor: (first / FLOOR_PART).max(1) };
    let (mut steps, mut best) = (Vec::new(), None);
    let mut rate = first;
    while steps.len() < STEPS_MAX {
        let mut step_plan = plan.clone();
        step_plan.scenario.rate = rate;
        step_plan.check()?;
        let (step, report) = step(&step_plan, p99_us)?;
        if !json {
            print_step(&step);
        }
        search.take(rate, step.held);
        if step.held {
            best = report;
        }
        steps.push(step);
        match search.next() {
            Some(next) => rate = next,
            None => break,
        }
    }
    let Some(best) = best else { bail!("no rate that was tried keeps a p99 of {p99_us} µs: {}", json!(steps)) };
    if json {
        println!(
            "{}",
            json!({ "p99_us": p99_us, "highest_rate": best.conditions.offered_per_second, "report": best, "steps": steps })
        );
    } else {
        println!("highest rate with p99 at or below {p99_us} µs: {}", best.conditions.offered_per_second);
        println!("{best}");
    }
    Ok(())
}

fn print_step(step: &Step) {
    let verdict = step.reason.as_deref().unwrap_or("holds");
    let p99 = step.p99_us.map_or_else(|| "-".to_owned(), |us| us.to_string());
    println!("{:>10} offered/s  p99 {p99:>8} µs  {verdict}", step.offered_per_second);
}

/// Runs one step.
fn step(plan: &Plan, p99_us: u64) -> Result<(Step, Option<LoadReport>)> {
    let offered = plan.scenario.rate;
    let step = |reason: Option<String>, report: Option<&LoadReport>| Step {
        offered_per_second: offered,
        held: reason.is_none(),
        reason,
        orders_per_second: report.map(|report| report.orders_per_second),
        p99_us: report.map(|report| report.latency_us.p99),
    };
    match one_run::run(plan) {
        Ok((report, _)) => {
            let reason = broken(&report, offered, p99_us);
            Ok((step(reason, Some(&report)), Some(report)))
        }
        Err(error) => match error.downcast_ref::<LoadtestError>() {
            Some(LoadtestError::ChecksFailed(failed)) if failed.faults.is_empty() => {
                Ok((step(Some(failed.refusals.join("; ")), None), None))
            }
            _ => Err(error),
        },
    }
}

/// Why a run without a fault does not hold.
fn broken(report: &LoadReport, offered: u64, p99_us: u64) -> Option<String> {
    let done = (report.acknowledged + report.rejected) * 1_000 / report.conditions.elapsed_ms.max(1);
    if report.latency_us.p99 > p99_us {
        return Some(format!("p99 is {} µs", report.latency_us.p99));
    }
    let hostile = report.conditions.hostile.as_ref().map_or(0, |hostile| hostile.offered_per_second);
    let needed = (offered - hostile) * KEPT_UP_PERCENT / 100;
    (done < needed).then(|| format!("only {done} a second were answered"))
}

/// Between which rates the answer lies.
struct Search {
    /// The highest that held.
    low: u64,
    /// The lowest that did not.
    high: Option<u64>,
    /// The lowest that is tried.
    floor: u64,
}

impl Search {
    fn take(&mut self, rate: u64, held: bool) {
        if held {
            self.low = self.low.max(rate);
        } else {
            self.high = Some(self.high.map_or(rate, |high| high.min(rate)));
        }
    }

    /// The next rate to try; nothing when it is near enough.
    fn next(&self) -> Option<u64> {
        match self.high {
            None => self.low.checked_mul(2),
            Some(high) => {
                let middle = self.low.midpoint(high);
                let is_near = high - self.low <= (high * NEAR_PERCENT / 100).max(1);
                (!is_near && middle > self.low && middle >= self.floor).then_some(middle)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_ends_near_the_highest_rate_that_holds() {
        for limit in [1, 7, 999, 12_345, 100_000, 1_048_576] {
            for first in [1, 12_500] {
                let mut search = Search { low: 0, high: None, floor: 1 };
                let (mut rate, mut steps) = (first, 0);
                loop {
                    search.take(rate, rate <= limit);
                    steps += 1;
                    match search.next() {
                        Some(next) => rate = next,
                        None => break,
                    }
                }
                let near = search.low <= limit && limit <= search.low + search.low / 10 + 1;
                assert!(near && steps <= 40, "{} for {limit} after {steps} steps from {first}", search.low);
            }
        }
    }
}
