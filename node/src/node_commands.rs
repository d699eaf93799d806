//! The node's own commands on their way into the sequencer: what settlement and keeper decide.
//!
//! Bounds: the ring holds [`RING_CAPACITY`] commands; what finds no room waits here, and whoever decides looks whether
//! anything waits before deciding more.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use lakh_engine::command::{AdminAction, AdminAuthority, AdminCommand, Command, MarketState};
use lakh_engine::ids::Reason;
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{Input, Signal};

/// Places in the ring.
const RING_CAPACITY: usize = 256;

/// The ring into the sequencer.
pub(crate) fn ring() -> (rtrb::Producer<Input>, rtrb::Consumer<Input>) {
    rtrb::RingBuffer::new(RING_CAPACITY)
}

/// See the module.
pub(crate) struct NodeCommands {
    input: rtrb::Producer<Input>,
    signal: Arc<Signal>,
    /// What the ring had no room for.
    waiting: VecDeque<Command>,
}

impl NodeCommands {
    /// Nothing waits.
    pub(crate) fn new(input: rtrb::Producer<Input>, signal: Arc<Signal>) -> Self {
        Self { input, signal, waiting: VecDeque::new() }
    }

    /// Takes a command; [`Self::hand_over`] sends it.
    pub(crate) fn push(&mut self, command: Command) {
        self.waiting.push_back(command);
    }

    /// Closes every market but for cancels that is not closed further, on the node's own authority, with the reason.
    pub(crate) fn close_markets(&mut self, directory: &Directory, why: &str) {
        let printable: String = why.chars().filter(|character| matches!(character, ' '..='~')).take(96).collect();
        let reason = Reason::new(&printable).expect("at most 96 printable ASCII characters");
        for entry in directory.markets() {
            if matches!(entry.state, MarketState::CancelOnly | MarketState::Halt) {
                continue;
            }
            let action = AdminAction::SetMarketState { market: entry.spec.market, state: MarketState::CancelOnly };
            let command = AdminCommand { authority: AdminAuthority::Node, action, reason };
            self.push(Command::Admin(command));
        }
    }

    /// Puts what waits into the ring, as far as there is room.
    pub(crate) fn hand_over(&mut self) {
        let before = self.waiting.len();
        while self.input.slots() > 0
            && let Some(command) = self.waiting.pop_front()
        {
            let input = Input::Command { command, evidence: Bytes::new(), handle: None };
            assert!(self.input.push(input).is_ok(), "this thread alone fills the ring, and it had room");
        }
        if self.waiting.len() < before {
            self.signal.notify();
        }
    }

    /// Whether everything has found room.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
