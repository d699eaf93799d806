//! The way from the sequencer to the publisher: a bounded ring of outputs, and pages on which the events of large commands
//! go beside it.
//!
//! A frame causes hundreds of events of 128 bytes. Copied into a ring of megabytes and out of it again, each of them is
//! written to memory that no cache has any more, twice. So the engine writes into a page, the page itself goes over, and an
//! empty one comes back: nothing is copied. The page that came back last is used next, while it is still in the caches.
//! Commands of few events, and all while no page is free, take the ring.
//!
//! Invariant: the sequencer's end neither allocates nor frees. Bounds: the ring's places, and `PAGES` pages with room for
//! any command; of that memory only what was ever written is there.

use lakh_engine::Engine;
use lakh_engine::event::Event;
use rtrb::chunks::ReadChunk;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::hand_over::Output;

/// Pages that there are beside the one that the engine writes on; the publisher keeps one of them.
const PAGES: usize = 128;
/// Events of one command from which on they go by page.
const PAGE_MIN: usize = 16;

/// The sequencer's end.
#[derive(Debug)]
pub struct OutputSender {
    ring: Producer<Output>,
    returned: Consumer<Vec<Event>>,
    /// Empty pages; the last was used last.
    pages: Vec<Vec<Event>>,
}

/// The publisher's end.
#[derive(Debug)]
pub struct OutputReceiver {
    ring: Consumer<Output>,
    spent: Producer<Vec<Event>>,
}

/// A ring with `capacity` places, and its pages.
pub fn output_ring(capacity: usize) -> (OutputSender, OutputReceiver) {
    let (ring, outputs) = RingBuffer::new(capacity);
    let (spent, returned) = RingBuffer::new(PAGES);
    let pages = (0..PAGES).map(|_| empty_page()).collect();
    (OutputSender { ring, returned, pages }, OutputReceiver { ring: outputs, spent })
}

/// A page with room for the events of any command.
pub fn empty_page() -> Vec<Event> {
    Vec::with_capacity(Engine::MAX_EVENTS)
}

impl OutputSender {
    /// Free places: a command takes at most one more than it has events.
    pub fn slots(&self) -> usize {
        self.ring.slots()
    }

    /// Hands over an [`Output::Applied`] with its events, which are left in place or in an empty page's.
    ///
    /// # Panics
    /// Where there is not room for all of them one by one, which is to be looked at before.
    pub fn send_applied(&mut self, applied: Output, events: &mut Vec<Event>) {
        while let Ok(page) = self.returned.pop() {
            self.pages.push(page);
        }
        if events.len() >= PAGE_MIN
            && let Some(page) = self.pages.pop()
        {
            let written = std::mem::replace(events, page);
            return self.fill(2, [applied, Output::Events(written)]);
        }
        let each = events.iter().map(|event| Output::Event(*event));
        self.fill(1 + events.len(), core::iter::once(applied).chain(each));
    }

    /// Hands over one output that has no events.
    ///
    /// # Panics
    /// Where there is no room, which is to be looked at before.
    pub fn send(&mut self, output: Output) {
        assert!(self.ring.push(output).is_ok(), "room for a whole command was checked before it was taken");
    }

    /// In one go: the publisher's thread looks at the ring meanwhile, and each end that moves is a line between two cores.
    fn fill(&mut self, count: usize, outputs: impl IntoIterator<Item = Output>) {
        let room = self.ring.write_chunk_uninit(count);
        room.expect("room for a whole command was checked before it was taken").fill_from_iter(outputs);
    }
}

impl OutputReceiver {
    /// The next output, if it is there.
    pub fn pop(&mut self) -> Option<Output> {
        self.ring.pop().ok()
    }

    /// A look at it.
    pub fn peek(&self) -> Option<&Output> {
        self.ring.peek().ok()
    }

    /// A look at as many of the next outputs as are there, `count` at most: a part of them and the rest.
    pub(crate) fn peek_many(&mut self, count: usize) -> ReadChunk<'_, Output> {
        self.ring.read_chunk(count.min(self.ring.slots())).expect("they are there")
    }

    /// Takes the `count` events that the command in front still lacks behind `events`, if all of them are there; whether they
    /// were.
    pub fn take_events(&mut self, count: usize, events: &mut Vec<Event>) -> bool {
        if let Ok(Output::Events(_)) = self.ring.peek() {
            let Ok(Output::Events(page)) = self.ring.pop() else { unreachable!("it was just looked at") };
            assert!(events.is_empty() && page.len() == count, "a page has all events of its command");
            self.give_back(std::mem::replace(events, page));
            return true;
        }
        // Where they come one by one, they are taken one by one.
        let Ok(chunk) = self.ring.read_chunk(count) else { return false };
        events.extend(chunk.into_iter().map(|output| match output {
            Output::Event(event) => event,
            other => panic!("all events of a record come directly behind it, and not {other:?}"),
        }));
        true
    }

    /// True where nothing is there.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// True once nothing can come any more, beside what is there.
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// The publisher's own room goes back where a page came; what it began with may be no page.
    fn give_back(&mut self, room: Vec<Event>) {
        if room.capacity() >= Engine::MAX_EVENTS {
            assert!(self.spent.push(room).is_ok(), "there is a place for each page, and the sequencer has one in hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lakh_engine::ids::Sequence;
    use lakh_engine::units::Timestamp;

    use super::*;

    fn event(number: u64) -> Event {
        Event::EpochStarted { epoch: u32::try_from(number).unwrap() }
    }

    fn send(sender: &mut OutputSender, page: &mut Vec<Event>, count: usize) {
        // As the engine does.
        page.clear();
        page.extend((0..count as u64).map(event));
        let event_count = u32::try_from(count).unwrap();
        let (sequence, timestamp) = (Sequence(1), Timestamp(1));
        let spent = Bytes::new();
        sender.send_applied(Output::Applied { sequence, timestamp, event_count, handle: None, spent }, page);
    }

    fn take(receiver: &mut OutputReceiver, events: &mut Vec<Event>) {
        let Some(Output::Applied { event_count, .. }) = receiver.pop() else { panic!("a command comes first") };
        assert!(receiver.take_events(event_count as usize, events));
        assert_eq!(*events, (0..u64::from(event_count)).map(event).collect::<Vec<_>>());
        events.clear();
    }

    #[test]
    fn events_come_behind_their_command_whichever_way_they_take() {
        let (mut sender, mut receiver) = output_ring(2 * (Engine::MAX_EVENTS + 1));
        let (mut page, mut events) = (empty_page(), Vec::new());
        for count in [0, 1, PAGE_MIN - 1, PAGE_MIN, 300, Engine::MAX_EVENTS, 3] {
            send(&mut sender, &mut page, count);
            assert!(page.capacity() >= Engine::MAX_EVENTS, "the engine has room for any command");
            take(&mut receiver, &mut events);
        }
        assert!(receiver.is_empty() && !receiver.is_abandoned());
        assert!(!receiver.take_events(1, &mut events), "what is not there is not taken");
    }

    #[test]
    fn a_look_takes_nothing() {
        let (mut sender, mut receiver) = output_ring(8);
        let (mut page, mut events) = (empty_page(), Vec::new());
        // From the middle of the ring's places on, so that what is looked at has two parts.
        for count in [4, 6] {
            assert_eq!(receiver.peek_many(64).as_slices().0.len(), 0);
            send(&mut sender, &mut page, count);
            for most in [64, 3] {
                let next = receiver.peek_many(most);
                let (first, second) = next.as_slices();
                let seen: Vec<_> = first.iter().chain(second).collect();
                assert_eq!(seen.len(), most.min(1 + count));
                assert!(matches!(seen[0], Output::Applied { event_count, .. } if *event_count as usize == count));
                assert!(matches!(seen[2], Output::Event(Event::EpochStarted { epoch: 1 })));
            }
            take(&mut receiver, &mut events);
        }
    }

    #[test]
    fn without_a_free_page_events_go_through_the_ring_and_every_page_comes_back() {
        let (mut sender, mut receiver) = output_ring(4_096);
        let (mut page, mut events) = (empty_page(), Vec::new());
        for round in 0..3 {
            (0..PAGES + 3).for_each(|_| send(&mut sender, &mut page, PAGE_MIN));
            assert_eq!(sender.pages.len(), 0);
            // One page stays with the publisher, whose own room was none at first.
            let by_page = if round == 0 { PAGES } else { PAGES - 1 };
            let used = 2 * by_page + (PAGES + 3 - by_page) * (1 + PAGE_MIN);
            assert_eq!(4_096 - sender.slots(), used, "round {round}");
            (0..PAGES + 3).for_each(|_| take(&mut receiver, &mut events));
        }
        assert!(events.capacity() >= Engine::MAX_EVENTS);
    }
}
