//! The journal as its users see it: round trips, damage, faults, kills, followers, random histories.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod common;
mod corruption;
mod every_bit;
mod faults;
mod followers;
mod held_to;
mod kill;
mod properties;
mod recovery_rows;
mod round_trip;
mod stepped;
