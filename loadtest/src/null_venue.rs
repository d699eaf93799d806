//! A venue that does nothing: what a server costs, and this client, when every request is answered at once and blindly.
//!
//! Beside it a venue's latency can be judged, and against it the generator's own processor time is measured. It answers
//! on both protocols with as many bytes as a venue does: a task a connection, each read answered with one write. It looks
//! at no signature, keeps no book and takes everything. For tests it can misbehave at one request, so that each check of
//! the client is seen to fail.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use lakh_gateway::wire::sbe::enums::{ExecutionType, SessionRole, WireEnum};
use lakh_gateway::wire::sbe::market::{MarketDefinition, MarketListRequest};
use lakh_gateway::wire::sbe::orders::{
    CancelOrder, MassQuote, NewOrder, OperationEntry, OrderFrame, QuoteEntry, ReplaceOrder,
};
use lakh_gateway::wire::sbe::reports::{ExecutionReport, FrameAccepted, OperationResult, ReplaceResult};
use lakh_gateway::wire::sbe::session::{Logon, LogonAccepted};
use lakh_gateway::wire::sbe::{Block, Frame, HEADER_BYTES, next_frame, put, unpadded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use zerocopy::FromZeros;

use crate::scan::scan_id;

/// Bytes of an answer, as a venue's to an order with `newOrderRespType=ACK`.
const ANSWER_BYTES: usize = 220;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// The message of each binary session at which a venue misbehaves that is meant to.
const SPECIAL: u64 = 20;

/// How it treats its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullConduct {
    /// As it should.
    Good,
    /// Says nothing to one request of each session.
    DropsAnswer,
    /// Answers one request of each session twice.
    AnswersTwice,
    /// Leaves out a number of its own messages.
    SkipsNumber,
    /// Leaves out a number of the account's reports.
    SkipsReport,
    /// Ends each session at one request.
    Closes,
    /// Answers a request that was never sent.
    AnswersNobody,
}

/// Serves both protocols for as long as the runtime lives.
///
/// # Errors
/// When a listener fails.
pub async fn serve(websocket: TcpListener, binary: TcpListener, conduct: NullConduct) -> std::io::Result<()> {
    loop {
        tokio::select! {
            accepted = websocket.accept() => {
                tokio::spawn(serve_websocket(quick(accepted?)?));
            }
            accepted = binary.accept() => {
                tokio::spawn(serve_binary(quick(accepted?)?, conduct));
            }
        }
    }
}

fn quick((stream, _): (TcpStream, SocketAddr)) -> std::io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn serve_websocket(stream: TcpStream) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut sink, source) = socket.split();
    // All that came with one read is answered with one write.
    let mut source = source.ready_chunks(1_024);
    while let Some(messages) = source.next().await {
        for message in messages {
            let Ok(Message::Text(request)) = message else { continue };
            let Some(id) = scan_id(request.as_bytes()) else { return };
            let mut answer = format!("{{\"id\":{id},\"status\":200,\"result\":{{\"executedQty\":\"0\",\"pad\":\"");
            answer.extend(std::iter::repeat_n('x', ANSWER_BYTES.saturating_sub(answer.len() + 3)));
            answer.push_str("\"}}");
            if sink.feed(Message::text(answer)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

async fn serve_binary(mut stream: TcpStream, conduct: NullConduct) {
    let mut session = NullSession { conduct, account: 0, sequence: 0, reports: 0, out: Vec::new() };
    let (mut buffer, mut pending) = (vec![0; READ_BYTES], Vec::new());
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        pending.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Ok(Some(frame)) = next_frame(&pending[at..]) {
            at += frame.bytes.len();
            if session.answer(&frame).is_none() {
                return;
            }
        }
        pending.drain(..at);
        if stream.write_all(&session.out).await.is_err() {
            return;
        }
        session.out.clear();
    }
}

/// A session as far as the protocol needs one.
struct NullSession {
    conduct: NullConduct,
    account: u32,
    sequence: u64,
    reports: u64,
    out: Vec<u8>,
}

impl NullSession {
    /// Answers a message; `None` ends the session.
    fn answer(&mut self, frame: &Frame<'_>) -> Option<()> {
        let number = u64::from_le_bytes(*frame.body().first_chunk()?);
        let mut rounds = 1;
        if number == SPECIAL {
            match self.conduct {
                NullConduct::Closes => return None,
                NullConduct::DropsAnswer => rounds = 0,
                NullConduct::AnswersTwice => rounds = 2,
                NullConduct::SkipsNumber => self.sequence += 1,
                NullConduct::SkipsReport => self.reports += 1,
                NullConduct::AnswersNobody => self.execution(number + 1_000_000, ExecutionType::New),
                NullConduct::Good => {}
            }
        }
        for _ in 0..rounds {
            self.answer_once(frame, number)?;
        }
        Some(())
    }

    fn answer_once(&mut self, frame: &Frame<'_>, number: u64) -> Option<()> {
        match frame.template {
            Logon::TEMPLATE => self.log_on(frame.block::<Logon>().ok()?),
            NewOrder::TEMPLATE => self.execution(number, ExecutionType::New),
            CancelOrder::TEMPLATE => self.execution(number, ExecutionType::Canceled),
            ReplaceOrder::TEMPLATE => {
                self.execution(number, ExecutionType::Canceled);
                let mut result = ReplaceResult::new_zeroed();
                result.request_sequence = number.into();
                result.account_sequence = self.next_report().into();
                self.put(&result);
                self.execution(number, ExecutionType::New);
            }
            OrderFrame::TEMPLATE => self.frame(number, frame.entries::<OperationEntry>().ok()?.len()),
            MassQuote::TEMPLATE => self.frame(number, frame.entries::<QuoteEntry>().ok()?.len()),
            MarketListRequest::TEMPLATE => {
                let mut definition = MarketDefinition::new_zeroed();
                definition.request_sequence = number.into();
                self.put(&definition);
            }
            _ => {}
        }
        Some(())
    }

    fn log_on(&mut self, logon: &Logon) {
        let sender = unpadded(&logon.sender_comp_id).ok().and_then(|sender| std::str::from_utf8(sender).ok());
        let account = sender.and_then(|sender| sender.strip_prefix("load-")).and_then(|account| account.parse().ok());
        self.account = account.unwrap_or(1);
        let mut accepted = LogonAccepted::new_zeroed();
        accepted.account_id = self.account.into();
        accepted.heartbeat_interval = logon.heartbeat_interval;
        accepted.max_in_flight = u32::MAX.into();
        accepted.role = SessionRole::Trading.wire();
        self.put(&accepted);
    }

    fn execution(&mut self, number: u64, kind: ExecutionType) {
        let mut report = ExecutionReport::new_zeroed();
        report.request_sequence = number.into();
        report.account_sequence = self.next_report().into();
        report.account_id = self.account.into();
        report.execution_type = kind.wire();
        self.put(&report);
    }

    fn frame(&mut self, number: u64, operations: usize) {
        let mut accepted = FrameAccepted::new_zeroed();
        accepted.request_sequence = number.into();
        accepted.account_sequence = self.next_report().into();
        self.put(&accepted);
        for index in (0..u8::MAX).take(operations) {
            self.execution(number, ExecutionType::New);
            let mut result = OperationResult::new_zeroed();
            result.request_sequence = number.into();
            result.account_sequence = self.next_report().into();
            result.index = index;
            self.put(&result);
        }
    }

    const fn next_report(&mut self) -> u64 {
        self.reports += 1;
        self.reports
    }

    /// Appends a message with the session's next number.
    fn put<B: Block>(&mut self, block: &B) {
        self.sequence += 1;
        let start = self.out.len();
        put(&mut self.out, block);
        let number = start + HEADER_BYTES;
        self.out[number..number + 8].copy_from_slice(&self.sequence.to_le_bytes());
    }
}
