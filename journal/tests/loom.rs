//! The protocol of ring, slots and notes in every order that the language's memory model allows, by loom.
//!
//! `src/seqlock.rs` is compiled here once more, against loom's atomics: the source that runs, not a copy. Memory is a few
//! words, since loom tries every order of every load and store; the shape is the ring's (a claim that only grows, records
//! of two words, a writer that laps its reader) and the slot's (a claim that is the number, or 0).

#![allow(dead_code, reason = "each model uses its part of the protocol")]

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}

#[path = "../src/seqlock.rs"]
mod seqlock;

use atomics::{AtomicBool, AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;

/// A ring of two records of two words each. A record's words are both its number.
#[derive(Default)]
struct Ring {
    claimed: AtomicU64,
    published: AtomicU64,
    data: [AtomicU64; 4],
}

const CAPACITY: u64 = 4;
const RECORD: u64 = 2;

/// After how many of its stores the writer of one record dies; `ALIVE` for none.
const ALIVE: usize = usize::MAX;

impl Ring {
    /// Record `number`, from 1, as [`lakh_journal`]'s writer stores and publishes it.
    fn write(&self, number: u64, dies_after: usize) {
        let start = (number - 1) * RECORD;
        if dies_after == 0 {
            return;
        }
        seqlock::overwrite(&self.claimed, start + RECORD, || {
            for (nth, at) in (start..start + RECORD).enumerate() {
                if dies_after != ALIVE && nth + 1 >= dies_after {
                    return;
                }
                self.data[(at % CAPACITY) as usize].store(number, Ordering::Relaxed);
            }
        });
        if dies_after == ALIVE {
            seqlock::publish(&self.published, start + RECORD);
        }
    }

    /// Record `number`: `Err(false)` if it is not there yet, `Err(true)` if the reader was lapped.
    fn read(&self, number: u64) -> Result<[u64; 2], bool> {
        let start = (number - 1) * RECORD;
        if seqlock::load(&self.published) < start + RECORD {
            return Err(false);
        }
        let copy = || [start, start + 1].map(|at| self.data[(at % CAPACITY) as usize].load(Ordering::Relaxed));
        seqlock::copied(&self.claimed, copy, |claimed| claimed.saturating_sub(start) <= CAPACITY).ok_or(true)
    }
}

#[test]
fn a_reader_that_is_lapped_never_returns_what_is_not_its_record() {
    loom::model(|| {
        let ring = Arc::new(Ring::default());
        ring.write(1, ALIVE);
        let writer = thread::spawn({
            let ring = Arc::clone(&ring);
            move || (2..=3).for_each(|number| ring.write(number, ALIVE))
        });
        for number in [1, 2] {
            match ring.read(number) {
                Ok(words) => assert_eq!(words, [number; 2]),
                Err(lapped) => assert!(lapped || number == 2, "record 1 was published before the reader began"),
            }
        }
        writer.join().unwrap();
        assert_eq!(ring.read(1), Err(true), "record 3 has overwritten it");
        assert_eq!((ring.read(2), ring.read(3), ring.read(4)), (Ok([2; 2]), Ok([3; 2]), Err(false)));
    });
}

#[test]
fn a_writer_that_dies_between_claim_and_publication_leaves_nothing_that_mixes() {
    for dies_after in 0..=3 {
        loom::model(move || {
            let ring = Arc::new(Ring::default());
            ring.write(1, ALIVE);
            ring.write(2, ALIVE);
            let writer = thread::spawn({
                let ring = Arc::clone(&ring);
                move || ring.write(3, dies_after)
            });
            for number in [1, 2] {
                if let Ok(words) = ring.read(number) {
                    assert_eq!(words, [number; 2], "dies after {dies_after}");
                }
            }
            assert_eq!(ring.read(3), Err(false), "what was not published is not there");
            writer.join().unwrap();
            // The record that the dead writer was about to overwrite is given up as soon as that was claimed.
            assert_eq!(ring.read(1).is_ok(), dies_after == 0);
            assert_eq!(ring.read(2), Ok([2; 2]));
            assert_eq!(ring.read(3), Err(false));
        });
    }
}

/// A slot that two blocks use one after the other: 0 while it is written, then the block's number.
#[test]
fn a_slot_is_of_one_block_or_of_none() {
    loom::model(|| {
        let slot = Arc::new([AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]);
        let fill = |slot: &[AtomicU64; 3], number: u64| {
            seqlock::overwrite(&slot[0], 0, || {
                slot[1].store(number * 10, Ordering::Relaxed);
                slot[2].store(number * 100, Ordering::Relaxed);
            });
            seqlock::publish(&slot[0], number);
        };
        fill(&slot, 1);
        let writer = thread::spawn({
            let slot = Arc::clone(&slot);
            move || fill(&slot, 2)
        });
        let number = seqlock::load(&slot[0]);
        let copy = || [1, 2].map(|at| slot[at].load(Ordering::Relaxed));
        if let (1.., Some(words)) = (number, seqlock::copied(&slot[0], copy, |now| now == number)) {
            assert_eq!(words, [number * 10, number * 100]);
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_worker_that_goes_to_sleep_is_woken_or_has_seen_the_work() {
    loom::model(|| {
        let published = Arc::new(AtomicU64::new(0));
        let idle = Arc::new(AtomicBool::new(false));
        let worker = thread::spawn({
            let (published, idle) = (Arc::clone(&published), Arc::clone(&idle));
            move || seqlock::may_sleep(&idle, || published.load(Ordering::Acquire) == 0)
        });
        let woken = seqlock::publish_work(&published, 1, &idle);
        let sleeps = worker.join().unwrap();
        assert!(!sleeps || woken, "it sleeps, and nobody wakes it");
    });
}
