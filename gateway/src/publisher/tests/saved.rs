//! A publisher out of a snapshot knows what the one knows that went all the way, and is the same afterwards.

use lakh_engine::command::KeyScope;
use lakh_engine::ids::{FeeTier, KeyId};
use lakh_engine::market_spec::{FeeRates, FeeTable};

use super::*;
use crate::publisher::Past;

/// A script of everything that read models take in, the same for the same seed.
fn script(seed: u64, commands: usize) -> Vec<Vec<Event>> {
    let mut random = Random(seed);
    let mut scene = Scene::new();
    let mut resting: Vec<(Order, u64)> = Vec::new();
    let mut commands_made = vec![of_accounts()];
    scene.apply(None, &commands_made[0]);
    for _ in 1..commands {
        let sequence_of_next = scene.next_order();
        let account = if random.below(2) == 0 { ALICE } else { BOB };
        let market = if random.below(3) == 0 { OTHER_MARKET } else { MARKET };
        let client_id = ["", "mine", "again"][random.below(3) as usize];
        let order = Order { id: sequence_of_next, market, client_id, ..limit(account, Side::Bid, 5_000, 0) };
        let (price, quantity) = (5_000 + random.below(8), 1 + random.below(9));
        let order = Order { price, quantity, ..order };
        let mut events = match random.below(6) {
            0 | 1 if !resting.is_empty() => {
                let index = random.below(resting.len() as u64) as usize;
                let (maker, left) = resting[index];
                let traded = 1 + random.below(left);
                let taker = Order { market: maker.market, side: Side::Ask, quantity: traded, ..order };
                let events = vec![scene.accepted(&taker), scene.trade(&maker, &taker, traded, (left - traded, 0))];
                resting[index].1 -= traded;
                resting.retain(|(_, left)| *left > 0);
                events
            }
            2 if !resting.is_empty() => {
                let (order, left) = resting.swap_remove(random.below(resting.len() as u64) as usize);
                vec![scene.canceled(&order, left, CancelReason::Requested)]
            }
            3 => {
                let incoming = scene.accepted(&order);
                vec![incoming, scene.canceled(&order, quantity, CancelReason::NotFilled)]
            }
            _ => {
                resting.push((order, quantity));
                scene.resting(&order)
            }
        };
        let (available, held) = (Atoms(random.below(1_000)), Atoms(random.below(1_000)));
        events.push(Event::BalanceChanged { account, asset: USDT, available, held });
        scene.apply(None, &events);
        commands_made.push(events);
    }
    commands_made
}

/// What is known of accounts and keys beside balances.
fn of_accounts() -> Vec<Event> {
    let (key, sub_account) = (KeyId(4), AccountId(900));
    let scope = KeyScope { operations: 15, market: None, account: Some(sub_account) };
    let mut fees = FeeTable::flat(FeeRate(0), FeeRate(700));
    fees.rates[2] = FeeRates { maker: FeeRate(0), taker: FeeRate(1) };
    vec![
        Event::KeyRegistered { key, account: ALICE, public_key: [8; 32], expires_at: Timestamp::ZERO },
        Event::KeyActivated { key },
        Event::SubAccountOpened { account: sub_account, parent: ALICE },
        Event::KeyNarrowed { key, scope },
        Event::FeesChanged { market: OTHER_MARKET, fees },
        Event::FeeTierChanged { account: ALICE, tier: FeeTier(2) },
    ]
}

fn restored(options: PublisherOptions, bytes: &[u8]) -> Publisher {
    let directory = Arc::new(Directory::new([7; 16], Mode::Dev));
    let mut publisher = Publisher::new(options, directory);
    publisher.load(bytes).expect("what was saved can be loaded");
    publisher
}

/// Small enough that everything forgets.
fn small() -> PublisherOptions {
    let mut options = PublisherOptions::default();
    options.orders.ended_orders_max = 24;
    options.orders.ended_orders_per_account_max = 16;
    options.account_trades.trades_max = 20;
    options.account_trades.trades_per_account_max = 12;
    options.market_data.trades_max = 7;
    options.market_data.candles_max = 3;
    options
}

fn take_in(publisher: &mut Publisher, sequence: u64, events: &[Event]) {
    // 17 s a command: candles of several intervals begin and end.
    let timestamp = Timestamp((START_MS + sequence * 17_000) * 1_000_000);
    publisher.restore(Sequence(sequence), timestamp, events);
}

#[test]
fn restored_in_the_middle_it_ends_where_the_whole_way_ends() {
    for (seed, options) in [(11, small()), (12, PublisherOptions::default())] {
        let script = script(seed, 300);
        let mut whole = Publisher::new(options, Arc::new(Directory::new([7; 16], Mode::Dev)));
        take_in(&mut whole, 1, &listing());
        let key = Event::KeyRegistered {
            key: lakh_engine::ids::KeyId(3),
            account: ALICE,
            public_key: [9; 32],
            expires_at: Timestamp(5),
        };
        take_in(&mut whole, 2, &[key, Event::KeyActivated { key: lakh_engine::ids::KeyId(3) }]);
        let mut forks: Vec<Publisher> = Vec::new();
        for (sequence, events) in (3..).zip(&script) {
            take_in(&mut whole, sequence, events);
            forks.iter_mut().for_each(|fork| take_in(fork, sequence, events));
            if sequence % 23 == 0 {
                forks.push(restored(options, &whole.save()));
            }
        }
        assert!(whole.orders().record_count() > 20 && forks.len() > 10, "seed {seed}: the script reaches all of it");
        for (number, fork) in forks.iter().enumerate() {
            assert_eq!(fork.save(), whole.save(), "seed {seed}, fork {number}");
            for account in [ALICE, BOB] {
                for client_id in ["mine", "again"] {
                    let target = lakh_engine::command::OrderReference::ClientId(ClientId::new(client_id).unwrap());
                    let found = |publisher: &Publisher| publisher.orders().find(account, MARKET, &target).cloned();
                    assert_eq!(found(fork), found(&whole), "seed {seed}, fork {number}: {client_id} of {account}");
                }
            }
            assert_eq!(fork.directory.key(&[9; 32]), whole.directory.key(&[9; 32]));
            assert_eq!(fork.directory.markets(), whole.directory.markets());
            assert_eq!(fork.directory.sub_accounts(ALICE), [AccountId(900)]);
            assert_eq!(fork.directory.fee_tier(AccountId(900)), FeeTier(2));
        }
    }
}

#[test]
fn records_taken_in_together_leave_what_they_leave_one_by_one() {
    for (seed, options) in [(16, small()), (17, PublisherOptions::default())] {
        let (script, listing) = (script(seed, 300), listing());
        let events = std::iter::once(&listing).chain(&script);
        let past = (1..).zip(events).map(|(sequence, events)| Past {
            sequence: Sequence(sequence),
            timestamp: Timestamp((START_MS + sequence * 17_000) * 1_000_000),
            events,
        });
        let past: Vec<Past<'_>> = past.collect();
        let empty = || Publisher::new(options, Arc::new(Directory::new([7; 16], Mode::Dev)));
        let (mut single, mut together) = (empty(), empty());
        past.iter().for_each(|one| single.restore(one.sequence, one.timestamp, one.events));
        let (mut random, mut rest) = (Random(seed), past.as_slice());
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(rest.len().min(1 + random.below(16) as usize));
            together.restore_all(some);
            rest = behind;
        }
        assert_eq!(together.save(), single.save(), "seed {seed}");
        for client_id in ["mine", "again"] {
            let target = lakh_engine::command::OrderReference::ClientId(ClientId::new(client_id).unwrap());
            let found = |publisher: &Publisher| publisher.orders().find(ALICE, MARKET, &target).cloned();
            assert_eq!(found(&together), found(&single), "seed {seed}: {client_id}");
        }
    }
}

#[test]
fn less_room_keeps_the_newest() {
    let mut whole = Publisher::new(PublisherOptions::default(), Arc::new(Directory::new([7; 16], Mode::Dev)));
    take_in(&mut whole, 1, &listing());
    let mut narrow = Publisher::new(small(), Arc::new(Directory::new([7; 16], Mode::Dev)));
    take_in(&mut narrow, 1, &listing());
    for (sequence, events) in (2..).zip(&script(13, 300)) {
        take_in(&mut whole, sequence, events);
        take_in(&mut narrow, sequence, events);
    }
    assert_eq!(restored(small(), &whole.save()).save(), narrow.save());
}

#[test]
fn any_bytes_give_a_publisher_or_an_error() {
    let mut publisher = Publisher::new(small(), Arc::new(Directory::new([7; 16], Mode::Dev)));
    take_in(&mut publisher, 1, &listing());
    for (sequence, events) in (2..).zip(&script(14, 40)) {
        take_in(&mut publisher, sequence, events);
    }
    let whole = publisher.save();
    let load = |bytes: &[u8]| {
        let mut publisher = Publisher::new(small(), Arc::new(Directory::new([7; 16], Mode::Dev)));
        let before = publisher.save();
        let loaded = publisher.load(bytes);
        assert!(loaded.is_ok() || publisher.save() == before, "what cannot be read changes nothing");
        loaded.map(|()| publisher.save())
    };
    assert_eq!(load(&whole).unwrap(), whole);
    for length in 0..whole.len() {
        assert!(load(&whole[..length]).is_err(), "cut at {length}");
    }
    let mut random = Random(15);
    for _ in 0..4_000 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        // A file that changed is refused by its hash; here nothing may panic.
        let _ = load(&bytes);
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(load(&longer).is_err());
}
