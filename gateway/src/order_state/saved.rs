//! Orders as bytes and back.
//!
//! Each record by id with whether it rests or waits, and behind them the ended ones in the order of their ends. Which client id
//! names which order follows from that, since ids rise: the latest order that used it has the highest.

use std::collections::HashSet;

use lakh_engine::ids::OrderId;
use lakh_engine::wire::{DecodeError, Wire};

use super::{OrderRecord, OrderState, OrderStateOptions};
use crate::saved::{put_each, sorted, take_each};

impl OrderState {
    /// Appends all of it, for a snapshot. Between two commands only, when what ended has been counted.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self {
            options: _,
            records,
            by_client_id: _,
            open,
            ended,
            ended_by_account: _,
            just_ended,
            next_end_number: _,
        } = self;
        assert!(just_ended.is_empty(), "a snapshot is taken between two commands");
        put_each(sorted(records).into_iter(), out, |(order, record), out| {
            let is_open = open.get(&record.account).is_some_and(|own| own.contains(&(record.market, order)));
            u8::from(is_open).encode(out);
            record.as_ref().encode(out);
        });
        put_each(ended.values(), out, Wire::encode);
    }

    /// Reads what [`Self::save`] wrote; beyond the bounds of `options` the oldest ends are forgotten.
    pub(crate) fn load(options: OrderStateOptions, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut state = Self::new(options);
        let mut last = None;
        for (is_open, record) in take_each(input, <(u8, OrderRecord)>::decode)? {
            let (account, market, order) = (record.account, record.market, record.order);
            if is_open > u8::from(record.status.is_live()) || last >= Some(order) {
                return Err(DecodeError::BadValue);
            }
            last = Some(order);
            if is_open == 1 {
                state.open.entry(account).or_default().insert((market, order));
            }
            if !record.client_id.is_empty() {
                state.by_client_id.insert((account, market, record.client_id), order);
            }
            state.records.insert(order, Box::new(record));
        }
        let mut ended = HashSet::new();
        for order in take_each(input, OrderId::decode)? {
            let has_ended = state.record(order).is_some_and(|record| !record.status.is_live());
            if !has_ended || !ended.insert(order) {
                return Err(DecodeError::BadValue);
            }
            state.just_ended.push(order);
        }
        state.forget_oldest();
        Ok(state)
    }
}
