//! Between a node and a `lakh settle` beside it: what both say to each other over the control socket.
//!
//! `lakh settle` speaks: it says how it stands, hands over what it wants journaled, answers questions for proofs and may
//! have the markets closed. The node answers with how much it took and with new questions. The socket is its owner's
//! alone, and nothing else than entries of the contract's queue and sealed batches is taken from it: the engine checks
//! both against what it knows.
//!
//! Bounds: [`MAX_COMMANDS`] commands and [`MAX_QUESTIONS`] questions an exchange; nothing is taken before what came last
//! has found room in the ring; a question that nobody answers within [`PATIENCE`] is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lakh_engine::codec;
use lakh_engine::command::Command;
use lakh_gateway::directory::Directory;
use lakh_gateway::proofs::{ProofDesk, ProofQuestion, ProofRefusal};
use lakh_settlement::chain::{decode_hex, encode_hex};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::node_commands::NodeCommands;
use crate::settlement::SettlementStatus;

/// Commands of one exchange: what the service has under way at most.
pub(crate) const MAX_COMMANDS: usize = 80;
/// Questions of one exchange: so many answers have room in a line.
pub(crate) const MAX_QUESTIONS: usize = 2;
/// How long a question waits for `lakh settle`.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `lakh settle` says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Exchange {
    /// How it stands.
    pub(crate) status: SettlementStatus,
    /// What it wants journaled, in this order: each as the journal has it, as `0x` and hexadecimal digits.
    pub(crate) commands: Vec<String>,
    /// Why every market has to close but for cancels, if so.
    pub(crate) close: Option<String>,
    /// Proofs, by the numbers of their questions; nothing where there is no final batch.
    pub(crate) answers: Vec<(u64, Option<String>)>,
}

/// What the node answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exchanged {
    /// Whether the commands were taken; all of them or none.
    pub(crate) taken: bool,
    /// Whose balances are asked for, by the numbers of the questions.
    pub(crate) questions: Vec<(u64, u32)>,
}

/// A command for [`Exchange::commands`].
pub(crate) fn encode(command: &Command) -> String {
    let mut bytes = Vec::new();
    codec::encode_payload(command, &[], &mut bytes);
    encode_hex(&bytes)
}

fn decode(text: &str) -> Result<Command> {
    let bytes = decode_hex(text).context("a command is hexadecimal digits")?;
    let (command, evidence) = codec::split_payload(&bytes).map_err(|error| anyhow!("no command: {error:?}"))?;
    ensure!(evidence.is_empty(), "nobody signed a command of the node's own");
    match command {
        Command::ChainEntry(_) | Command::BatchSealed(_) => Ok(command),
        _ => bail!("settlement decides nothing but entries of the queue and batches"),
    }
}

/// The node's end.
pub(crate) struct SettlementLink {
    directory: Arc<Directory>,
    commands: NodeCommands,
    questions: Receiver<ProofQuestion>,
    asked: BTreeMap<u64, (ProofQuestion, Instant)>,
    last_question: u64,
    status: Arc<Mutex<SettlementStatus>>,
}

impl SettlementLink {
    /// Nothing was heard yet.
    pub(crate) fn new(directory: Arc<Directory>, commands: NodeCommands, desk: &mut ProofDesk) -> Self {
        let status = Arc::new(Mutex::new(SettlementStatus::apart()));
        let (questions, asked) = (desk.balances(), BTreeMap::new());
        Self { directory, commands, questions, asked, last_question: 0, status }
    }

    /// How settlement stands by what it said last.
    pub(crate) fn status(&self) -> Arc<Mutex<SettlementStatus>> {
        Arc::clone(&self.status)
    }

    /// Takes what `lakh settle` says.
    pub(crate) fn exchange(&mut self, exchange: Exchange) -> Result<Exchanged> {
        let Exchange { status, commands, close, answers } = exchange;
        ensure!(commands.len() <= MAX_COMMANDS, "more than {MAX_COMMANDS} commands at once");
        let commands = commands.iter().map(|text| decode(text)).collect::<Result<Vec<_>>>()?;
        self.directory.chain().set(status.chain_batch, status.final_batch);
        self.status.lock().hear(status);
        self.commands.hand_over();
        let taken = self.commands.is_empty();
        if taken {
            commands.into_iter().for_each(|command| self.commands.push(command));
            if let Some(why) = close {
                tracing::error!("settlement: {why}; every market is closed but for cancels");
                self.commands.close_markets(&self.directory, &why);
            }
            self.commands.hand_over();
        }
        for (number, proof) in answers {
            if let Some((question, _)) = self.asked.remove(&number) {
                question.answer(proof.ok_or(ProofRefusal::NoBatch));
            }
        }
        Ok(Exchanged { taken, questions: self.ask() })
    }

    fn ask(&mut self) -> Vec<(u64, u32)> {
        let late = self.asked.extract_if(.., |_, (_, since)| since.elapsed() > PATIENCE);
        late.for_each(|(_, (question, _))| question.answer(Err(ProofRefusal::NoBatch)));
        let mut questions = Vec::new();
        for question in self.questions.try_iter().filter(|question| !question.is_abandoned()).take(MAX_QUESTIONS) {
            self.last_question += 1;
            questions.push((self.last_question, question.account.0));
            self.asked.insert(self.last_question, (question, Instant::now()));
        }
        questions
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::{BatchSealed, Epoch};
    use lakh_engine::ids::{Reason, Sequence};

    use super::*;

    #[test]
    fn nothing_but_batches_and_entries_is_taken() {
        let sealed = Command::BatchSealed(BatchSealed {
            batch_id: 1,
            first_sequence: Sequence(1),
            last_sequence: Sequence(9),
            new_root: [1; 32],
            data_hash: [2; 32],
        });
        assert_eq!(decode(&encode(&sealed)).unwrap(), sealed);
        let epoch = Command::Epoch(Epoch { epoch: 2, software: Reason::EMPTY });
        assert!(decode(&encode(&epoch)).is_err(), "the node's own");
        for text in ["", "0", "zz", &encode(&sealed)[2..], &format!("{}00", encode(&sealed))] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
