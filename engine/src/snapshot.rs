//! The whole state as bytes, and back: the canonical encoding that the state hash is taken of.
//!
//! | section | holds |
//! |---|---|
//! | `LKST` | format, sequence, time, epoch, the last record that was passed over, event digest |
//! | 1 | genesis, role nonces, last queue entry with its prefix hash, last batch with its last record |
//! | 2 | assets with what came in and went out |
//! | 3 | markets: specification, state, counters, last price, each side's orders in price-time priority, those that wait |
//! | 4 | owners' accounts with their balances that are not zero |
//! | 5 | keys with their nonce windows |
//! | 6 | digests in use |
//! | 7 | agenda |
//! | 8 | the frame that stands in the agenda, and how far it has come |
//! | 9 | sub-accounts with their balances that are not zero, in the order of their opening |
//! | 10 | what owners let be asked for on weaker evidence, and what is left of it |
//! | 32 | accounts that a forced withdrawal has emptied and no batch covers yet |
//!
//! A section that would be empty is left out. Nothing in it depends on where something stands in memory, so a state
//! that was restored hashes like the one it was taken of.

use alloc::vec::Vec;

use crate::accounts::{Account, Key, KeyStatus};
use crate::agenda::{AgendaItem, CancelAllProgress, FamilyProgress};
use crate::balances::{Balance, Totals};
use crate::chain_queue::ChainPosition;
use crate::command::{EvidenceAllowance, EvidenceGrade, Genesis, Side};
use crate::digests::DigestEntry;
use crate::engine::{Engine, Shard};
use crate::fees::Announced;
use crate::forced_withdrawal::{ForcedProgress, Leaving};
use crate::ids::{AccountId, AssetId, FeeTier};
use crate::market::Market;
use crate::market_spec::{FeeTable, MarketSpec};
use crate::nonces::NonceWindow;
use crate::order::Order;
use crate::reject::RejectCode;
use crate::triggers::PriceRange;
use crate::units::{Lots, Ticks};
use crate::wire::{
    DecodeError, FLAT_BYTES, Flat, Wire, append_flat, wire_byte_enum, wire_enum, wire_flat_struct, wire_struct,
};

const MAGIC: [u8; 4] = *b"LKST";
const FORMAT: u8 = 0;

/// Bytes that are hashed at a time: a multiple of what the hash works on at once, and at home in the caches.
const PIECE: usize = 64 * 1_024;

/// The state's bytes.
pub(crate) fn encode(engine: &Engine) -> Vec<u8> {
    let mut sink = Sink { bytes: Vec::with_capacity(PIECE), hasher: None };
    encode_into(engine, &mut sink);
    sink.bytes
}

/// BLAKE3 of the state's bytes, of which no more than a piece is there at once: all of them, tens of megabytes, would be
/// memory that is taken from the system and given back for each hash.
pub(crate) fn hash(engine: &Engine) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut sink = Sink { bytes: Vec::with_capacity(2 * PIECE), hasher: Some(&mut hasher) };
    encode_into(engine, &mut sink);
    let Sink { bytes, .. } = sink;
    *hasher.update(&bytes).finalize().as_bytes()
}

/// Where the state's bytes go.
struct Sink<'h> {
    /// All of them, or what is not hashed yet.
    bytes: Vec<u8>,
    /// Hashes full pieces.
    hasher: Option<&'h mut blake3::Hasher>,
}

impl Sink<'_> {
    /// Called between two entries.
    #[inline]
    fn hand_on(&mut self) {
        if let Some(hasher) = &mut self.hasher
            && self.bytes.len() >= PIECE
        {
            let full = self.bytes.len() / PIECE * PIECE;
            hasher.update(&self.bytes[..full]);
            self.bytes.drain(..full);
        }
    }
}

fn encode_into(engine: &Engine, sink: &mut Sink<'_>) {
    let out = &mut sink.bytes;
    MAGIC.encode(out);
    FORMAT.encode(out);
    engine.sequence.encode(out);
    engine.now.encode(out);
    engine.epoch.encode(out);
    engine.passed_over.encode(out);
    engine.event_digest.state.iter().for_each(|word| word.encode(out));
    if let Some(shard) = &engine.shard {
        encode_shard(shard, sink);
    }
}

/// The engine that the bytes describe.
pub(crate) fn decode(mut input: &[u8]) -> Result<Engine, DecodeError> {
    let input = &mut input;
    if <[u8; 4]>::decode(input)? != MAGIC || u8::decode(input)? != FORMAT {
        return Err(DecodeError::BadValue);
    }
    let mut engine = Engine::new();
    engine.sequence = Wire::decode(input)?;
    engine.now = Wire::decode(input)?;
    engine.epoch = Wire::decode(input)?;
    engine.passed_over = Wire::decode(input)?;
    engine.event_digest.state = [Wire::decode(input)?, Wire::decode(input)?];
    if !input.is_empty() {
        engine.shard = Some(decode_shard(input)?);
    }
    if input.is_empty() { Ok(engine) } else { Err(DecodeError::TrailingBytes) }
}

fn encode_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("every table has fewer than 2^32 entries").encode(out);
}

/// Appends a tagged section of `length` entries, or nothing when there are none.
fn encode_section<T>(
    tag: u8,
    entries: impl ExactSizeIterator<Item = T>,
    sink: &mut Sink<'_>,
    each: impl Fn(T, &mut Vec<u8>),
) {
    if begin_section(tag, entries.len(), sink) {
        for entry in entries {
            each(entry, &mut sink.bytes);
            sink.hand_on();
        }
    }
}

/// Appends the head of a section of `length` entries, unless there are none. Says whether there are any.
fn begin_section(tag: u8, length: usize, sink: &mut Sink<'_>) -> bool {
    if length > 0 {
        tag.encode(&mut sink.bytes);
        encode_length(length, &mut sink.bytes);
    }
    length > 0
}

/// The number of entries of the section `tag`, 0 when it is not there.
fn section_length(tag: u8, input: &mut &[u8]) -> Result<u32, DecodeError> {
    if input.first() != Some(&tag) {
        return Ok(0);
    }
    *input = &input[1..];
    u32::decode(input)
}

fn encode_shard(shard: &Shard, sink: &mut Sink<'_>) {
    let out = &mut sink.bytes;
    1_u8.encode(out);
    shard.genesis.encode(out);
    shard.role_nonces.iter().for_each(|nonce| nonce.encode(out));
    shard.chain.encode(out);
    encode_section(2, shard.assets.iter(), sink, |spec, out| {
        spec.encode(out);
        let Totals { deposited, withdrawn } = shard.balances.totals(spec.asset);
        deposited.encode(out);
        withdrawn.encode(out);
    });
    if begin_section(3, shard.markets.len(), sink) {
        shard.markets.iter().for_each(|market| encode_market(market, sink));
    }
    encode_section(4, shard.accounts.owners().iter().enumerate(), sink, |(index, account), out| {
        encode_account(shard, AccountId(u32::try_from(index).expect("an account number is a u32")), account, out);
    });
    encode_section(5, shard.accounts.keys().iter(), sink, Key::encode);
    if shard.digests.len() > 0 || shard.digests.oldest_second() > 0 {
        let out = &mut sink.bytes;
        6_u8.encode(out);
        encode_length(shard.digests.len(), out);
        shard.digests.oldest_second().encode(out);
        for entry in shard.digests.entries() {
            entry.encode(&mut sink.bytes);
            sink.hand_on();
        }
    }
    encode_section(7, shard.agenda.items(), sink, AgendaItem::encode);
    if !shard.frame.is_done() {
        8_u8.encode(&mut sink.bytes);
        shard.frame.encode(&mut sink.bytes);
    }
    encode_section(9, shard.accounts.sub_accounts().iter().enumerate(), sink, |(index, account), out| {
        encode_account(shard, shard.accounts.sub_account_id(index), account, out);
    });
    let allowances: Vec<_> = shard.accounts.allowances().collect();
    encode_section(10, allowances.into_iter(), sink, |(owner, allowance), out| {
        owner.encode(out);
        allowance.encode(out);
    });
    encode_section(32, shard.leaving.iter(), sink, Leaving::encode);
}

fn decode_shard(input: &mut &[u8]) -> Result<Shard, DecodeError> {
    if u8::decode(input)? != 1 {
        return Err(DecodeError::BadValue);
    }
    let genesis = Genesis::decode(input)?;
    let mut shard = Shard::new(&genesis).map_err(|_| DecodeError::BadValue)?;
    for nonce in &mut shard.role_nonces {
        *nonce = Wire::decode(input)?;
    }
    shard.chain = Wire::decode(input)?;
    if !shard.chain.is_possible(genesis.settlement) {
        return Err(DecodeError::BadValue);
    }
    for index in 0..section_length(2, input)? {
        let spec = crate::market_spec::AssetSpec::decode(input)?;
        let listed_here = u32::from(spec.asset.0) == index && index < u32::from(genesis.capacities.assets);
        if !listed_here || spec.validate().is_err() {
            return Err(DecodeError::BadValue);
        }
        shard.assets.push(spec);
        let totals = Totals { deposited: Wire::decode(input)?, withdrawn: Wire::decode(input)? };
        shard.balances.restore_totals(spec.asset, totals);
    }
    for index in 0..section_length(3, input)? {
        let market = decode_market(&shard, &genesis, input)?;
        if u32::from(market.spec.market.0) != index || index >= u32::from(genesis.capacities.markets) {
            return Err(DecodeError::BadValue);
        }
        let (id, announced) = (market.spec.market, market.announced_fees);
        shard.markets.push(market);
        shard.note_deadline(id);
        shard.announce_fees(id, announced);
    }
    for index in 0..section_length(4, input)? {
        decode_account(&mut shard, &genesis, index, input)?;
    }
    for index in 0..section_length(5, input)? {
        let key = Key::decode(input)?;
        if index >= genesis.capacities.keys || shard.accounts.owner_account(key.account).is_none() {
            return Err(DecodeError::BadValue);
        }
        let reserved = shard.digests_reserved.checked_add(key.digest_capacity);
        shard.digests_reserved =
            reserved.filter(|all| *all <= shard.digests.capacity()).ok_or(DecodeError::BadValue)?;
        shard.accounts.add_key(key);
    }
    decode_digests(&mut shard, input)?;
    for _ in 0..section_length(7, input)? {
        if shard.agenda.is_full() {
            return Err(DecodeError::BadValue);
        }
        shard.agenda.push(Wire::decode(input)?);
    }
    if input.first() == Some(&8) {
        *input = &input[1..];
        shard.frame = Wire::decode(input)?;
    }
    for _ in 0..section_length(9, input)? {
        decode_sub_account(&mut shard, input)?;
    }
    decode_allowances(&mut shard, input)?;
    for _ in 0..section_length(32, input)? {
        let leaving = Leaving::decode(input)?;
        let follows = shard.leaving.last().is_none_or(|last| last.account < leaving.account);
        if !follows || shard.accounts.account(leaving.account).is_none() || leaving.since <= shard.chain.last_sealed {
            return Err(DecodeError::BadValue);
        }
        shard.leaving.push(leaving);
    }
    Ok(shard)
}

fn encode_market(market: &Market, sink: &mut Sink<'_>) {
    let out = &mut sink.bytes;
    market.spec.encode(out);
    market.state.encode(out);
    market.last_trade.encode(out);
    market.feed_sequence.encode(out);
    market.last_price.encode(out);
    market.triggers.reached.encode(out);
    market.price_band.encode(out);
    market.restart_mode.encode(out);
    market.fees.encode(out);
    market.announced_fees.encode(out);
    market.reopens_to.encode(out);
    let waiting = market.waiting();
    encode_length(market.book.order_count() as usize - waiting.len(), out);
    for side in [Side::Bid, Side::Ask] {
        for order in market.book.orders(side) {
            order.encode(&mut sink.bytes);
            sink.hand_on();
        }
    }
    encode_length(waiting.len(), &mut sink.bytes);
    for order in waiting {
        order.encode(&mut sink.bytes);
        sink.hand_on();
    }
}

fn decode_market(shard: &Shard, genesis: &Genesis, input: &mut &[u8]) -> Result<Market, DecodeError> {
    let spec = Wire::decode(input)?;
    shard.validate_market(&spec).map_err(|_| DecodeError::BadValue)?;
    let mut market = Market::new(spec, genesis);
    market.state = Wire::decode(input)?;
    market.last_trade = Wire::decode(input)?;
    market.feed_sequence = Wire::decode(input)?;
    market.last_price = Wire::decode(input)?;
    market.triggers.reached = Wire::decode(input)?;
    market.price_band = Wire::decode(input)?;
    market.restart_mode = Wire::decode(input)?;
    let fees = FeeTable::decode(input)?;
    let as_specified = (fees.rates[0].maker, fees.rates[0].taker) == (market.spec.maker_fee, market.spec.taker_fee);
    if !as_specified || !fees.is_sound() {
        return Err(DecodeError::BadValue);
    }
    market.fees = fees;
    market.announced_fees = Wire::decode(input)?;
    market.reopens_to = Wire::decode(input)?;
    if market.price_band > MarketSpec::MAX_BAND {
        return Err(DecodeError::BadValue);
    }
    let orders = decode_orders(&market, genesis, input)?;
    let waiting = decode_orders(&market, genesis, input)?;
    let as_it_waits = |order: &Order| order.order_type.waits() && !order.trigger_price.is_zero();
    if !waiting.iter().all(as_it_waits) || waiting.len() > market.triggers.capacity() as usize {
        return Err(DecodeError::BadValue);
    }
    market.restore(&orders, &waiting).map_err(|()| DecodeError::BadValue)?;
    Ok(market)
}

/// A list of orders, each within the market's bounds.
fn decode_orders(market: &Market, genesis: &Genesis, input: &mut &[u8]) -> Result<Vec<Order>, DecodeError> {
    let mut orders = Vec::new();
    // The levels' totals are at most the sum of all, so that has to fit.
    let mut total = Lots::ZERO;
    for _ in 0..u32::decode(input)? {
        let order = Order::decode(input)?;
        let fits = order.account.0 < genesis.capacities.accounts
            && (Ticks(1)..=market.spec.max_price).contains(&order.price)
            && (Lots(1)..=order.quantity).contains(&order.remaining)
            && order.reserve <= order.quantity - order.remaining
            && (order.reserve.is_zero() || !order.display.is_zero())
            && order.quantity <= market.spec.max_quantity
            && orders.len() < market.spec.max_orders as usize;
        if !fits {
            return Err(DecodeError::BadValue);
        }
        total = total.checked_add(order.remaining).ok_or(DecodeError::BadValue)?;
        orders.push(order);
    }
    Ok(orders)
}

fn encode_account(shard: &Shard, id: AccountId, account: &Account, out: &mut Vec<u8>) {
    account.encode(out);
    let balance = |spec: &crate::market_spec::AssetSpec| (spec.asset, shard.balances.balance(id, spec.asset));
    let held = || shard.assets.iter().map(balance).filter(|(_, balance)| *balance != Balance::default());
    u8::try_from(held().count()).expect("at most 64 assets").encode(out);
    for (asset, Balance { available, held }) in held() {
        asset.encode(out);
        available.encode(out);
        held.encode(out);
    }
}

fn decode_account(shard: &mut Shard, genesis: &Genesis, index: u32, input: &mut &[u8]) -> Result<(), DecodeError> {
    let account = Account::decode(input)?;
    match index {
        _ if account.parent != AccountId(0) => return Err(DecodeError::BadValue),
        0 => shard.accounts.restore_venue(account),
        _ if index >= genesis.capacities.accounts => return Err(DecodeError::BadValue),
        _ => shard.accounts.open(account),
    }
    restore_account(shard, AccountId(index), &account, input)
}

fn decode_sub_account(shard: &mut Shard, input: &mut &[u8]) -> Result<(), DecodeError> {
    let account = Account::decode(input)?;
    let parent = shard.accounts.owner_account(account.parent).filter(|_| account.parent != AccountId(0));
    let plain = account.fee_tier == FeeTier(0) && account.announced_tier.is_none() && account.key_epoch == 0;
    if parent.is_none()
        || !plain
        || shard.accounts.check_sub_account(account.parent).is_err_and(|code| code != RejectCode::TableShareTaken)
    {
        return Err(DecodeError::BadValue);
    }
    let id = shard.accounts.open_sub_account(account);
    restore_account(shard, id, &account, input)
}

/// What belongs to an account that is there again.
fn restore_account(shard: &mut Shard, id: AccountId, account: &Account, input: &mut &[u8]) -> Result<(), DecodeError> {
    shard.set_timer(id, account.cancel_all_at);
    shard.announce_tier(id, account.announced_tier);
    for _ in 0..u8::decode(input)? {
        let asset = AssetId::decode(input)?;
        if usize::from(asset.0) >= shard.assets.len() {
            return Err(DecodeError::BadValue);
        }
        let balance = Balance { available: Wire::decode(input)?, held: Wire::decode(input)? };
        shard.balances.restore(id, asset, balance);
    }
    Ok(())
}

/// Owners by rising numbers, each with something that it allows.
fn decode_allowances(shard: &mut Shard, input: &mut &[u8]) -> Result<(), DecodeError> {
    let mut last = AccountId(0);
    for _ in 0..section_length(10, input)? {
        let (owner, allowance) = (AccountId::decode(input)?, EvidenceAllowance::decode(input)?);
        let listed = usize::from(allowance.quote.0) < shard.assets.len();
        if owner <= last || shard.accounts.owner_account(owner).is_none() || !listed {
            return Err(DecodeError::BadValue);
        }
        if allowance == EvidenceAllowance::NONE || allowance.grade >= EvidenceGrade::Signed {
            return Err(DecodeError::BadValue);
        }
        *shard.accounts.allowance_mut(owner) = allowance;
        last = owner;
    }
    Ok(())
}

fn decode_digests(shard: &mut Shard, input: &mut &[u8]) -> Result<(), DecodeError> {
    if input.first() != Some(&6) {
        return Ok(());
    }
    let count = section_length(6, input)?;
    if count > shard.digests.capacity() {
        return Err(DecodeError::BadValue);
    }
    shard.digests.restore_oldest(Wire::decode(input)?);
    for _ in 0..count {
        let entry = DigestEntry::decode(input)?;
        if shard.accounts.key(entry.key).is_none() {
            return Err(DecodeError::BadValue);
        }
        shard.digests.insert(entry);
    }
    Ok(())
}

wire_struct!(ChainPosition { last_queue_id, last_queue_prefix, last_batch_id, last_sealed });
wire_struct!(Announced<FeeTier> { what, from });
wire_struct!(Announced<FeeTable> { what, from });
wire_struct!(Account {
    owner,
    report_sequence,
    key_epoch,
    minimum_grade,
    self_trade_group,
    invited_by,
    cancel_all_at,
    block,
    on_disconnect,
    parent,
    fee_tier,
    announced_tier
});
wire_struct!(Key {
    public_key,
    account,
    status,
    expires_at,
    digest_capacity,
    digests,
    scope,
    limits,
    day,
    spent,
    nonces
});
wire_struct!(DigestEntry { digest, key, expires_second, sequence, rejected });
wire_enum!(AgendaItem {
    0 => CancelAll(progress),
    1 => AdvanceTime(until),
    2 => Triggers(market),
    3 => Frame,
    4 => Disconnected(next),
    5 => Family(progress),
    6 => Forced(progress),
});
wire_struct!(PriceRange { low, high });
wire_struct!(FamilyProgress { owner, done });
wire_struct!(CancelAllProgress { account, origin, market, all_markets, side, after });
wire_struct!(ForcedProgress { account, asset, origin, done, market });
wire_struct!(Leaving { account, since });
wire_flat_struct!(Order {
    id,
    price,
    remaining,
    reserve,
    display,
    quantity,
    hold_per_lot,
    account,
    maker_fee,
    taker_fee,
    side,
    order_type,
    time_in_force,
    self_trade_mode,
    trigger_price,
    expires_at,
    client_id,
});

wire_byte_enum!(KeyStatus { Pending, Live, Revoked, Expired });

impl Wire for NonceWindow {
    fn encode(&self, out: &mut Vec<u8>) {
        self.highest.encode(out);
        self.used.iter().for_each(|word| word.encode(out));
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut window = Self { highest: Wire::decode(input)?, ..Self::EMPTY };
        for word in &mut window.used {
            *word = Wire::decode(input)?;
        }
        Ok(window)
    }
}
