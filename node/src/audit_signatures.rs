//! Many signatures at once, on all processors: what an audit spends its time on.
//!
//! The replay goes on while they are verified. Each worker takes whole batches in turn; one that fails as a whole is
//! verified one by one, so that each forged signature is named.
//!
//! Bounds: three batches of [`BATCH`] a worker; decoded keys, [`KEYS_MAX`] a worker.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use lakh_gateway::auth::evidence::SignedBytes;
use lakh_gateway::auth::signature::{BatchVerifier, SignedMessage, Verdict, VerifyingKey};

/// Signatures of a batch: more are hardly faster.
const BATCH: usize = 1_024;
/// Batches that wait for a worker.
const WAITING: usize = 2;
/// Keys that a worker keeps decoded.
const KEYS_MAX: usize = 65_536;

/// Whose signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    Trader,
    Operator,
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged {
    pub(crate) sequence: u64,
    pub(crate) signer: Signer,
}

/// Signatures that wait, with copies of what they cover.
#[derive(Default)]
struct Batch {
    texts: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    sequence: u64,
    signer: Signer,
    text: Range<usize>,
    public_key: [u8; 32],
    signature: [u8; 64],
}

/// See the module.
pub(crate) struct SignatureAudit {
    senders: Vec<SyncSender<Batch>>,
    workers: Vec<JoinHandle<Vec<Forged>>>,
    next: usize,
    batch: Batch,
}

impl SignatureAudit {
    /// Starts a worker for each processor.
    pub(crate) fn start() -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut audit = Self { senders: Vec::new(), workers: Vec::new(), next: 0, batch: Batch::default() };
        for _ in 0..count {
            let (sender, receiver) = sync_channel(WAITING);
            let verifier = BatchVerifier::from_system().context("the system gave no random bytes")?;
            let worker = std::thread::Builder::new().name("signatures".to_owned());
            audit.workers.push(worker.spawn(move || Worker::new(verifier).run(&receiver))?);
            audit.senders.push(sender);
        }
        Ok(audit)
    }

    /// Takes in the signature behind a record.
    pub(crate) fn add(&mut self, sequence: u64, signer: Signer, signed: &SignedBytes<'_>) -> Result<()> {
        let start = self.batch.texts.len();
        self.batch.texts.extend_from_slice(&signed.bytes);
        let text = start..self.batch.texts.len();
        let (public_key, signature) = (*signed.public_key, *signed.signature);
        self.batch.entries.push(Entry { sequence, signer, text, public_key, signature });
        if self.batch.entries.len() == BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let sent = self.senders[self.next].send(batch);
        self.next = (self.next + 1) % self.senders.len();
        sent.map_err(|_| anyhow!("a thread that verifies signatures has died"))
    }

    /// Waits for all of them; those that do not hold, by record.
    pub(crate) fn finish(mut self) -> Result<Vec<Forged>> {
        self.send()?;
        drop(self.senders);
        let mut forged = Vec::new();
        for worker in self.workers {
            let found = worker.join().map_err(|_| anyhow!("a thread that verifies signatures has panicked"))?;
            forged.extend(found);
        }
        forged.sort_unstable_by_key(|forged| forged.sequence);
        Ok(forged)
    }
}

struct Worker {
    verifier: BatchVerifier,
    keys: HashMap<[u8; 32], Option<VerifyingKey>>,
    verdicts: Vec<Verdict>,
    forged: Vec<Forged>,
}

impl Worker {
    fn new(verifier: BatchVerifier) -> Self {
        Self { verifier, keys: HashMap::new(), verdicts: Vec::new(), forged: Vec::new() }
    }

    fn run(mut self, batches: &Receiver<Batch>) -> Vec<Forged> {
        while let Ok(batch) = batches.recv() {
            self.verify(&batch);
        }
        self.forged
    }

    fn verify(&mut self, batch: &Batch) {
        if self.keys.len() > KEYS_MAX {
            self.keys.clear();
        }
        for Entry { public_key, .. } in &batch.entries {
            self.keys.entry(*public_key).or_insert_with(|| VerifyingKey::from_bytes(public_key).ok());
        }
        let (mut messages, mut entries) = (Vec::new(), Vec::new());
        for entry in &batch.entries {
            let Some(key) = &self.keys[&entry.public_key] else {
                self.forged.push(Forged { sequence: entry.sequence, signer: entry.signer });
                continue;
            };
            let message = &batch.texts[entry.text.clone()];
            messages.push(SignedMessage { key, message, signature: &entry.signature });
            entries.push(entry);
        }
        self.verifier.verify(&messages, &mut self.verdicts);
        for (entry, verdict) in entries.iter().zip(&self.verdicts) {
            if *verdict == Verdict::Refused {
                self.forged.push(Forged { sequence: entry.sequence, signer: entry.signer });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[test]
    fn each_forged_one_is_named_and_no_other() {
        let keys: Vec<SigningKey> = (1..=5).map(|secret| SigningKey::from_bytes(&[secret; 32])).collect();
        let mut audit = SignatureAudit::start().unwrap();
        let count = 3 * BATCH as u64 + 100;
        let bad = [7, 1_500, count];
        for sequence in 1..=count {
            let key = &keys[sequence as usize % keys.len()];
            let text = format!("order {sequence}");
            let mut signature = key.sign(text.as_bytes()).to_bytes();
            if bad.contains(&sequence) {
                signature[5] ^= 1;
            }
            let public_key = key.verifying_key().to_bytes();
            let signed = SignedBytes {
                bytes: text.as_bytes().into(),
                public_key: if sequence == 99 { &[0xFF; 32] } else { &public_key },
                signature: &signature,
            };
            audit.add(sequence, Signer::Trader, &signed).unwrap();
        }
        let forged: Vec<u64> = audit.finish().unwrap().iter().map(|forged| forged.sequence).collect();
        assert_eq!(forged, [7, 99, 1_500, count]);
    }
}
