//! When each request is due, and on which connection: fixed before the start, whatever the venue does.
//!
//! Requests are numbered in the order in which they are due. They are dealt out to the connections in turn, a few in a
//! row to each where the options say so. The flow is even, or a cycle of an even flow with a bunch at its beginning.
//! Integers only; the numbers hold for 2^64 ns and at most 10^9 requests.

use std::time::Duration;

/// Bunches of requests beside the even flow; the rate is that of both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bunches {
    /// Requests in one bunch.
    pub requests: u64,
    /// They are due within so long, evenly.
    pub within: Duration,
    /// One bunch in so long.
    pub every: Duration,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    connections: u64,
    consecutive: u64,
    flow: Flow,
}

#[derive(Clone, Debug)]
enum Flow {
    Even {
        /// Requests in a second, and what a second of them is in nanoseconds.
        requests: u64,
        nanoseconds: u64,
    },
    Cycle {
        /// When the requests of a cycle are due in it, in nanoseconds, sorted.
        offsets: Vec<u64>,
        nanoseconds: u64,
    },
}

impl Schedule {
    /// `operations` a second, `operations_per_request` of them in one request. With bunches a cycle has at least a bunch's
    /// requests.
    pub(crate) fn new(
        (operations, operations_per_request): (u64, u64),
        bunches: Option<Bunches>,
        (connections, consecutive): (u64, u64),
    ) -> Self {
        let flow = match bunches {
            None => Flow::Even { requests: operations, nanoseconds: 1_000_000_000 * operations_per_request },
            Some(bunches) => {
                let cycle_ns = nanoseconds(bunches.every);
                let requests = u128::from(operations) * u128::from(cycle_ns)
                    / (1_000_000_000 * u128::from(operations_per_request));
                let requests = u64::try_from(requests).expect("a cycle has as many as the rate").max(bunches.requests);
                let even = requests - bunches.requests;
                let within = nanoseconds(bunches.within);
                let mut offsets: Vec<u64> =
                    (0..bunches.requests).map(|index| index * within / bunches.requests).collect();
                offsets.extend((0..even).map(|index| index * cycle_ns / even));
                offsets.sort_unstable();
                Flow::Cycle { offsets, nanoseconds: cycle_ns }
            }
        };
        Self { connections, consecutive, flow }
    }

    /// Nanoseconds after the start at which the request `position` of all is due.
    fn due_ns(&self, position: u64) -> u64 {
        match &self.flow {
            Flow::Even { requests, nanoseconds } => {
                let (seconds, rest) = (position / requests, position % requests);
                seconds * nanoseconds
                    + u64::try_from(u128::from(rest) * u128::from(*nanoseconds) / u128::from(*requests))
                        .expect("less than a second of requests")
            }
            Flow::Cycle { offsets, nanoseconds } => {
                let length = offsets.len() as u64;
                let place = usize::try_from(position % length).expect("an index of the cycle");
                position / length * nanoseconds + offsets[place]
            }
        }
    }

    /// After the start, for request `index` of connection `connection`.
    pub(crate) fn due(&self, connection: u64, index: u64) -> Duration {
        let turn = index / self.consecutive * self.connections + connection;
        Duration::from_nanos(self.due_ns(turn * self.consecutive + index % self.consecutive))
    }

    /// The connection whose turn it is at `position` of all.
    pub(crate) fn connection(&self, position: u64) -> usize {
        usize::try_from(position / self.consecutive % self.connections).expect("an index of the connections")
    }

    /// Whether the request `position` of all is due at `now` after the start.
    pub(crate) fn is_due(&self, position: u64, now: Duration) -> bool {
        self.due_ns(position) <= nanoseconds(now)
    }

    /// Requests of one connection when there are `requests` in all.
    pub(crate) fn share(&self, connection: u64, requests: u64) -> u64 {
        let turn = self.connections * self.consecutive;
        let begun = (requests % turn).saturating_sub(connection * self.consecutive);
        requests / turn * self.consecutive + begun.min(self.consecutive)
    }

    /// After the start, when the last of `requests` is due.
    pub(crate) fn end(&self, requests: u64) -> Duration {
        Duration::from_nanos(self.due_ns(requests.saturating_sub(1)))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every request's due time in microseconds with its connection, by position, from the connections' own view.
    fn all(schedule: &Schedule, connections: u64, requests: u64) -> Vec<(u128, u64)> {
        let shares = (0..connections).map(|connection| (connection, schedule.share(connection, requests)));
        let mut all: Vec<_> = shares
            .flat_map(|(connection, share)| (0..share).map(move |index| (connection, index)))
            .map(|(connection, index)| (schedule.due(connection, index).as_micros(), connection))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn requests_are_evenly_spaced_over_all_connections() {
        let schedule = Schedule::new((2_000, 1), None, (4, 1));
        let expected: Vec<_> = (0..11).map(|position| (position * 500, position as u64 % 4)).collect();
        assert_eq!(all(&schedule, 4, 11), expected);
        assert_eq!(schedule.end(11), Duration::from_micros(5_000));
    }

    #[test]
    fn connections_take_turns_of_several_requests() {
        for requests in [1, 5, 6, 7, 12, 13, 23, 24, 1_000] {
            let schedule = Schedule::new((2_000, 1), None, (4, 3));
            let expected: Vec<_> =
                (0..requests).map(|position| (u128::from(position) * 500, position / 3 % 4)).collect();
            assert_eq!(all(&schedule, 4, requests), expected, "{requests} requests");
            let turns: Vec<_> = (0..requests).map(|position| schedule.connection(position) as u64).collect();
            assert_eq!(turns, expected.iter().map(|(_, connection)| *connection).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_request_of_many_operations_is_due_as_rarely() {
        let schedule = Schedule::new((1_000_000, 64), None, (1, 1));
        assert_eq!(schedule.due(0, 1), Duration::from_micros(64));
        assert_eq!(schedule.due(0, 1_000_000), Duration::from_secs(64));
    }

    #[test]
    fn bunches_come_on_time_and_the_rate_stays() {
        let (within, every) = (Duration::from_millis(1), Duration::from_millis(100));
        let schedule = Schedule::new((20_000, 1), Some(Bunches { requests: 175, within, every }), (1, 1));
        let due: Vec<u128> = (0..4_000).map(|index| schedule.due(0, index).as_micros()).collect();
        assert!(due.is_sorted());
        for cycle in 0..2 {
            let begin = cycle * 100_000;
            let bunch = due.iter().filter(|due| (begin..begin + 1_000).contains(*due)).count();
            // 18 of the even flow's 18,250 a second fall into the same millisecond.
            assert_eq!(bunch, 175 + 19);
            assert_eq!(due.iter().filter(|due| (begin..begin + 100_000).contains(*due)).count(), 2_000);
        }
    }

    #[test]
    fn due_is_what_the_due_time_says() {
        let schedule = Schedule::new((3, 1), None, (1, 1));
        assert!(schedule.is_due(0, Duration::ZERO));
        assert!(!schedule.is_due(1, Duration::from_nanos(333_333_332)));
        assert!(schedule.is_due(1, Duration::from_nanos(333_333_333)));
    }
}
