//! The genesis commands, applied to a real engine: none is rejected, and the venue that results is the configured one.

use lakh_config::{Config, GenesisSeed, well_known};
use lakh_engine::Engine;
use lakh_engine::command::{AdminAction, Command, Epoch, EvidenceGrade, MarketState, Mode};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, Reason, Sequence};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

const SEED: GenesisSeed = GenesisSeed { exchange_id: [7; 16], hash_seed: 42 };

/// Applies `commands` from sequence 1 and gives everything that the engine said.
fn apply(engine: &mut Engine, commands: &[Command]) -> Vec<Event> {
    let (mut all, mut events) = (Vec::new(), Vec::new());
    for (sequence, command) in (1..).zip(commands) {
        events.clear();
        engine.apply(Sequence(sequence), Timestamp(sequence), command, &mut events);
        assert!(!events.iter().any(|event| matches!(event, Event::Rejected(_))), "{command:?} gave {events:?}");
        all.append(&mut events);
    }
    all
}

#[test]
fn the_engine_takes_every_command_of_the_demonstration() {
    let config = Config::dev();
    let mut commands = config.genesis_commands(SEED).unwrap();
    commands.push(Command::Epoch(Epoch { epoch: 1, software: Reason::new("test").unwrap() }));
    let mut engine = Engine::new();
    let events = apply(&mut engine, &commands);

    assert_eq!(engine.mode(), Some(Mode::Dev));
    assert_eq!(engine.epoch(), 1);
    assert_eq!(engine.account_count(), 5);
    let specs: Vec<_> = config.markets.iter().map(|market| market.spec).collect();
    assert_eq!(engine.market_specs().copied().collect::<Vec<_>>(), specs);
    assert_eq!(engine.assets(), config.assets);
    let balance = |account, asset| engine.balance(AccountId(account), AssetId(asset)).unwrap().available;
    assert_eq!(balance(1, 0), Atoms(10 * 100_000_000));
    assert_eq!(balance(4, 2), Atoms(100_000_000 * 100_000_000));
    for (number, key) in (1..).zip(&well_known::KEYS[..4]) {
        assert_eq!(engine.public_key(KeyId(number)), Some(config.accounts[number as usize - 1].public_keys[0]));
        assert_eq!(well_known::find(&engine.public_key(KeyId(number)).unwrap()), Some(key));
    }
    let opened =
        events.iter().filter(|event| matches!(event, Event::MarketStateChanged { state: MarketState::Open, .. }));
    assert_eq!(opened.count(), 2);
}

#[test]
fn the_production_file_opens_nothing() {
    let config = Config::from_toml(include_str!("../production.toml"), "production.toml").unwrap();
    let commands = config.genesis_commands(SEED).unwrap();
    apply(&mut Engine::new(), &commands);
    let opens = |command: &Command| matches!(command, Command::Admin(admin) if matches!(admin.action, AdminAction::SetMarketState { .. }));
    assert!(!commands.iter().any(opens));
}

#[test]
fn decimals_become_the_engines_units() {
    let market = Config::dev().markets[0].spec;
    assert_eq!(market.market, MarketId(0));
    assert_eq!(market.tick_size_e8, 1_000_000);
    assert_eq!(market.base_atoms_per_lot, 1_000);
    assert_eq!(market.quote_atoms_per_tick_lot, 10);
    assert_eq!(market.max_price, Ticks(100_000_000));
    assert_eq!((market.min_quantity, market.max_quantity), (Lots(1), Lots(100_000_000)));
    assert_eq!(market.min_notional, Atoms(50_000_000));
    assert_eq!(market.market_order_band, 50_000);
    assert_eq!((market.maker_fee, market.taker_fee), (FeeRate(0), FeeRate(500)));
    let production = Config::from_toml(include_str!("../production.toml"), "production.toml").unwrap();
    assert_eq!(production.markets[0].spec.maker_fee, FeeRate(-100));
}

#[test]
fn several_keys_of_one_account_count_their_epochs() {
    let text = include_str!("../dev.toml").replace(
        "public_keys = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]",
        &format!("public_keys = [\"{}\", \"{}\"]", "1a".repeat(32), "2b".repeat(32)),
    );
    let config = Config::from_toml(&text, "dev.toml").unwrap();
    assert_eq!(config.accounts[0].minimum_evidence, EvidenceGrade::Delegated);
    let commands = config.genesis_commands(SEED).unwrap();
    let mut engine = Engine::new();
    apply(&mut engine, &commands);
    assert_eq!(engine.public_key(KeyId(1)), Some([0x1a; 32]));
    assert_eq!(engine.public_key(KeyId(2)), Some([0x2b; 32]));
}

#[test]
fn a_journal_of_another_identity_is_refused() {
    let id = "[exchange]\nid = \"07070707070707070707070707070708\"";
    let text = include_str!("../dev.toml").replacen("[exchange]", id, 1);
    let config = Config::from_toml(&text, "dev.toml").unwrap();
    let message = config.genesis_commands(SEED).unwrap_err().to_string();
    assert_eq!(message, "dev.toml: exchange.id: is not the identity of this journal");
    let same = GenesisSeed { exchange_id: config.exchange.id.unwrap(), ..SEED };
    assert!(config.genesis_commands(same).is_ok());
    let zero = GenesisSeed { exchange_id: [0; 16], ..SEED };
    assert_eq!(
        Config::dev().genesis_commands(zero).unwrap_err().to_string(),
        "config/dev.toml: exchange.id: is all zeroes"
    );
}
