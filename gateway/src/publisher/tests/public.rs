//! Public streams: what they show, that they have no gap, and that nothing private is in them.

use std::collections::BTreeMap;

use super::*;
use crate::stream::Speed;

/// A client's book: kept from a snapshot and the messages behind it.
#[derive(Default)]
struct ClientBook {
    last_update_id: u64,
    /// By side and price text.
    levels: BTreeMap<(char, String), String>,
}

impl ClientBook {
    fn from_snapshot(line: &str) -> Self {
        let json = &line[line.find('{').unwrap()..];
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let mut book = Self { last_update_id: value["lastUpdateId"].as_u64().unwrap(), ..Self::default() };
        book.set('b', &value["bids"]);
        book.set('a', &value["asks"]);
        book
    }

    /// Follows a message; it must begin right behind the last one, or around the snapshot.
    fn follow(&mut self, line: &str, follows_message: Option<u64>) -> u64 {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["e"], "depthUpdate");
        let (first, last) = (value["U"].as_u64().unwrap(), value["u"].as_u64().unwrap());
        match follows_message {
            Some(previous) => assert_eq!(first, previous + 1),
            None => assert!(first <= self.last_update_id + 1, "{first} after {}", self.last_update_id),
        }
        assert!(first <= last);
        if last > self.last_update_id {
            self.last_update_id = last;
            self.set('b', &value["b"]);
            self.set('a', &value["a"]);
        }
        last
    }

    fn set(&mut self, side: char, levels: &serde_json::Value) {
        for level in levels.as_array().unwrap() {
            let (price, quantity) = (level[0].as_str().unwrap().to_owned(), level[1].as_str().unwrap().to_owned());
            match quantity.as_str() {
                "0.00000" => self.levels.remove(&(side, price)),
                _ => self.levels.insert((side, price), quantity),
            };
        }
    }
}

/// Live orders and what is left of each: the naive book.
type LiveOrders = Vec<(Order, u64)>;

/// The naive book as the client's would be.
fn naive_levels(live: &LiveOrders) -> BTreeMap<(char, String), String> {
    let mut lots = BTreeMap::<(Side, u64), (u64, u32)>::new();
    for (order, remaining) in live {
        let level = lots.entry((order.side, order.price)).or_default();
        level.0 += remaining;
        level.1 += 1;
    }
    let text = |units: u64, places: u8| {
        let mut out = Vec::new();
        crate::decimal::write(u128::from(units), places, &mut out);
        String::from_utf8(out).unwrap()
    };
    let side = |side| if side == Side::Bid { 'b' } else { 'a' };
    lots.iter().map(|(key, level)| ((side(key.0), text(key.1, 2)), text(level.0, 5))).collect()
}

/// One random command: an order that rests, a trade with a resting one, a cancel, an amendment, or two at once.
fn random_events(scene: &mut Scene, live: &mut LiveOrders, random: &mut Random) -> Vec<Event> {
    let pick = |live: &LiveOrders, random: &mut Random| {
        usize::try_from(random.below(live.len().max(1) as u64)).expect("small")
    };
    let choice = if live.is_empty() { 0 } else { random.below(10) };
    match choice {
        0..=3 => {
            let side = if random.below(2) == 0 { Side::Bid } else { Side::Ask };
            let price = if side == Side::Bid { 100 - random.below(20) } else { 101 + random.below(20) };
            let order = Order { id: scene.next_order(), ..limit(ALICE, side, price, 1 + random.below(50)) };
            live.push((order, order.quantity));
            scene.resting(&order)
        }
        4..=6 => {
            let index = pick(live, random);
            let (maker, remaining) = live[index];
            let quantity = 1 + random.below(remaining);
            let taker = Order { id: scene.next_order(), ..limit(BOB, maker.side.opposite(), maker.price, quantity) };
            live[index].1 -= quantity;
            live.retain(|(_, remaining)| *remaining > 0);
            vec![scene.accepted(&taker), scene.trade(&maker, &taker, quantity, (remaining - quantity, 0))]
        }
        7..=8 => {
            let (order, remaining) = live.remove(pick(live, random));
            vec![scene.canceled(&order, remaining, CancelReason::Requested)]
        }
        _ => {
            let index = pick(live, random);
            let (order, remaining) = live[index];
            if remaining == 1 {
                return Vec::new();
            }
            let reduced_by = 1 + random.below(remaining - 1);
            live[index].0.quantity -= reduced_by;
            live[index].1 -= reduced_by;
            vec![scene.reduced(&order, order.quantity - reduced_by, remaining - reduced_by, reduced_by)]
        }
    }
}

#[test]
fn books_and_depth_messages_equal_a_naive_recomputation() {
    for seed in [1, 0x5eed, 0xdead_beef, 77_777_777] {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut scene = Scene::new();
        let mut client = Client::new(4_096);
        let mut live = LiveOrders::new();
        for _ in 0..20 {
            let events = random_events(&mut scene, &mut live, &mut random);
            scene.apply(None, &events);
        }
        scene.subscribe_stream(&mut client, StreamKind::Depth(Speed::Milliseconds100), StreamWrapping::Raw);
        let (mut book, mut previous) = (None::<ClientBook>, None);
        let mut messages = 0;
        for step in 0..2_000 {
            let events = random_events(&mut scene, &mut live, &mut random);
            scene.apply(None, &events);
            if step == 3 {
                let snapshot = Read::Depth { market: MARKET, limit: 5_000 };
                scene.read(&client, 1, snapshot);
                book = Some(ClientBook::from_snapshot(&client.only()));
            }
            let wakes = step > 3 && random.below(7) == 0;
            if wakes && scene.publisher.next_timeout().is_some() {
                let now = Timestamp(scene.timestamp().0 + step * 1_000_000_000);
                scene.publisher.handle_timeout(now);
                let book = book.as_mut().expect("since step 3");
                previous = Some(book.follow(&client.only(), previous));
                assert_eq!(book.levels, naive_levels(&live), "at step {step}");
                messages += 1;
            }
            let feed = scene.publisher.market_data().feed(MARKET).unwrap();
            assert_eq!(feed.book().feed_sequence(), scene.feed_sequences[0]);
            let best = |side, pick: fn(u64, u64) -> u64| {
                live.iter().filter(|(order, _)| order.side == side).map(|(order, _)| order.price).reduce(pick)
            };
            assert_eq!(feed.book().top().bid.map(|quote| quote.price.0), best(Side::Bid, u64::max));
            assert_eq!(feed.book().top().ask.map(|quote| quote.price.0), best(Side::Ask, u64::min));
            let counted: u32 = feed.book().bids().chain(feed.book().asks()).map(|(_, level)| level.order_count).sum();
            assert_eq!(usize::try_from(counted).unwrap(), live.len());
        }
        assert!(messages > 100, "only {messages} messages");
    }
}

#[test]
fn streams_show_trades_best_prices_and_changed_levels() {
    let mut scene = Scene::new();
    let (mut raw, mut combined) = (Client::new(64), Client::new(64));
    for kind in [StreamKind::Trade, StreamKind::BookTicker, StreamKind::Depth(Speed::Milliseconds100)] {
        scene.subscribe_stream(&mut raw, kind, StreamWrapping::Raw);
        scene.subscribe_stream(&mut combined, kind, StreamWrapping::Combined);
    }
    let maker = scene.place(Order { client_id: "secret", ..limit(ALICE, Side::Ask, 7_000_010, 5) });
    let expected = r#"{"u":1,"s":"BTCUSDT","b":"0.00","B":"0.00000","a":"70000.10","A":"0.00005"}"#;
    assert_eq!(raw.only(), expected);
    assert_eq!(combined.only(), format!(r#"{{"stream":"btcusdt@bookTicker","data":{expected}}}"#));
    scene.place(limit(ALICE, Side::Ask, 7_000_011, 1));
    assert!(raw.received().is_empty(), "the best did not change");
    let taker = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 7_000_010, 5) };
    let events = [scene.accepted(&taker), scene.trade(&maker, &taker, 5, (0, 0))];
    scene.apply(None, &events);
    let trade = r#"{"e":"trade","E":1700000000004,"s":"BTCUSDT","t":1,"p":"70000.10","q":"0.00005","T":1700000000004,"m":false,"M":true}"#;
    let ticker = r#"{"u":3,"s":"BTCUSDT","b":"0.00","B":"0.00000","a":"70000.11","A":"0.00001"}"#;
    assert_eq!(raw.received(), [trade, ticker]);
    assert_eq!(combined.received()[0], format!(r#"{{"stream":"btcusdt@trade","data":{trade}}}"#));
    scene.publisher.handle_timeout(Timestamp(1_000_000_000));
    let depth = r#"{"e":"depthUpdate","E":1700000000004,"s":"BTCUSDT","U":1,"u":3,"b":[],"a":[["70000.10","0.00000"],["70000.11","0.00001"]]}"#;
    assert_eq!(raw.only(), depth);
    assert_eq!(combined.only(), format!(r#"{{"stream":"btcusdt@depth@100ms","data":{depth}}}"#));
}

#[test]
fn depth_messages_keep_their_interval_and_stop_with_the_last_listener() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    let millisecond = 1_000_000;
    scene.place(limit(ALICE, Side::Bid, 1, 1));
    assert_eq!(scene.publisher.next_timeout(), None, "nobody listens");
    scene.subscribe_stream(&mut client, StreamKind::Depth(Speed::Milliseconds100), StreamWrapping::Raw);
    assert_eq!(scene.publisher.next_timeout(), None, "nothing changed");
    scene.place(limit(ALICE, Side::Bid, 2, 1));
    scene.publisher.handle_timeout(Timestamp(500 * millisecond));
    assert!(client.only().contains(r#""U":2,"u":2,"#), "the first one does not wait");
    scene.place(limit(ALICE, Side::Bid, 3, 1));
    assert_eq!(scene.publisher.next_timeout(), Some(Timestamp(600 * millisecond)));
    scene.publisher.handle_timeout(Timestamp(599 * millisecond));
    assert!(client.received().is_empty());
    scene.publisher.handle_timeout(Timestamp(600 * millisecond));
    assert!(client.only().contains(r#""U":3,"u":3,"#));
    let streams = vec![Stream { market: MARKET, kind: StreamKind::Depth(Speed::Milliseconds100) }];
    scene.read(&client, 1, Read::UnsubscribeStreams { streams });
    assert_eq!(client.only(), "#1 ok null");
    scene.place(limit(ALICE, Side::Bid, 4, 1));
    scene.publisher.handle_timeout(Timestamp(900 * millisecond));
    assert!(client.received().is_empty());
    scene.place(limit(ALICE, Side::Bid, 5, 1));
    assert_eq!(scene.publisher.next_timeout(), None, "changes are not noted any more");
}

#[test]
fn a_depth_message_leaves_early_when_it_has_grown_to_its_bound() {
    let mut scene = Scene::with(PublisherOptions { depth_levels_max: 3, ..PublisherOptions::default() });
    let mut client = Client::new(64);
    scene.subscribe_stream(&mut client, StreamKind::Depth(Speed::Milliseconds100), StreamWrapping::Raw);
    for price in 1..=7 {
        scene.place(limit(ALICE, Side::Bid, price, 1));
    }
    let lines = client.received();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(r#""U":1,"u":3,"#) && lines[1].contains(r#""U":4,"u":6,"#), "{lines:#?}");
}

#[test]
fn nothing_private_is_in_a_public_message() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    for kind in [StreamKind::Trade, StreamKind::BookTicker, StreamKind::Depth(Speed::Milliseconds100)] {
        scene.subscribe_stream(&mut client, kind, StreamWrapping::Combined);
    }
    let (secret, other) = (AccountId(4_123_456), AccountId(4_654_321));
    let maker = scene.place(Order { client_id: "secret-m", ..limit(secret, Side::Ask, 10, 5) });
    let taker = Order { id: scene.next_order(), client_id: "secret-t", ..limit(other, Side::Bid, 10, 5) };
    let events = [scene.accepted(&taker), scene.trade(&maker, &taker, 5, (0, 0))];
    scene.apply(Some(client.request(1, AnswerShape::OrderAck)), &events);
    scene.publisher.handle_timeout(Timestamp(1_000_000_000));
    scene.read(&client, 2, Read::Depth { market: MARKET, limit: 5 });
    let (answers, messages): (Vec<_>, Vec<_>) = client.received().into_iter().partition(|line| line.starts_with("#1"));
    assert!(answers[0].contains("secret-t"), "the answer itself is private");
    assert_eq!(messages.len(), 5);
    let orders = [maker.id.to_string(), taker.id.to_string()];
    for private in ["secret", "4123456", "4654321", "\"seq\"", "orderId", "auto-", &orders[0], &orders[1]] {
        assert!(messages.iter().all(|line| !line.contains(private)), "{private} in {messages:#?}");
    }
}
