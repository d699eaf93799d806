//! The judge: one command's recorded outcome against the exchange's, line by line.
//!
//! The rules: fills must come in the recorded order with maker, quantity and price; a wrong one is one bad line and
//! uses up one of the exchange's fills; fills that no line asked for are one more bad line; a reject must be recorded
//! (`X`) and a recorded one must happen, with nothing traded; a post-only order's reject must say that it would have
//! traded. `B` and `D` compare price and whole quantity of the levels that they name, no others.

use std::fmt;

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use serde::Serialize;

use crate::flow::format::{Expectation, FlowCommand, NewOrderKind, Step};

/// How many bad lines are kept in full; all are counted.
pub const KEPT_BAD_LINES: usize = 5;

/// One fill as the exchange told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The resting order, by the flow's id.
    pub maker: u64,
    /// How much.
    pub quantity: Lots,
    /// At which price.
    pub price: Ticks,
}

/// Whether the exchange took the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did.
    Accepted,
    /// It refused a post-only order because it would trade.
    WouldTrade,
    /// It refused for another reason.
    Refused(String),
}

/// The top of the book after a command, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Price and quantity of the best bids.
    pub bids: Vec<(Ticks, Lots)>,
    /// Price and quantity of the best offers.
    pub asks: Vec<(Ticks, Lots)>,
}

impl Depth {
    fn side(&self, side: Side) -> &[(Ticks, Lots)] {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn best(&self, side: Side) -> (Ticks, Lots) {
        self.side(side).first().copied().unwrap_or_default()
    }
}

/// What the exchange did with one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its fills in order.
    pub fills: Vec<Fill>,
    /// Whether it was taken.
    pub verdict: Verdict,
    /// At least [`Step::depth_levels`] levels a side, where the book has them.
    pub depth: Depth,
    /// What else was wrong with it, such as a report that contradicts another; each is a bad line.
    pub faults: Vec<String>,
}

/// A line that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Line of the file, from 1; 0 for a finding that belongs to none.
    pub line: u64,
    /// What was recorded and what came.
    pub message: String,
}

/// The book's final state in five numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BookDigest {
    /// Resting orders.
    pub orders: u64,
    /// Price levels on the bid side.
    pub bid_levels: u64,
    /// Price levels on the ask side.
    pub ask_levels: u64,
    /// Lots on the bid side.
    pub bid_lots: u64,
    /// Lots on the ask side.
    pub ask_lots: u64,
}

impl fmt::Display for BookDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, bid_levels, ask_levels, bid_lots, ask_lots } = self;
        write!(f, "({orders}, {bid_levels}, {ask_levels}, {bid_lots}, {ask_lots})")
    }
}

/// What became of a whole flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FlowReport {
    /// Commands carried out.
    pub commands: u64,
    /// Fills that the exchange made.
    pub fills: u64,
    /// Commands that the exchange refused.
    pub rejects: u64,
    /// Expectation lines looked at.
    pub expectations: u64,
    /// Lines that do not hold. The flow passed only at 0.
    pub bad_lines: u64,
    /// The first of them.
    pub first_bad_lines: Vec<BadLine>,
    /// The final book.
    pub digest: BookDigest,
}

impl FlowReport {
    /// Whether every line holds.
    pub const fn passed(&self) -> bool {
        self.bad_lines == 0
    }
}

impl fmt::Display for FlowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commands, fills, rejects, expectations, bad_lines, digest, .. } = self;
        writeln!(f, "commands {commands}, fills {fills}, rejects {rejects}, expectations {expectations}")?;
        writeln!(f, "final book (orders, bid levels, ask levels, bid lots, ask lots) {digest}")?;
        write!(f, "bad lines {bad_lines}")?;
        for bad in &self.first_bad_lines {
            write!(f, "\n  line {}: {}", bad.line, bad.message)?;
        }
        Ok(())
    }
}

/// Judges one step after the other.
#[derive(Debug, Default)]
pub struct Judge {
    report: FlowReport,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares one step with its outcome.
    pub fn step(&mut self, step: &Step, outcome: &Outcome) {
        self.report.commands += 1;
        self.report.fills += outcome.fills.len() as u64;
        self.report.rejects += u64::from(outcome.verdict != Verdict::Accepted);
        self.report.expectations += step.expectations.len() as u64;
        let mut fills = outcome.fills.iter();
        let mut reject_recorded = false;
        for (line, expectation) in &step.expectations {
            match expectation {
                Expectation::Fill { maker, quantity, price } => {
                    let expected = Fill { maker: *maker, quantity: *quantity, price: *price };
                    let came = fills.next();
                    if came != Some(&expected) {
                        self.bad(*line, format!("fill recorded {}, came {}", show(Some(&expected)), show(came)));
                    }
                }
                Expectation::Reject => {
                    reject_recorded = true;
                    self.judge_reject(*line, step, outcome);
                }
                Expectation::BestBidOffer { bid, ask } => {
                    let came = (outcome.depth.best(Side::Bid), outcome.depth.best(Side::Ask));
                    if came != (*bid, *ask) {
                        let [recorded, came] = [[*bid, *ask], [came.0, came.1]].map(|sides| show_levels(&sides));
                        self.bad(*line, format!("best bid and offer recorded {recorded}, came {came}"));
                    }
                }
                Expectation::Depth { side, levels } => self.judge_depth(*line, levels, outcome.depth.side(*side)),
            }
        }
        let left = fills.as_slice();
        if !left.is_empty() {
            let message = format!("{} fills that are not recorded, the first {}", left.len(), show(left.first()));
            self.bad(step.line, message);
        }
        if !reject_recorded && outcome.verdict != Verdict::Accepted {
            self.bad(step.line, format!("refused: {:?}", outcome.verdict));
        }
        for fault in &outcome.faults {
            self.bad(step.line, fault.clone());
        }
    }

    /// Counts a finding that belongs to no step.
    pub fn bad(&mut self, line: u64, message: String) {
        self.report.bad_lines += 1;
        if self.report.first_bad_lines.len() < KEPT_BAD_LINES {
            self.report.first_bad_lines.push(BadLine { line, message });
        }
    }

    /// The report, with the final book.
    pub fn finish(self, digest: BookDigest) -> FlowReport {
        FlowReport { digest, ..self.report }
    }

    fn judge_reject(&mut self, line: u64, step: &Step, outcome: &Outcome) {
        let post_only = matches!(step.command, FlowCommand::New { kind: NewOrderKind::PostOnly, .. });
        match &outcome.verdict {
            Verdict::Accepted => self.bad(line, "a reject is recorded, but the command was taken".to_owned()),
            Verdict::Refused(code) if post_only => {
                self.bad(line, format!("a post-only reject is recorded, but it was refused for {code}"));
            }
            Verdict::WouldTrade | Verdict::Refused(_) => {}
        }
    }

    fn judge_depth(&mut self, line: u64, recorded: &[(Ticks, Lots)], came: &[(Ticks, Lots)]) {
        let came = &came[..came.len().min(recorded.len())];
        if came != recorded {
            self.bad(line, format!("depth recorded {}, came {}", show_levels(recorded), show_levels(came)));
        }
    }
}

fn show(fill: Option<&Fill>) -> String {
    fill.map_or("none".to_owned(), |fill| format!("{} of {} at {}", fill.quantity, fill.maker, fill.price))
}

fn show_levels(levels: &[(Ticks, Lots)]) -> String {
    let levels: Vec<String> = levels.iter().map(|(price, quantity)| format!("{quantity} at {price}")).collect();
    format!("[{}]", levels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: (Ticks, Lots) = (Ticks(10), Lots(5));

    fn step(kind: NewOrderKind, expectations: Vec<Expectation>) -> Step {
        let command = FlowCommand::New { order: 9, kind, side: Side::Bid, price: Ticks(10), quantity: Lots(5) };
        Step { line: 1, command, expectations: (2..).zip(expectations).collect() }
    }

    fn fill(maker: u64) -> Fill {
        Fill { maker, quantity: Lots(1), price: Ticks(10) }
    }

    fn recorded(maker: u64) -> Expectation {
        Expectation::Fill { maker, quantity: Lots(1), price: Ticks(10) }
    }

    fn outcome(fills: Vec<Fill>, verdict: Verdict) -> Outcome {
        Outcome { fills, verdict, depth: Depth { bids: vec![LEVEL, LEVEL], asks: vec![] }, faults: vec![] }
    }

    fn bad_lines(step: &Step, outcome: &Outcome) -> Vec<u64> {
        let mut judge = Judge::new();
        judge.step(step, outcome);
        let report = judge.finish(BookDigest::default());
        assert_eq!(report.bad_lines, report.first_bad_lines.len() as u64);
        report.first_bad_lines.iter().map(|bad| bad.line).collect()
    }

    #[test]
    fn fills_are_judged_in_order() {
        use NewOrderKind::Limit;
        let cases = [
            (vec![recorded(1), recorded(2)], vec![fill(1), fill(2)], vec![]),
            (vec![recorded(1), recorded(2)], vec![fill(2), fill(1)], vec![2, 3]),
            (vec![recorded(1)], vec![], vec![2]),
            (vec![recorded(1)], vec![fill(1), fill(2), fill(3)], vec![1]),
            (vec![recorded(7), recorded(2)], vec![fill(1), fill(2)], vec![2]),
            (vec![], vec![fill(1)], vec![1]),
        ];
        for (lines, fills, expected) in cases {
            assert_eq!(
                bad_lines(&step(Limit, lines.clone()), &outcome(fills, Verdict::Accepted)),
                expected,
                "{lines:?}"
            );
        }
        for other in [Fill { quantity: Lots(2), ..fill(1) }, Fill { price: Ticks(11), ..fill(1) }] {
            assert_eq!(bad_lines(&step(Limit, vec![recorded(1)]), &outcome(vec![other], Verdict::Accepted)), [2]);
        }
    }

    #[test]
    fn rejects_must_be_recorded_and_recorded_ones_must_happen() {
        use NewOrderKind::{Limit, PostOnly};
        let other = || Verdict::Refused("BookFull".to_owned());
        let cases = [
            (PostOnly, true, Verdict::WouldTrade, vec![], vec![]),
            (PostOnly, true, other(), vec![], vec![2]),
            (PostOnly, true, Verdict::Accepted, vec![], vec![2]),
            (PostOnly, true, Verdict::WouldTrade, vec![fill(1)], vec![1]),
            (PostOnly, false, Verdict::WouldTrade, vec![], vec![1]),
            (Limit, true, other(), vec![], vec![]),
            (Limit, false, other(), vec![], vec![1]),
        ];
        for (kind, is_recorded, verdict, fills, expected) in cases {
            let lines = if is_recorded { vec![Expectation::Reject] } else { vec![] };
            let shown = format!("{kind:?} {is_recorded} {verdict:?}");
            assert_eq!(bad_lines(&step(kind, lines), &outcome(fills, verdict)), expected, "{shown}");
        }
    }

    #[test]
    fn best_and_depth_compare_price_and_quantity() {
        let none = (Ticks(0), Lots(0));
        let best = |bid, ask| Expectation::BestBidOffer { bid, ask };
        let depth = |side, levels: &[_]| Expectation::Depth { side, levels: levels.to_vec() };
        let cases = [
            (best(LEVEL, none), true),
            (best((Ticks(10), Lots(4)), none), false),
            (best((Ticks(9), Lots(5)), none), false),
            (best(LEVEL, LEVEL), false),
            (depth(Side::Bid, &[LEVEL]), true),
            (depth(Side::Bid, &[LEVEL, LEVEL]), true),
            (depth(Side::Bid, &[LEVEL, LEVEL, LEVEL]), false),
            (depth(Side::Bid, &[(Ticks(10), Lots(6))]), false),
            (depth(Side::Ask, &[]), true),
            (depth(Side::Ask, &[LEVEL]), false),
        ];
        for (line, holds) in cases {
            let found = bad_lines(&step(NewOrderKind::Limit, vec![line.clone()]), &outcome(vec![], Verdict::Accepted));
            assert_eq!(found.is_empty(), holds, "{line:?}");
        }
    }

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let mut judge = Judge::new();
        for line in 1..=9 {
            judge.bad(line, "x".to_owned());
        }
        let report =
            judge.finish(BookDigest { orders: 443, bid_levels: 148, ask_levels: 130, bid_lots: 2, ask_lots: 1 });
        assert_eq!((report.bad_lines, report.first_bad_lines.len(), report.passed()), (9, KEPT_BAD_LINES, false));
        assert_eq!(report.digest.to_string(), "(443, 148, 130, 2, 1)");
        let text = report.to_string();
        assert!(text.contains("bad lines 9\n  line 1: x\n"), "{text}");
    }
}
