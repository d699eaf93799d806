//! Everything that a configuration is refused for, with the exact message: file, key, reason.

use lakh_config::{Config, ConfigError, MAX_FILE_BYTES};

/// A small configuration of a real venue, in which each case changes one thing.
const GOOD: &str = r#"
[exchange]
mode = "run"
venue_tag = "93c1f2a4d07b4e6885a21c3fb6e95d10"

[journal]
segment_bytes = 65536

[gateway]
listen = "127.0.0.1:0"

[operators]
listen = "[::1]:0"

[capacities]
accounts = 3
assets = 2
markets = 1
keys = 3
digests = 30

[[asset]]
symbol = "BTC"
decimals = 8

[[asset]]
symbol = "USDT"
decimals = 6

[[market]]
symbol = "BTCUSDT"
base = "BTC"
quote = "USDT"
tick_size = "0.1"
lot_size = "0.00001"
max_price = "1000000"
max_quantity = "1000"
maker_fee = "-0.0001"
taker_fee = "0.0005"

[[genesis.account]]
public_keys = ["1111111111111111111111111111111111111111111111111111111111111111"]
balances = { BTC = "10.5" }
digest_capacity = 10

[[genesis.account]]
public_keys = [
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333",
]
balances = { USDT = "0.000001", BTC = "1" }
digest_capacity = 10

[[operator_key]]
name = "duty officer"
public_key = "4444444444444444444444444444444444444444444444444444444444444444"
role = 3
"#;

/// The message for [`GOOD`] with the first `from` replaced by `to`.
fn refusal(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the case changes something: {from}");
    match Config::from_toml(&GOOD.replacen(from, to, 1), "venue.toml") {
        Ok(_) => format!("{to:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(refusal(from, to), format!("venue.toml{expected}"), "{from} -> {to}");
    }
}

#[test]
fn the_unchanged_one_is_accepted() {
    let config = Config::from_toml(GOOD, "venue.toml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.accounts.len(), 2);
}

#[test]
fn the_shape() {
    check(&[
        ("mode = \"run\"\n", "", ":2:1: exchange: missing field `mode`"),
        ("mode = \"run\"", "mode = \"test\"", ":3:8: exchange.mode: unknown variant `test`, expected `dev` or `run`"),
        (
            "mode = ",
            "mood = ",
            ":3:1: exchange.mood: unknown field `mood`, expected one of `mode`, `id`, `venue_tag`, `shard`, `fee_notice_s`",
        ),
        (
            "[journal]",
            "[journals]",
            ":6:2: journals: unknown field `journals`, expected one of `exchange`, `journal`, `gateway`, `operators`, `watchers`, `tls`, `history`, `settlement`, `capacities`, `asset`, `market`, `genesis`, `operator_key`, `watcher_key`",
        ),
        ("accounts = 3", "accounts = -3", ":16:12: capacities.accounts: invalid value: integer `-3`, expected u32"),
        ("accounts = 3", "accounts = \"3\"", ":16:12: capacities.accounts: invalid type: string \"3\", expected u32"),
        (
            "tick_size = \"0.1\"",
            "tick_size = 0.1",
            ":34:13: market[0].tick_size: invalid type: floating point `0.1`, expected a string",
        ),
        ("decimals = 6", "decimals = 6\ndecimals = 6", ":29:1: asset[1].decimals: duplicate key"),
        ("taker_fee = \"0.0005\"", "", ":30:1: market[0]: missing field `taker_fee`"),
        ("\"127.0.0.1:0\"", "\"localhost:0\"", ":10:10: gateway.listen: invalid socket address syntax"),
    ]);
}

#[test]
fn the_venue_and_its_sections() {
    check(&[
        ("93c1f2a4d07b4e6885a21c3fb6e95d10", "93c1", ": exchange.venue_tag: is not 32 hexadecimal digits"),
        ("93c1f2a4d07b4e6885a21c3fb6e95d10", &"0".repeat(32), ": exchange.venue_tag: is all zeroes"),
        (
            "93c1f2a4d07b4e6885a21c3fb6e95d10",
            "6c616b682d6465762d76656e75652d31",
            ": exchange.venue_tag: is the demonstration's: orders signed for a demonstration would be valid here",
        ),
        ("mode = \"run\"", "mode = \"run\"\nid = \"xyz\"", ": exchange.id: is not 32 hexadecimal digits"),
        (
            "segment_bytes = 65536",
            "segment_bytes = 4096",
            ": journal.segment_bytes: is 4096, outside of 65536 ..= 17179869184",
        ),
        ("segment_bytes = 65536", "segment_bytes = 65537", ": journal.segment_bytes: is 65537, not a multiple of 4096"),
        ("segment_bytes = 65536", "ring_bytes = 65537", ": journal.ring_bytes: is 65537, not a power of two"),
        ("segment_bytes = 65536", "directory = \"\"", ": journal.directory: is empty"),
        (
            "127.0.0.1:0",
            "0.0.0.0:9080",
            ": gateway.listen: 0.0.0.0:9080 is not loopback, and plain text leaves this machine in no mode",
        ),
        (
            "[::1]:0",
            "192.0.2.1:1",
            ": operators.listen: 192.0.2.1:1 is not loopback, and plain text leaves this machine in no mode",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "listen = \"127.0.0.1:9081\"\nverifiers = 0",
            ": gateway.verifiers: is 0, outside of 1 ..= 64",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "in_flight_per_connection = 12_289",
            ": gateway.in_flight_per_connection: is 12289, outside of 1 ..= 12288",
        ),
        (
            "[::1]:0\"",
            "[::1]:0\"\ncontrol_socket = \"\"",
            ": operators.control_socket (bytes of the path): is 0, outside of 1 ..= 107",
        ),
        ("accounts = 3", "accounts = 0", ": capacities.accounts: is 0, outside of 2 ..= 16777216"),
        ("digests = 30", "digests = 30\nagenda = 0", ": capacities.agenda: is 0, outside of 1 ..= 1048576"),
    ]);
    let same = GOOD.replace("127.0.0.1:0", "127.0.0.1:9").replace("[::1]:0", "127.0.0.1:9");
    let message = Config::from_toml(&same, "venue.toml").unwrap_err().to_string();
    assert_eq!(message, "venue.toml: operators.listen: is the address of gateway.listen");
}

#[test]
fn listeners_with_tls() {
    let tls = "[tls]\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\n[capacities]";
    let with_tls =
        GOOD.replace("[capacities]", tls).replace("listen = \"127", "tls_listen = \"0.0.0.0:9443\"\nlisten = \"127");
    let good = Config::from_toml(&with_tls, "venue.toml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(good.gateway.tls_listen.map(|address| address.port()), Some(9_443));
    let (venue, contract) = (
        "mode = \"run\"",
        ": gateway.tls_listen: 0.0.0.0:9443 is not loopback, and everybody has a demonstration's keys",
    );
    let cases = [
        (
            "[tls]\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\n",
            "",
            ": gateway.tls_listen: needs the section [tls] with a certificate",
        ),
        ("private_key_file = \"k\"\n", "", ":16:1: tls: missing field `private_key_file`"),
        (venue, "mode = \"dev\"", contract),
        (
            "tls_listen = \"0.0.0.0:9443\"",
            "tls_listen = \"0.0.0.0:9443\"\nbinary_tls_listen = \"0.0.0.0:9443\"",
            ": gateway.binary_tls_listen: is the address of gateway.tls_listen",
        ),
        (
            "tls_listen = \"0.0.0.0:9443\"",
            "binary_listen = \"0.0.0.0:9445\"",
            ": gateway.binary_listen: 0.0.0.0:9445 is not loopback, and plain text leaves this machine in no mode",
        ),
        (
            "[::1]:0\"",
            "[::1]:0\"\ntls_listen = \"0.0.0.0:9443\"",
            ": operators.tls_listen: is the address of gateway.tls_listen",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(with_tls.contains(from), "{from}");
        let message = Config::from_toml(&with_tls.replacen(from, to, 1), "venue.toml").unwrap_err().to_string();
        assert_eq!(message, format!("venue.toml{expected}"));
    }
}

#[test]
fn assets() {
    check(&[
        (
            "symbol = \"BTC\"",
            "symbol = \"btc\"",
            ": asset[0].symbol: \"btc\" is not 1 to 16 capital letters and digits",
        ),
        ("symbol = \"USDT\"", "symbol = \"BTC\"", ": asset[1].symbol: BTC stands twice"),
        ("decimals = 6", "decimals = 9", ": asset[1].decimals: is 9, outside of 0 ..= 8"),
        (
            "decimals = 6",
            "decimals = 6\nchain_units_per_atom = 20",
            ": asset[1].chain_units_per_atom: is 20, not a power of ten from 1 to 10^18",
        ),
        (
            "[[asset]]\nsymbol = \"BTC\"",
            "[[asset]]\nsymbol = \"X\"\ndecimals = 1\n[[asset]]\nsymbol = \"BTC\"",
            ": asset: stands 3 times, and capacities.assets is 2",
        ),
    ]);
}

#[test]
fn the_units_of_a_market() {
    check(&[
        (
            "symbol = \"BTCUSDT\"",
            "symbol = \"BTC-USDT\"",
            ": market[0].symbol: \"BTC-USDT\" is not 1 to 16 capital letters and digits",
        ),
        ("base = \"BTC\"", "base = \"DOGE\"", ": market[0].base: \"DOGE\" is no listed [[asset]]"),
        ("quote = \"USDT\"", "quote = \"BTC\"", ": market[0].quote: is the base as well"),
        ("tick_size = \"0.1\"", "tick_size = \"0\"", ": market[0].tick_size: is zero"),
        (
            "tick_size = \"0.1\"",
            "tick_size = \"1e-1\"",
            ": market[0].tick_size: \"1e-1\" is not a plain decimal number such as \"0.01\"",
        ),
        (
            "tick_size = \"0.1\"",
            "tick_size = \"0.01\"",
            ": market[0].tick_size: one lot (0.00001 BTC) at one tick (0.01 USDT) is not a whole number of atoms of 6 decimals",
        ),
        (
            "lot_size = \"0.00001\"",
            "lot_size = \"0.000000001\"",
            ": market[0].lot_size: \"0.000000001\" has more than 8 decimals",
        ),
    ]);
}

#[test]
fn the_bounds_of_a_market() {
    check(&[
        (
            "max_price = \"1000000\"",
            "max_price = \"1000000.05\"",
            ": market[0].max_price: \"1000000.05\" is not a whole multiple of tick_size",
        ),
        ("max_price = \"1000000\"", "max_price = \"0\"", ": market[0].max_price: is zero"),
        (
            "max_price = \"1000000\"",
            "max_price = \"1000000000\"",
            ": market[0].max_quantity: times max_price would not fit the engine's integers (2^59 quote atoms)",
        ),
        (
            "max_price = \"1000000\"",
            "max_price = \"200000000000\"",
            ": market[0].max_price: \"200000000000\" is too large",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"0.000005\"",
            ": market[0].max_quantity: \"0.000005\" is not a whole multiple of lot_size",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmin_quantity = \"2\"",
            ": market[0].min_quantity: is above max_quantity",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1000\"\nmin_quantity = \"0\"",
            ": market[0].min_quantity: is zero",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmin_notional = \"1000000.1\"",
            ": market[0].min_notional: is above max_price × max_quantity, so that no order is large enough",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmarket_order_band = \"0\"",
            ": market[0].market_order_band: \"0\" is outside of 0.000001 ..= 1",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmarket_order_band = \"1.1\"",
            ": market[0].market_order_band: \"1.1\" is outside of 0.000001 ..= 1",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmax_orders = 0",
            ": market[0].max_orders: is 0, outside of 1 ..= 67108864",
        ),
        (
            "max_quantity = \"1000\"",
            "max_quantity = \"1\"\nmax_levels = 0",
            ": market[0].max_levels: is 0, outside of 1 ..= 16777216",
        ),
    ]);
}

#[test]
fn the_fees_of_a_market() {
    check(&[
        (
            "maker_fee = \"-0.0001\"",
            "maker_fee = \"-0.0006\"",
            ": market[0].maker_fee: plus taker_fee is below zero: the venue would pay for trades",
        ),
        ("taker_fee = \"0.0005\"", "taker_fee = \"-0.0005\"", ": market[0].taker_fee: is negative"),
        (
            "taker_fee = \"0.0005\"",
            "taker_fee = \"0.100001\"",
            ": market[0].taker_fee: \"0.100001\" is above 0.1, the highest rate",
        ),
        (
            "taker_fee = \"0.0005\"",
            "taker_fee = \"0.0000001\"",
            ": market[0].taker_fee: \"0.0000001\" has more than 6 decimals",
        ),
    ]);
}

#[test]
fn accounts_and_keys() {
    let well_known = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (first, second, operator) = ("1".repeat(64), "2".repeat(64), "4".repeat(64));
    check(&[
        (&first, "11", ": genesis.account[0].public_keys[0]: is not 64 hexadecimal digits"),
        (&first, &"0".repeat(64), ": genesis.account[0].public_keys[0]: is all zeroes"),
        (
            &second,
            &"3".repeat(64),
            ": genesis.account[1].public_keys[1]: stands twice; a key once bound is never bound again",
        ),
        (
            &second,
            well_known,
            ": genesis.account[1].public_keys[0]: is the key of RFC 8032 TEST 1, whose secret everybody has",
        ),
        (
            &operator,
            well_known,
            ": operator_key[0].public_key: is the key of RFC 8032 TEST 1, whose secret everybody has",
        ),
        (&operator, &first, ": operator_key[0].public_key: stands twice; a key once bound is never bound again"),
        ("role = 3", "role = 4", ": operator_key[0].role: is 4, outside of 0 ..= 3"),
        (
            "name = \"duty officer\"",
            "name = \"é\"",
            ": operator_key[0].name: \"é\" is not 1 to 32 printable ASCII characters",
        ),
        (
            "{ BTC = \"10.5\" }\n",
            "{ BTC = \"10.5\" }\nminimum_evidence = \"header_keyed\"\n",
            ": genesis.account[0].minimum_evidence: is below signed, which only the account's owner may allow (account.allowEvidence)",
        ),
        ("{ BTC = \"10.5\" }", "{}", ": genesis.account[0].balances: is empty, and only a deposit opens an account"),
        ("{ BTC = \"10.5\" }", "{ DOGE = \"1\" }", ": genesis.account[0].balances.DOGE: is no listed [[asset]]"),
        ("{ BTC = \"10.5\" }", "{ BTC = \"0.0\" }", ": genesis.account[0].balances.BTC: is zero: leave it out"),
        (
            "{ BTC = \"10.5\" }",
            "{ BTC = \"1.000000001\" }",
            ": genesis.account[0].balances.BTC: \"1.000000001\" has more than 8 decimals",
        ),
        (
            "{ BTC = \"10.5\" }",
            "{ BTC = \"46116860184\" }",
            ": genesis.account: holds more BTC in all than the engine's supply cap of 2^62 atoms",
        ),
        (
            "public_keys = [\"1111111111111111111111111111111111111111111111111111111111111111\"]",
            "public_keys = []",
            ": genesis.account[0].public_keys: is empty: nobody could trade or withdraw",
        ),
        (
            "digest_capacity = 10",
            "digest_capacity = 0",
            ": genesis.account[0].digest_capacity: is 0, outside of 1 ..= 67108864",
        ),
        (
            "digest_capacity = 10",
            "digest_capacity = 11",
            ": genesis.account: needs 31 digests in all, and capacities.digests is 30",
        ),
        ("accounts = 3", "accounts = 2", ": genesis.account: needs 3 accounts in all, and capacities.accounts is 2"),
        ("keys = 3", "keys = 2", ": genesis.account: needs 3 keys in all, and capacities.keys is 2"),
    ]);
    let second_role = format!("{GOOD}[[operator_key]]\nname = \"n\"\npublic_key = \"{}\"\nrole = 3\n", "5".repeat(64));
    let message = Config::from_toml(&second_role, "venue.toml").unwrap_err().to_string();
    assert_eq!(message, "venue.toml: operator_key[1].role: 3 has a key already");
}

#[test]
fn watchers_and_their_keys() {
    let watchers = "[watchers]\nlisten = \"127.0.0.1:0\"\n";
    let section = |lines: &str| format!("{watchers}{lines}\n[gateway]");
    let cases = [
        ("tls_listen = \"0.0.0.0:0\"", ": watchers.tls_listen: needs the section [tls] with a certificate"),
        ("public_delay_s = 0", ": watchers.public_delay_s: is 0, outside of 1 ..= 31622400"),
        (
            "public = \"always\"",
            ":11:10: watchers.public: unknown variant `always`, expected one of `final`, `delayed`, `never`",
        ),
        ("connections_per_key = 17", ": watchers.connections_per_key: is 17, outside of 1 ..= 16"),
        (
            "bytes_per_second_per_key = 65535",
            ": watchers.bytes_per_second_per_key: is 65535, outside of 65536 ..= 1073741824",
        ),
        ("public_connections = 0", ": watchers.public_connections: is 0, outside of 1 ..= 4096"),
        ("public_connections_per_address = 0", ": watchers.public_connections_per_address: is 0, outside of 1 ..= 16"),
        ("public_bytes_per_second = 1", ": watchers.public_bytes_per_second: is 1, outside of 65536 ..= 1073741824"),
        ("patience_ms = 999", ": watchers.patience_ms: is 999, outside of 1000 ..= 600000"),
    ];
    for (line, expected) in cases {
        assert_eq!(refusal("[gateway]", &section(line)), format!("venue.toml{expected}"), "{line}");
    }
    let anywhere = section("").replace("127.0.0.1:0", "0.0.0.0:9084");
    let expected =
        "venue.toml: watchers.listen: 0.0.0.0:9084 is not loopback, and plain text leaves this machine in no mode";
    assert_eq!(refusal("[gateway]", &anywhere), expected);
    let key = |name: &str, key: &str| format!("{GOOD}\n[[watcher_key]]\nname = {name:?}\npublic_key = {key:?}\n");
    let message = |text: &str| Config::from_toml(text, "venue.toml").unwrap_err().to_string();
    let other = "6".repeat(64);
    let expected = "venue.toml: watcher_key: stands without [watchers], which says where the journal is given out";
    assert_eq!(message(&key("one", &other)), expected);
    let with = |text: &str| text.replacen("[gateway]", &section(""), 1);
    assert_eq!(
        Config::from_toml(&with(&key("one", &other)), "venue.toml").unwrap().watcher_keys[0].public_key,
        [0x66; 32]
    );
    for (name, public_key, expected) in [
        ("", other.as_str(), "watcher_key[0].name: \"\" is not 1 to 32 printable ASCII characters"),
        ("one", "66", "watcher_key[0].public_key: is not 64 hexadecimal digits"),
        ("one", &"4".repeat(64), "watcher_key[0].public_key: stands twice; a key once bound is never bound again"),
    ] {
        assert_eq!(message(&with(&key(name, public_key))), format!("venue.toml: {expected}"));
    }
}

/// [`GOOD`] with its money on a chain.
fn settled() -> String {
    let find = |header| GOOD.find(header).expect("it stands in the text");
    let accounts = find("[[genesis.account]]")..find("[[operator_key]]");
    let mut text = GOOD.replacen("venue_tag = \"93c1f2a4d07b4e6885a21c3fb6e95d10\"\n", "", 1);
    text = text.replacen(&GOOD[accounts], "", 1);
    text + "[settlement]\nchain_url = \"http://127.0.0.1:8545\"\nchain_id = 1\nposter_key_file = \"key\"\nheader_key_file = \"other\"\n\
            contract = \"0x1111111111111111111111111111111111111111\"\n"
}

#[test]
fn a_contract_decides_the_venue_tag_and_brings_the_money() {
    let good = Config::from_toml(&settled(), "venue.toml").unwrap_or_else(|error| panic!("{error}"));
    let binding = good.settlement.unwrap().binding;
    assert_eq!((good.exchange.venue_tag, binding.chain_id), (binding.venue_tag(), 1));
    let account = &GOOD[GOOD.find("[[genesis.account]]").unwrap()..GOOD.find("[[operator_key]]").unwrap()];
    let cases: [(&str, &str, &str); 10] = [
        (
            "mode = \"run\"",
            "mode = \"run\"\nvenue_tag = \"93c1f2a4d07b4e6885a21c3fb6e95d10\"",
            ": exchange.venue_tag: is not that of [settlement]'s contract and chain, f3a32c19d9d554e98004558d3580c449: leave it out",
        ),
        (
            "[settlement]",
            &format!("{account}[settlement]"),
            ": genesis.account: stands beside [settlement], where money comes from the chain only",
        ),
        ("chain_id = 1", "chain_id = 0", ": settlement.chain_id: is 0, outside of 1 ..= 18446744073709551615"),
        ("\"0x11", "\"11", ": settlement.contract: does not begin with 0x"),
        ("\"0x11", "\"0x", ": settlement.contract: behind 0x is not 40 hexadecimal digits"),
        ("\"other\"", "\"\"", ": settlement.header_key_file: is empty"),
        ("\"other\"", "\"key\"", ": settlement.header_key_file: is the poster's key too; they have to be two"),
        (&"1".repeat(40), &"0".repeat(40), ": settlement.contract: is all zeroes"),
        (
            "chain_id = 1",
            "chain_id = 1\nconfirmations = 257",
            ": settlement.confirmations: is 257, outside of 0 ..= 256",
        ),
        (
            "http://127.0.0.1",
            "http://192.0.2.1",
            ": settlement.chain_url: names no loopback address, and plain text leaves this machine in no mode",
        ),
    ];
    for (from, to, expected) in cases {
        let text = settled().replacen(from, to, 1);
        let message = Config::from_toml(&text, "venue.toml").unwrap_err().to_string();
        assert_eq!(message, format!("venue.toml{expected}"), "{from} -> {to}");
    }
    let neither = settled().split("[settlement]").next().unwrap().to_owned();
    let message = Config::from_toml(&neither, "venue.toml").unwrap_err().to_string();
    assert_eq!(message, "venue.toml: exchange.venue_tag: is missing, and there is no [settlement] to derive it from");
}

#[test]
fn a_demonstration_welcomes_well_known_keys() {
    let key = lakh_config::well_known::KEYS[0].public_key_hex;
    let dev = GOOD.replace("mode = \"run\"", "mode = \"dev\"").replace(&"1".repeat(64), key);
    assert!(Config::from_toml(&dev, "dev.toml").is_ok());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let error = Config::load(&missing).unwrap_err();
    assert!(matches!(&error, ConfigError::Read { file, .. } if *file == missing.display().to_string()), "{error}");

    let long = folder.path().join("long.toml");
    std::fs::write(&long, " ".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 1)).unwrap();
    let error = Config::load(&long).unwrap_err().to_string();
    assert!(error.ends_with("long.toml: cannot be read: longer than 67108864 bytes"), "{error}");

    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(matches!(Config::load(&binary), Err(ConfigError::Read { .. })));

    let good = folder.path().join("good.toml");
    std::fs::write(&good, GOOD).unwrap();
    assert!(Config::load(&good).is_ok());
}

/// Any cut of a good file is accepted or refused, never a panic.
#[test]
fn a_file_cut_anywhere_is_no_panic() {
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        let _ = Config::from_toml(&GOOD[..end], "cut.toml");
    }
}
