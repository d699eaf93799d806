//! Orders as bytes and back.
//!
//! Each record by id with whether it rests or waits, and behind them the ended ones in the order of their ends. Which client id
//! names which order follows from that, since ids rise: the latest order that used it has the highest.

use std::collections::HashSet;

use lakh_engine::ids::OrderId;
use lakh_engine::wire::{DecodeError, Wire};

use super::{Entry, OrderRecord, OrderState, OrderStateOptions, Standing};
use crate::saved::{put_each, take_each};

impl OrderState {
    /// Appends all of it, for a snapshot. Between two commands only, when what ended has been counted.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self {
            options: _,
            slots,
            by_order,
            by_client_id: _,
            client_ids: _,
            accounts: _,
            ended,
            just_ended,
            just_named,
            forgotten: _,
            latest: _,
        } = self;
        assert!(just_ended.is_empty() && just_named.is_empty(), "a snapshot is taken between two commands");
        let mut places: Vec<_> = by_order.places().collect();
        places.sort_unstable_by_key(|place| slots.key(*place).order);
        put_each(places.into_iter(), out, |place, out| {
            let Entry { record, standing } = slots.get(place);
            u8::from(*standing == Standing::Open).encode(out);
            record.encode(out);
        });
        put_each(slots.iter(ended), out, |(key, _), out| key.order.encode(out));
    }

    /// Reads what [`Self::save`] wrote; beyond the bounds of `options` the oldest ends are forgotten.
    pub(crate) fn load(options: OrderStateOptions, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut state = Self::new(options);
        let mut last = None;
        for (is_open, record) in take_each(input, <(u8, OrderRecord)>::decode)? {
            let order = record.order;
            if is_open > u8::from(record.status.is_live()) || last >= Some(order) {
                return Err(DecodeError::BadValue);
            }
            last = Some(order);
            let place = state.add(record);
            if is_open == 1 {
                state.open(place);
            }
        }
        let mut ended = HashSet::new();
        for order in take_each(input, OrderId::decode)? {
            let place = state.place_of(order);
            let place = place.filter(|place| !state.slots.get(*place).record.status.is_live() && ended.insert(*place));
            state.just_ended.push(place.ok_or(DecodeError::BadValue)?);
        }
        state.forget_oldest();
        Ok(state)
    }
}
