//! Which signatures of a batch hold: most together, each that may well be bad by itself, within what those like it may cost.

use lakh_engine::units::Timestamp;

use crate::auth::signature::{SignedMessage, Verdict};
use crate::key_budgets::Errand;
use crate::limits::Charge;
use crate::session::{Standing, Work};

use super::signed::{Signed, message_of, signer_of};
use super::{Job, Verifier};

/// How a job's signature was found.
pub(super) enum Finding {
    /// It needed none.
    Unsigned,
    /// It holds, over the raw text or over the other one with this index.
    Holds(Option<usize>),
    /// It does not.
    Refused,
    /// Nobody looked: those who are not trusted yet, or no longer, have had their share.
    Shed,
    /// Nobody looked: there is no room for it behind.
    NoRoom,
}

/// How a signature is looked at.
enum Way {
    /// With the others of its batch.
    Batched,
    /// By itself: it may well be bad.
    Apart,
    /// Not, since those like it have had their share.
    Shed,
    /// Not: there is none, no key for it, or no room behind.
    Unlooked,
}

/// A finding, and the digest of the text that holds where it is of one.
pub(super) type Found = (Finding, Option<[u8; 16]>);

/// The text of a request whose signature holds; `None` for other work.
pub(super) fn held_text<'a>(work: &'a Work, finding: &Finding) -> Option<&'a [u8]> {
    match (work, finding) {
        (Work::Signed(signed), Finding::Holds(other)) => Some(signed.text_signed(*other)),
        _ => None,
    }
}

impl Verifier {
    /// One finding a job, in order.
    pub(super) fn verify(&mut self, jobs: &[Job], now: Timestamp) -> Vec<Finding> {
        // What would find no room in the ring is not worth a verification, which is most of what a request costs.
        let is_full = self.is_full_for(Errand::Other);
        let has_room = |job: &Job| !is_full || job.submission.is_cancel();
        let messages: Vec<_> =
            jobs.iter().map(|job| if has_room(job) { message_of(&job.submission.work) } else { None }).collect();
        let digests = self.digests.of(self.wiring.directory.signing_domain(), &messages);
        let signers: Vec<_> = jobs.iter().map(|job| signer_of(&job.submission.work)).collect();
        self.keys.learn(signers.iter().flatten().copied(), &self.batch);
        let keys: Vec<_> = signers.iter().map(|signer| signer.and_then(|signer| self.keys.of(signer))).collect();
        let (mut batched, mut apart) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut ways = Vec::with_capacity(jobs.len());
        for ((job, key), digest) in jobs.iter().zip(&keys).zip(&digests) {
            let standing = job.submission.standing;
            let signed = if has_room(job) { Signed::of(&job.submission.work, digest) } else { None };
            let (Some(signed), Some(key)) = (signed, *key) else {
                ways.push(Way::Unlooked);
                continue;
            };
            let message = SignedMessage { key, message: signed.message, signature: signed.signature };
            ways.push(if signed.may_be_batched(standing) {
                batched.push(message);
                Way::Batched
            } else if self.may_verify(standing, now) {
                apart.push(message);
                Way::Apart
            } else {
                Way::Shed
            });
        }
        let (mut verdicts, mut verdicts_apart) = (Vec::with_capacity(batched.len()), Vec::new());
        self.batch.verify(&batched, &mut verdicts);
        self.wiring.counters.batches.count();
        if verdicts.contains(&Verdict::Refused) {
            self.wiring.counters.batches_failed.count();
        }
        if !apart.is_empty() {
            self.batch.verify_each(&apart, &mut verdicts_apart);
        }
        let (mut verdicts, mut verdicts_apart) = (verdicts.into_iter(), verdicts_apart.into_iter());
        let finding = |index: usize| {
            let job = &jobs[index];
            if signers[index].is_none() {
                return Finding::Unsigned;
            }
            if !has_room(job) {
                return Finding::NoRoom;
            }
            let raw = match ways[index] {
                Way::Batched => verdicts.next(),
                Way::Apart => verdicts_apart.next(),
                Way::Shed => return Finding::Shed,
                Way::Unlooked => return Finding::Refused,
            };
            let raw = raw.expect("a verdict for each message that was looked at");
            let signed = Signed::of(&job.submission.work, &digests[index]).expect("what names a key is signed");
            let key = keys[index].expect("what was looked at has a key");
            if raw == Verdict::Accepted {
                if job.submission.standing == Standing::Unproven {
                    // A logon, mostly: orders follow.
                    self.batch.expect_more_of(key);
                }
                return Finding::Holds(None);
            }
            let accepted = |text: &Vec<u8>| key.verify(text, signed.signature) == Verdict::Accepted;
            let other = signed.other_texts.iter().position(accepted);
            other.map_or(Finding::Refused, |index| Finding::Holds(Some(index)))
        };
        (0..jobs.len()).map(finding).collect()
    }

    /// Whether a signature is looked at by itself: those that nothing good is known of have so many a second in all.
    fn may_verify(&self, standing: Standing, now: Timestamp) -> bool {
        let share = match standing {
            Standing::Good => return true,
            Standing::Suspect => &self.suspects,
            Standing::Unproven => &self.unproven,
        };
        share.charge(1, now) == Charge::Paid
    }
}
