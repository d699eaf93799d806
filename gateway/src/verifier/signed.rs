//! What is signed of a job, whichever face it came through: by whom, over which bytes, and whether it may share a batch.

use lakh_engine::command::Command;

use super::known_keys::Signer;
use crate::auth::evidence::native_body;
use crate::session::{SignedBytes, Standing, Work};

/// What the signature of some work is about, whichever face it came through.
pub(super) struct Signed<'a> {
    pub(super) signature: &'a [u8; 64],
    pub(super) message: &'a [u8],
    pub(super) other_texts: &'a [Vec<u8>],
}

/// The key whose signature some work carries, by its number and its bytes; `None` for work that needs none.
pub(super) fn signer_of(work: &Work) -> Option<Signer<'_>> {
    match work {
        Work::Signed(signed) => Some((signed.key.key, &signed.public_key)),
        Work::Native(native) => {
            let key = match &native.command {
                Command::Signed(signed) => signed.key,
                Command::Frame(frame) => frame.key,
                // Such work would be refused as unsigned: the binary face makes none.
                _ => return None,
            };
            Some((key, &native.public_key))
        }
        Work::Delegated { .. } | Work::Read(_) | Work::SessionEnded(_) => None,
    }
}

/// Template id and body of a message of the binary face.
pub(super) fn message_of(work: &Work) -> Option<(u16, &[u8])> {
    match work {
        Work::Native(native) => match native.signed {
            SignedBytes::Message(template) => Some((template, native_body(&native.evidence))),
            SignedBytes::Text(_) => None,
        },
        _ => None,
    }
}

impl<'a> Signed<'a> {
    /// `None` for work that needs no signature. `digest` is that of its message, where it is one.
    pub(super) fn of(work: &'a Work, digest: &'a Option<[u8; 32]>) -> Option<Self> {
        match work {
            Work::Signed(signed) => {
                Some(Self { signature: &signed.signature, message: &signed.text, other_texts: &signed.other_texts })
            }
            Work::Native(native) => Some(Self {
                signature: &native.signature,
                message: match &native.signed {
                    SignedBytes::Text(text) => text,
                    SignedBytes::Message(_) => digest.as_ref().expect("each message that is looked at has its digest"),
                },
                other_texts: &[],
            }),
            Work::Delegated { .. } | Work::Read(_) | Work::SessionEnded(_) => None,
        }
    }

    /// True for a signature that will most likely hold over the raw text: one that does not makes the whole batch fail.
    /// Who signs another spelling does so always, and would slow down everybody each time.
    pub(super) fn may_be_batched(&self, standing: Standing) -> bool {
        standing == Standing::Good && self.other_texts.is_empty()
    }
}
