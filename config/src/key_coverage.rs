//! That the two commented files and the structs name the same keys: a key that nobody can look up does not exist.

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};

use crate::gateway::GatewayConfig;
use crate::history::HistoryConfig;
use crate::sections::{CapacitiesText, JournalConfig, OperatorsConfig, TlsConfig};
use crate::settlement::SettlementText;
use crate::text::{
    AccountText, AssetText, DocumentText, ExchangeText, GenesisText, MarketText, OperatorKeyText, WatcherKeyText,
};
use crate::watchers::WatchersConfig;
use crate::{Config, GenesisSeed};

const FILES: [(&str, &str); 2] =
    [("config/dev.toml", include_str!("../dev.toml")), ("config/production.toml", include_str!("../production.toml"))];

/// A deserializer that only hears which fields a struct has.
struct FieldNames<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(Error::custom("heard enough"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(FieldNames(&mut names)).is_err(), "the probe gives no value");
    assert!(!names.is_empty(), "a section has keys");
    names
}

/// The header of each table and the keys that its struct reads.
fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("[exchange]", fields::<ExchangeText>()),
        ("[journal]", fields::<JournalConfig>()),
        ("[gateway]", fields::<GatewayConfig>()),
        ("[operators]", fields::<OperatorsConfig>()),
        ("[watchers]", fields::<WatchersConfig>()),
        ("[tls]", fields::<TlsConfig>()),
        ("[history]", fields::<HistoryConfig>()),
        ("[settlement]", fields::<SettlementText>()),
        ("[capacities]", fields::<CapacitiesText>()),
        ("[[asset]]", fields::<AssetText>()),
        ("[[market]]", fields::<MarketText>()),
        ("[[genesis.account]]", fields::<AccountText>()),
        ("[[operator_key]]", fields::<OperatorKeyText>()),
        ("[[watcher_key]]", fields::<WatcherKeyText>()),
    ]
}

/// The lines of the first table under `header`, examples taken in.
fn first_table<'a>(text: &'a str, header: &str) -> Vec<&'a str> {
    let taken_in = text.lines().map(|line| if is_example(line) { &line[1..] } else { line });
    let mut lines = taken_in.skip_while(|line| *line != header);
    assert_eq!(lines.next(), Some(header));
    lines.take_while(|line| !line.starts_with('[')).collect()
}

/// Whether the line is an example to be taken in: `#key = …` or `#[table]`, not `# prose`.
fn is_example(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|next: char| next == '[' || next.is_ascii_lowercase()))
}

#[test]
fn every_table_of_the_document_is_looked_at() {
    let mut top: Vec<&str> = fields::<DocumentText>();
    assert_eq!(fields::<GenesisText>(), ["account"]);
    top.retain(|field| !tables().iter().any(|(header, _)| header.trim_matches(['[', ']']).starts_with(field)));
    assert_eq!(top, Vec::<&str>::new());
}

#[test]
fn every_key_is_named_and_explained_in_both_files() {
    for (header, keys) in tables() {
        // A venue has a contract or money of its own making, never both.
        let with_it = FILES.iter().filter(|(_, text)| text.lines().any(|line| line.trim_start_matches('#') == header));
        assert!(with_it.clone().count() >= 1, "no file has {header}");
        for (file, text) in with_it {
            let lines = first_table(text, header);
            for key in &keys {
                let at = lines.iter().position(|line| line.starts_with(&format!("{key} = ")));
                let at = at.unwrap_or_else(|| panic!("{file} does not name {key} in {header}"));
                assert!(at > 0 && lines[at - 1].starts_with("# "), "{file} does not explain {key} in {header}");
            }
        }
    }
}

/// What a file says a key's default is must be what the struct does without the key.
#[test]
fn the_stated_defaults_are_the_real_ones() {
    let bare = "[exchange]\nmode = \"dev\"\n[watchers]\n[settlement]\nchain_url = \"http://[::1]\"\nchain_id = 1\n\
                contract = \"0x1111111111111111111111111111111111111111\"\nposter_key_file = \"key\"\nheader_key_file = \"other\"";
    let bare = Config::from_toml(bare, "bare");
    let bare = format!("{:?}", bare.unwrap());
    for (file, text) in FILES {
        for header in ["[journal]", "[gateway]", "[watchers]", "[operators]", "[settlement]", "[capacities]"] {
            if !text.lines().any(|line| line == header) {
                continue;
            }
            let mut stated = None;
            for line in first_table(text, header) {
                if line.starts_with('#') && line.ends_with("No default.") {
                    stated = Some(String::new());
                } else if let Some((_, rest)) = line.strip_prefix('#').and_then(|prose| prose.split_once("Default ")) {
                    stated = rest.split([',', ' ']).next().map(|value| value.trim_end_matches('.').to_owned());
                } else if let Some((key, _)) = line.split_once(" = ") {
                    let value = stated.take().unwrap_or_else(|| panic!("{file} states no default of {header} {key}"));
                    if value.is_empty() {
                        continue;
                    }
                    let word = value.trim_matches('"');
                    let (initial, rest) = word.split_at(word.len().min(1));
                    let capitalised = initial.to_uppercase() + rest;
                    let real = [value.as_str(), word, &capitalised]
                        .iter()
                        .any(|shown| [",", " }"].iter().any(|end| bare.contains(&format!(" {key}: {shown}{end}"))));
                    assert!(real, "{file}: the default of {key} is not {value}: {bare}");
                }
            }
        }
    }
}

#[test]
fn both_files_load() {
    for (file, text) in FILES {
        let config = Config::from_toml(text, file).unwrap_or_else(|error| panic!("{error}"));
        assert!(!config.markets.is_empty());
    }
    assert_eq!(Config::dev().markets.len(), 2);
}

#[test]
fn the_examples_of_both_files_load_once_their_keys_are_filled_in() {
    for (file, text) in FILES {
        let taken_in: Vec<&str> = text.lines().map(|line| if is_example(line) { &line[1..] } else { line }).collect();
        let taken_in =
            taken_in.join("\n").replace("<64 hexadecimal digits of an operator's public key>", &"2b".repeat(32));
        let taken_in = taken_in.replace("<64 hexadecimal digits of a watcher's public key>", &"2c".repeat(32));
        let config = Config::from_toml(&taken_in, file).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.accounts.is_empty() != config.settlement.is_none() && !config.operator_keys.is_empty());
        let seed = GenesisSeed { exchange_id: config.exchange.id.unwrap(), hash_seed: 1 };
        assert!(config.genesis_commands(seed).is_ok());
    }
}

#[test]
fn an_example_left_unfilled_is_refused() {
    let (file, text) = FILES[1];
    let taken_in: Vec<&str> = text.lines().map(|line| if is_example(line) { &line[1..] } else { line }).collect();
    let message = Config::from_toml(&taken_in.join("\n"), file).unwrap_err().to_string();
    let expected = "config/production.toml: operator_key[0].public_key: is not 64 hexadecimal digits";
    assert_eq!(message, expected);
}
