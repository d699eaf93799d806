//! One connection of the load: what is due goes out, what comes in is held against what was asked.
//!
//! Each request has to be answered exactly once, and only after it was sent; each operation of a frame has to have its
//! result in its turn. When everything is answered, a read that the venue answers behind everything else (the barrier)
//! shows that nothing came twice. A barrier that is refused is sent again: with requests in flight up to the venue's
//! limit the venue refuses it at once, ahead of their answers, and proves nothing by it.
//! Bounds: the parts that were handed over and are not yet answered; a read buffer.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::LoadtestError;
use crate::load::binary_answers::BinaryAnswers;
use crate::load::plan::{Expected, Part, RequestKind};
use crate::load::schedule::Schedule;
use crate::load::seen::Seen;
use crate::load::websocket_answers::WebSocketAnswers;

/// Bytes that are read at once.
pub(crate) const READ_BYTES: usize = 256 << 10;
/// How long a barrier's answer is waited for before it is sent again.
const BARRIER_PATIENCE: Duration = Duration::from_secs(1);

/// What reads the answers of the connection's protocol.
#[derive(Debug)]
pub(crate) enum Answers {
    Binary(Box<BinaryAnswers>),
    WebSocket(WebSocketAnswers),
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Requests are sent or waited for.
    Loading,
    /// Everything is answered; the barrier was sent so long after the start.
    Barrier(Duration),
    /// Nothing more can come.
    Done,
}

/// Requests of the connection, by their number in it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) position: u64,
    /// Requests in all.
    total: u64,
    parts: VecDeque<(Part, usize)>,
    /// The first request of the first part.
    first: u64,
    /// Requests that are due.
    pub(crate) released: u64,
    answered: u64,
    operations: u8,
}

impl Ledger {
    /// No requests yet, of `total` with `operations` each.
    pub(crate) const fn new(position: u64, total: u64, operations: u8) -> Self {
        Self { position, total, parts: VecDeque::new(), first: 0, released: 0, answered: 0, operations }
    }

    /// Parts that are here.
    pub(crate) fn parts_ahead(&self) -> usize {
        self.parts.len()
    }

    /// The request with this number, if it was sent and its part is still here.
    pub(crate) fn expected(&mut self, index: u64) -> Option<&mut Expected> {
        if index >= self.released {
            return None;
        }
        let mut offset = usize::try_from(index.checked_sub(self.first)?).ok()?;
        for (part, _) in &mut self.parts {
            match part.expected.get_mut(offset) {
                Some(_) => return part.expected.get_mut(offset),
                None => offset -= part.expected.len(),
            }
        }
        None
    }

    /// The request is answered as a whole.
    fn settle(&mut self, index: u64) {
        self.answered += 1;
        let mut offset = index - self.first;
        for (part, answered) in &mut self.parts {
            let length = part.expected.len() as u64;
            if offset < length {
                *answered += 1;
                return;
            }
            offset -= length;
        }
    }

    /// The one answer of a request with one operation, or a refusal of many: `outcome` is the refusal's code.
    pub(crate) fn conclude(&mut self, index: u64, outcome: Result<(), i64>, seen: &mut Seen<'_>) -> Option<Expected> {
        let operations = u64::from(self.operations);
        let Some(expected) = self.expected(index) else {
            seen.recorder.fault(format!("an answer to request {index}, which was not sent, or was answered long ago"));
            return None;
        };
        if expected.progress != 0 {
            seen.recorder.fault(format!("request {index} was answered twice"));
            return None;
        }
        expected.progress = 1;
        let expected = *expected;
        self.settle(index);
        match outcome {
            Ok(()) => {
                if expected.kind == RequestKind::PostOnly {
                    seen.recorder.fault(format!("request {index}, post-only across the book, was taken"));
                }
                seen.recorder.acknowledge(seen.schedule.due(self.position, index), seen.now);
            }
            Err(code) => seen.recorder.reject(code, operations, seen.now),
        }
        Some(expected)
    }

    /// A frame is taken on; its operations' results follow.
    pub(crate) fn accept_frame(&mut self, index: u64, seen: &mut Seen<'_>) {
        match self.expected(index) {
            Some(expected) if expected.progress == 0 => expected.progress = Expected::ACCEPTED,
            Some(_) => seen.recorder.fault(format!("frame {index} was answered twice")),
            None => seen.recorder.fault(format!("an answer to frame {index}, which was not sent")),
        }
    }

    /// An operation of a frame is done; `outcome` is its refusal's code.
    pub(crate) fn conclude_operation(
        &mut self,
        (index, operation): (u64, u8),
        outcome: Result<(), i64>,
        seen: &mut Seen<'_>,
    ) {
        let operations = self.operations;
        match self.expected(index) {
            Some(expected) if expected.progress == Expected::ACCEPTED | operation => expected.progress += 1,
            _ => {
                let message = format!("a result of operation {operation} of frame {index}, whose turn it is not");
                return seen.recorder.fault(message);
            }
        }
        if operation + 1 == operations {
            self.settle(index);
        }
        match outcome {
            Ok(()) => seen.recorder.acknowledge(seen.schedule.due(self.position, index), seen.now),
            Err(code) => seen.recorder.reject(code, 1, seen.now),
        }
    }

    /// Requests in all, the barrier's number among them.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    answers: Answers,
    pub(crate) ledger: Ledger,
    /// The part that is being written, how many of its bytes are, and requests that are written in all.
    writing: usize,
    written: usize,
    sent: u64,
    stage: Stage,
    /// Barriers sent so far, and what of the last one is not written yet.
    barriers: u64,
    barrier: Vec<u8>,
}

impl Connection {
    pub(crate) const fn new(stream: TcpStream, answers: Answers, ledger: Ledger) -> Self {
        Self {
            stream,
            answers,
            ledger,
            writing: 0,
            written: 0,
            sent: 0,
            stage: Stage::Loading,
            barriers: 0,
            barrier: Vec::new(),
        }
    }

    /// Further requests, behind those that are here.
    pub(crate) fn hand_over(&mut self, part: Part) {
        if !part.expected.is_empty() {
            self.ledger.parts.push_back((part, 0));
        }
    }

    /// Whether nothing more is to come.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Requests without an answer.
    pub(crate) const fn unanswered(&self) -> u64 {
        self.ledger.total - self.ledger.answered
    }

    /// Whether something that is due is not written.
    pub(crate) const fn has_unsent(&self) -> bool {
        self.sent < self.ledger.released || !self.barrier.is_empty()
    }

    /// The connection can do no more.
    fn end(&mut self, why: &LoadtestError, seen: &mut Seen<'_>) {
        if self.stage != Stage::Done {
            seen.recorder.fault(why.to_string());
        }
        self.stage = Stage::Done;
    }

    /// Writes what is due, as much as the socket takes.
    pub(crate) fn write(&mut self, schedule: &Schedule, seen: &mut Seen<'_>) {
        if self.is_done() {
            return;
        }
        if self.sent < self.ledger.released {
            seen.recorder.sent(seen.now.saturating_sub(schedule.due(self.ledger.position, self.sent)));
        }
        if let Err(error) = self.write_due().and_then(|()| self.write_barrier()) {
            self.end(&LoadtestError::connection("writing", error), seen);
        }
    }

    fn write_due(&mut self) -> std::io::Result<()> {
        while let Some((part, _)) = self.ledger.parts.get(self.writing) {
            let before: u64 =
                self.ledger.parts.iter().take(self.writing).map(|(part, _)| part.expected.len() as u64).sum();
            let due = usize::try_from(self.ledger.released - self.ledger.first - before).unwrap_or(usize::MAX);
            let due = due.min(part.ends.len());
            let end = if due == 0 { 0 } else { part.ends[due - 1] };
            while self.written < end {
                match self.stream.write(&part.bytes[self.written..end]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => self.written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        let whole = part.ends.partition_point(|end| *end <= self.written);
                        self.sent = self.ledger.first + before + whole as u64;
                        return Ok(());
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.sent = self.ledger.first + before + due as u64;
            if due < part.ends.len() || self.writing + 1 == self.ledger.parts.len() {
                return Ok(());
            }
            self.writing += 1;
            self.written = 0;
        }
        Ok(())
    }

    fn write_barrier(&mut self) -> std::io::Result<()> {
        while !self.barrier.is_empty() {
            match self.stream.write(&self.barrier) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.barrier.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all that is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8], seen: &mut Seen<'_>) {
        while !self.is_done() {
            let count = match self.stream.read(buffer) {
                Ok(0) => return self.end(&LoadtestError::connection("reading", "the venue closed it"), seen),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.end(&LoadtestError::connection("reading", error), seen),
            };
            seen.look_at_clock();
            if let Err(error) = self.take(&buffer[..count], seen) {
                return self.end(&error, seen);
            }
            if count < buffer.len() {
                return;
            }
        }
    }

    fn take(&mut self, bytes: &[u8], seen: &mut Seen<'_>) -> Result<(), LoadtestError> {
        let barrier_answered = match &mut self.answers {
            Answers::Binary(answers) => answers.take(bytes, &mut self.ledger, seen)?,
            Answers::WebSocket(answers) => answers.take(bytes, &mut self.ledger, seen)?,
        };
        if barrier_answered && matches!(self.stage, Stage::Barrier(_)) {
            self.stage = Stage::Done;
        }
        while let Some((part, answered)) = self.ledger.parts.front() {
            if *answered < part.expected.len() || self.writing == 0 {
                break;
            }
            self.ledger.first += part.expected.len() as u64;
            self.ledger.parts.pop_front();
            self.writing -= 1;
        }
        Ok(())
    }

    /// Once everything is answered, asks for what is answered last.
    pub(crate) fn look_after(&mut self, now: Duration) {
        let is_due = match self.stage {
            Stage::Loading => self.unanswered() == 0,
            Stage::Barrier(sent) => now >= sent + BARRIER_PATIENCE,
            Stage::Done => false,
        };
        let is_refused = match &mut self.answers {
            Answers::Binary(answers) => std::mem::take(&mut answers.barrier_refused),
            Answers::WebSocket(answers) => std::mem::take(&mut answers.barrier_refused),
        };
        if is_due || is_refused {
            let number = self.ledger.total + self.barriers;
            self.barriers += 1;
            self.barrier = match &self.answers {
                Answers::Binary(_) => BinaryAnswers::barrier(number),
                Answers::WebSocket(answers) => answers.barrier(number),
            };
            self.stage = Stage::Barrier(now);
        }
    }
}
