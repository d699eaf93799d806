//! The `.l3c` text format, plain or gzip: commands of one market, each directly followed by its recorded outcome.
//!
//! Read line by line with bounded memory: a line of at most [`MAX_LINE_BYTES`], a command with at most
//! [`MAX_EXPECTATIONS`] lines behind it. Every error names file and line. `#` opens a comment line.
//!
//! ```text
//! N oid side price quantity [tag]    limit order, good till cancelled     F maker_oid quantity price       one fill, in order
//! P oid side price quantity [tag]    post-only limit order                X                                rejected, book unchanged
//! I oid side price quantity [tag]    immediate-or-cancel limit order      B bid qty ask qty                best bid and offer afterwards
//! R oid quantity [tag]               smaller by quantity, keeps its place D side price qty price qty …     top levels of a side afterwards
//! C oid [tag]                        cancel
//! ```
//! Our reading of what the format leaves open: in a `B` line an empty side is `0 0`. The format says that `R` never
//! leaves nothing, but recorded files hold a few that do; such a line is a cancel, as the reference checker has it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::SplitAsciiWhitespace;

use flate2::bufread::MultiGzDecoder;
use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};

use crate::error::LoadtestError;

/// Longest line in bytes: a `D` line of ten levels of 20-digit numbers has 425.
pub const MAX_LINE_BYTES: usize = 1_024;
/// Most expectation lines behind one command.
pub const MAX_EXPECTATIONS: usize = 16_384;
/// Most levels in a `D` line.
pub const MAX_DEPTH_LEVELS: usize = 10;

/// What becomes of what a new order does not trade at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewOrderKind {
    /// `N`: it rests.
    Limit,
    /// `P`: it must not trade at all.
    PostOnly,
    /// `I`: it is dropped.
    ImmediateOrCancel,
}

/// One command of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowCommand {
    /// `N`, `P` or `I`.
    New {
        /// Unique while it rests.
        order: u64,
        /// How it meets the book.
        kind: NewOrderKind,
        /// Side.
        side: Side,
        /// Limit price, at least 1.
        price: Ticks,
        /// Quantity, at least 1.
        quantity: Lots,
    },
    /// `R`: makes a resting order smaller.
    Reduce {
        /// Which.
        order: u64,
        /// By how much, at least 1.
        quantity: Lots,
    },
    /// `C`: takes a resting order off.
    Cancel {
        /// Which.
        order: u64,
    },
}

/// One recorded consequence of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// `F`.
    Fill {
        /// The resting order.
        maker: u64,
        /// How much.
        quantity: Lots,
        /// The maker's price.
        price: Ticks,
    },
    /// `X`.
    Reject,
    /// `B`: price and quantity of the best bid and of the best offer; zeroes for an empty side.
    BestBidOffer {
        /// Best bid.
        bid: (Ticks, Lots),
        /// Best offer.
        ask: (Ticks, Lots),
    },
    /// `D`: the top levels of a side, best first.
    Depth {
        /// Which side.
        side: Side,
        /// Price and quantity of each.
        levels: Vec<(Ticks, Lots)>,
    },
}

/// A command with the lines behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command's line, from 1.
    pub line: u64,
    /// The command.
    pub command: FlowCommand,
    /// Line and content of each expectation, in file order.
    pub expectations: Vec<(u64, Expectation)>,
}

impl Step {
    /// How many levels of each side its `B` and `D` lines look at; 0 without such a line.
    pub fn depth_levels(&self) -> usize {
        let levels = self.expectations.iter().map(|(_, expectation)| match expectation {
            Expectation::BestBidOffer { .. } => 1,
            Expectation::Depth { levels, .. } => levels.len(),
            Expectation::Fill { .. } | Expectation::Reject => 0,
        });
        levels.max().unwrap_or(0)
    }
}

/// Reads a flow step by step.
pub struct FlowReader {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    line: u64,
    buffer: Vec<u8>,
    /// The command whose expectations are being collected.
    open: Option<Step>,
}

/// One line that is neither blank nor a comment.
enum Item {
    Command(FlowCommand),
    Expectation(Expectation),
}

impl FlowReader {
    /// Opens a plain or gzip file; which one it is, its first two bytes say.
    ///
    /// # Errors
    /// [`LoadtestError::Io`].
    pub fn open(path: &Path) -> Result<Self, LoadtestError> {
        let at_path = |source| LoadtestError::Io { path: path.to_owned(), source };
        let mut plain = BufReader::with_capacity(1 << 16, File::open(path).map_err(at_path)?);
        let is_gzip = plain.fill_buf().map_err(at_path)?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead + Send> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(plain))) } else { Box::new(plain) };
        Ok(Self::from_reader(path, input))
    }

    /// Reads from anywhere; `path` only names it in errors.
    pub fn from_reader(path: &Path, input: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.to_owned(), input, line: 0, buffer: Vec::new(), open: None }
    }

    /// The next command with its expectations, `None` at the end.
    ///
    /// # Errors
    /// [`LoadtestError::Format`] with the line, [`LoadtestError::Io`].
    pub fn next_step(&mut self) -> Result<Option<Step>, LoadtestError> {
        loop {
            let Some(item) = self.next_item()? else { return Ok(self.open.take()) };
            match item {
                Item::Command(command) => {
                    let next = Step { line: self.line, command, expectations: Vec::new() };
                    if let Some(done) = self.open.replace(next) {
                        return Ok(Some(done));
                    }
                }
                Item::Expectation(expectation) => {
                    let line = self.line;
                    let Some(step) = &mut self.open else {
                        return Err(self.error("an expectation without a command in front of it"));
                    };
                    if step.expectations.len() == MAX_EXPECTATIONS {
                        return Err(self.error("too many expectations for one command"));
                    }
                    step.expectations.push((line, expectation));
                }
            }
        }
    }

    /// The next line that says something, parsed.
    fn next_item(&mut self) -> Result<Option<Item>, LoadtestError> {
        loop {
            self.buffer.clear();
            let mut bounded = self.input.by_ref().take(MAX_LINE_BYTES as u64 + 1);
            let count = bounded
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| LoadtestError::Io { path: self.path.clone(), source })?;
            if count == 0 {
                return Ok(None);
            }
            self.line += 1;
            if count > MAX_LINE_BYTES {
                return Err(self.error("line too long"));
            }
            let parsed = match std::str::from_utf8(&self.buffer) {
                Ok(text) => parse_line(text),
                Err(_) => Err("not UTF-8".to_owned()),
            };
            match parsed {
                Ok(Some(item)) => return Ok(Some(item)),
                Ok(None) => {}
                Err(message) => return Err(self.error(message)),
            }
        }
    }

    fn error(&self, message: impl Into<String>) -> LoadtestError {
        LoadtestError::Format { path: self.path.clone(), line: self.line, message: message.into() }
    }
}

/// What has to be known of a flow before a market can be listed for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowBounds {
    /// Commands.
    pub commands: u64,
    /// Highest price of a new order.
    pub max_price: Ticks,
    /// Largest quantity of a new order.
    pub max_quantity: Lots,
}

/// Reads a whole file for its bounds; finds every format error on the way.
///
/// # Errors
/// As [`FlowReader`].
pub fn scan_bounds(path: &Path) -> Result<FlowBounds, LoadtestError> {
    let mut reader = FlowReader::open(path)?;
    let mut bounds = FlowBounds::default();
    while let Some(step) = reader.next_step()? {
        bounds.commands += 1;
        if let FlowCommand::New { price, quantity, .. } = step.command {
            bounds.max_price = bounds.max_price.max(price);
            bounds.max_quantity = bounds.max_quantity.max(quantity);
        }
    }
    Ok(bounds)
}

fn parse_line(text: &str) -> Result<Option<Item>, String> {
    if text.starts_with('#') {
        return Ok(None);
    }
    let mut fields = Fields(text.split_ascii_whitespace());
    let Some(kind) = fields.0.next() else { return Ok(None) };
    let item = match kind {
        "N" => Item::Command(fields.new_order(NewOrderKind::Limit)?),
        "P" => Item::Command(fields.new_order(NewOrderKind::PostOnly)?),
        "I" => Item::Command(fields.new_order(NewOrderKind::ImmediateOrCancel)?),
        "R" => {
            let command = FlowCommand::Reduce { order: fields.number("oid")?, quantity: fields.quantity()? };
            fields.skip_tag();
            Item::Command(command)
        }
        "C" => {
            let command = FlowCommand::Cancel { order: fields.number("oid")? };
            fields.skip_tag();
            Item::Command(command)
        }
        "F" => Item::Expectation(Expectation::Fill {
            maker: fields.number("maker oid")?,
            quantity: fields.quantity()?,
            price: fields.price()?,
        }),
        "X" => Item::Expectation(Expectation::Reject),
        "B" => {
            let mut level = || Ok::<_, String>((Ticks(fields.number("price")?), Lots(fields.number("quantity")?)));
            Item::Expectation(Expectation::BestBidOffer { bid: level()?, ask: level()? })
        }
        "D" => Item::Expectation(fields.depth()?),
        other => return Err(format!("unknown kind of line: {other:.8}")),
    };
    fields.end()?;
    Ok(Some(item))
}

/// The fields of a line that are still to be read.
struct Fields<'a>(SplitAsciiWhitespace<'a>);

impl Fields<'_> {
    fn number(&mut self, name: &str) -> Result<u64, String> {
        let text = self.0.next().ok_or_else(|| format!("{name} is missing"))?;
        // `u64::from_str` also takes a plus sign, which the format does not have.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{name} is no unsigned number: {text:.24}"));
        }
        text.parse().map_err(|_| format!("{name} does not fit 64 bits: {text:.24}"))
    }

    fn price(&mut self) -> Result<Ticks, String> {
        self.positive("price").map(Ticks)
    }

    fn quantity(&mut self) -> Result<Lots, String> {
        self.positive("quantity").map(Lots)
    }

    fn positive(&mut self, name: &str) -> Result<u64, String> {
        match self.number(name)? {
            0 => Err(format!("{name} is zero")),
            number => Ok(number),
        }
    }

    fn side(&mut self) -> Result<Side, String> {
        match self.0.next() {
            Some("B") => Ok(Side::Bid),
            Some("S") => Ok(Side::Ask),
            Some(other) => Err(format!("side is neither B nor S: {other:.8}")),
            None => Err("side is missing".to_owned()),
        }
    }

    fn new_order(&mut self, kind: NewOrderKind) -> Result<FlowCommand, String> {
        let order = self.number("oid")?;
        let side = self.side()?;
        let command = FlowCommand::New { order, kind, side, price: self.price()?, quantity: self.quantity()? };
        self.skip_tag();
        Ok(command)
    }

    fn depth(&mut self) -> Result<Expectation, String> {
        let side = self.side()?;
        let mut levels = Vec::new();
        while self.0.clone().next().is_some() {
            if levels.len() == MAX_DEPTH_LEVELS {
                return Err(format!("more than {MAX_DEPTH_LEVELS} levels"));
            }
            levels.push((self.price()?, self.quantity()?));
        }
        Ok(Expectation::Depth { side, levels })
    }

    /// A tag says where the recording has the command from; the exchange treats all alike.
    fn skip_tag(&mut self) {
        self.0.next();
    }

    fn end(&mut self) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(extra) => Err(format!("unexpected field: {extra:.24}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn read_all(text: &[u8]) -> Result<Vec<Step>, LoadtestError> {
        let mut reader = FlowReader::from_reader(Path::new("test.l3c"), Box::new(Cursor::new(text.to_vec())));
        let mut steps = Vec::new();
        while let Some(step) = reader.next_step()? {
            steps.push(step);
        }
        Ok(steps)
    }

    #[test]
    fn reads_every_kind_of_line() {
        let text = "# head\nN 1 B 10 5 seed\nP 2 S 11 6\nX\nI 18446744073709551615 S 10 7\nF 1 5 10\n\
                    B 0 0 11 6\nD S 11 6\nD B\n\nR 2 1 x\r\nC 2";
        let steps = read_all(text.as_bytes()).expect("a good file");
        let commands: Vec<(u64, usize)> = steps.iter().map(|step| (step.line, step.expectations.len())).collect();
        assert_eq!(commands, [(2, 0), (3, 1), (5, 4), (11, 0), (12, 0)]);
        let FlowCommand::New { order, kind, side, price, quantity } = steps[2].command else { panic!("a new order") };
        assert_eq!((order, kind, side), (u64::MAX, NewOrderKind::ImmediateOrCancel, Side::Ask));
        assert_eq!((price, quantity), (Ticks(10), Lots(7)));
        assert_eq!(steps[2].expectations[0], (6, Expectation::Fill { maker: 1, quantity: Lots(5), price: Ticks(10) }));
        assert_eq!(
            steps[2].expectations[1].1,
            Expectation::BestBidOffer { bid: (Ticks(0), Lots(0)), ask: (Ticks(11), Lots(6)) }
        );
        assert_eq!(steps[2].expectations[3].1, Expectation::Depth { side: Side::Bid, levels: vec![] });
        assert_eq!((steps[1].depth_levels(), steps[2].depth_levels()), (0, 1));
        assert_eq!(steps[3].command, FlowCommand::Reduce { order: 2, quantity: Lots(1) });
    }

    #[test]
    fn names_file_line_and_fault() {
        let long = format!("# {}\n", "x".repeat(MAX_LINE_BYTES));
        let deep = format!("N 1 B 1 1\nD B{}\n", " 1 1".repeat(11));
        let cases: [(&[u8], u64, &str); 16] = [
            (b"N 1 B 10\n", 1, "quantity is missing"),
            (b"N 1 B 10 5 seed more\n", 1, "unexpected field: more"),
            (b"N 1 Q 10 5\n", 1, "side is neither B nor S: Q"),
            (b"N 1\n", 1, "side is missing"),
            (b"N -1 B 10 5\n", 1, "oid is no unsigned number: -1"),
            (b"N +1 B 10 5\n", 1, "oid is no unsigned number: +1"),
            (b"N 18446744073709551616 B 1 1\n", 1, "oid does not fit 64 bits: 18446744073709551616"),
            (b"N 1 B 0 5\n", 1, "price is zero"),
            (b"N 1 B 1.5 5\n", 1, "price is no unsigned number: 1.5"),
            (b"N 1 B 10 5\nR 1 0\n", 2, "quantity is zero"),
            (b"# a\nF 1 1 1\n", 2, "an expectation without a command in front of it"),
            (b"N 1 B 10 5\nB 10 5 11\n", 2, "quantity is missing"),
            (b"N 1 B 10 5\nD S 10\n", 2, "quantity is missing"),
            (b"Z\n", 1, "unknown kind of line: Z"),
            (b"N 1 B 10 5\nC \xff\n", 2, "not UTF-8"),
            (long.as_bytes(), 1, "line too long"),
        ];
        for (text, line, message) in cases.into_iter().chain([(deep.as_bytes(), 2, "more than 10 levels")]) {
            let error = read_all(text).expect_err("a bad file").to_string();
            assert_eq!(error, format!("test.l3c:{line}: {message}"));
        }
    }

    #[test]
    fn too_many_expectations_are_refused() {
        let text = format!("N 1 B 10 5\n{}", "X\n".repeat(MAX_EXPECTATIONS + 1));
        let error = read_all(text.as_bytes()).expect_err("too many").to_string();
        assert_eq!(error, format!("test.l3c:{}: too many expectations for one command", MAX_EXPECTATIONS + 2));
    }

    #[test]
    fn gzip_and_plain_read_alike_and_a_cut_gzip_is_an_error() {
        let text = b"N 1 B 10 5\nN 2 S 12 7\nC 1\n";
        let directory = tempfile::tempdir().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        let packed = encoder.finish().unwrap();
        let [plain, gzip, cut] = ["a.l3c", "a.l3c.gz", "cut.l3c.gz"].map(|name| directory.path().join(name));
        std::fs::write(&plain, text).unwrap();
        std::fs::write(&gzip, &packed).unwrap();
        std::fs::write(&cut, &packed[..packed.len() - 12]).unwrap();
        let expected = FlowBounds { commands: 3, max_price: Ticks(12), max_quantity: Lots(7) };
        assert_eq!(scan_bounds(&plain).unwrap(), expected);
        assert_eq!(scan_bounds(&gzip).unwrap(), expected);
        assert!(matches!(scan_bounds(&cut), Err(LoadtestError::Io { .. })));
        assert!(matches!(scan_bounds(&directory.path().join("none")), Err(LoadtestError::Io { .. })));
    }
}
