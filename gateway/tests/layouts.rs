//! The schema and the code say the same: every message, field, type, place and number; and the golden frames hold still.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use common::Random;
use lakh_engine::command::{CancelRestriction, MarketState, OrderType, ReplaceMode, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::CancelReason;
use lakh_gateway::order_state::OrderStatus;
use lakh_gateway::wire::sbe::enums::{
    Channel, Direction, DisconnectChoice, ExecutionType, Finality, OperationKind, SessionRole, SideFilter, StartMode,
    TradeRole, WireEnum,
};
use lakh_gateway::wire::sbe::market::{
    GapFillRequest, LevelChanged, LevelEntry, MarketDataAnswer, MarketDataSubscribe, MarketDataUnsubscribe,
    MarketDefinition, MarketListRequest, MarketStatus, OrderAdded, OrderDeleted, OrderEntry, OrderExecuted,
    OrderReduced, SnapshotBegin, SnapshotEnd, SnapshotLevels, SnapshotOrders, TradeReported,
};
use lakh_gateway::wire::sbe::orders::{
    AmendOrder, CancelAllAfter, CancelOrder, MassCancel, MassQuote, NewOrder, OperationEntry, OrderFrame, QuoteEntry,
    ReplaceOrder,
};
use lakh_gateway::wire::sbe::reports::{
    BusinessReject, CancelTimerSet, ExecutionReport, FrameAccepted, FundsChanged, MassCancelAccepted, OperationResult,
    ReplaceResult, RequestRejected,
};
use lakh_gateway::wire::sbe::session::{Heartbeat, Logon, LogonAccepted, Logout, Reject, TestRequest};
use lakh_gateway::wire::sbe::{
    Block, ENCODING, Entry, FieldLayout, Frame, HEADER_BYTES, SCHEMA_ID, SCHEMA_VERSION, next_frame, put,
    put_with_group,
};

/// What the code says of a message.
struct Coded {
    template: u16,
    name: &'static str,
    fields: &'static [FieldLayout],
    entry: Option<&'static [FieldLayout]>,
    /// Writes a frame of this message from random bytes that are legal in each field.
    write: fn(&mut Random) -> Vec<u8>,
}

macro_rules! coded {
    (plain $($plain:ident)* ; grouped $($grouped:ident($entry:ident))*) => {
        vec![
            $(Coded {
                template: $plain::TEMPLATE,
                name: $plain::NAME,
                fields: $plain::FIELDS,
                entry: None,
                write: |random| {
                    let mut out = Vec::new();
                    put(&mut out, &block::<$plain>(random));
                    out
                },
            },)*
            $(Coded {
                template: $grouped::TEMPLATE,
                name: $grouped::NAME,
                fields: $grouped::FIELDS,
                entry: Some($entry::FIELDS),
                write: |random| {
                    let entries: Vec<$entry> =
                        (0..1 + random.below(3)).map(|_| entry::<$entry>(random)).collect();
                    let mut out = Vec::new();
                    put_with_group(&mut out, &block::<$grouped>(random), &entries);
                    out
                },
            },)*
        ]
    };
}

fn all() -> Vec<Coded> {
    let mut all = coded! {
        plain Logon LogonAccepted Heartbeat TestRequest Logout Reject NewOrder CancelOrder ReplaceOrder AmendOrder
            MassCancel CancelAllAfter ExecutionReport RequestRejected MassCancelAccepted FundsChanged ReplaceResult
            FrameAccepted OperationResult CancelTimerSet BusinessReject MarketListRequest MarketDefinition
            MarketDataSubscribe MarketDataUnsubscribe GapFillRequest MarketDataAnswer OrderAdded OrderExecuted
            OrderReduced OrderDeleted MarketStatus LevelChanged TradeReported SnapshotBegin SnapshotEnd;
        grouped MassQuote(QuoteEntry) OrderFrame(OperationEntry) SnapshotOrders(OrderEntry) SnapshotLevels(LevelEntry)
    };
    all.sort_by_key(|coded| coded.template);
    all
}

fn block<B: Block>(random: &mut Random) -> B {
    B::read_from_bytes(&legal_bytes(B::FIELDS, random)).unwrap()
}

fn entry<E: Entry>(random: &mut Random) -> E {
    E::read_from_bytes(&legal_bytes(E::FIELDS, random)).unwrap()
}

/// Random bytes, except that texts are texts and enumerations mean something.
fn legal_bytes(fields: &[FieldLayout], random: &mut Random) -> Vec<u8> {
    let enums = enums();
    let mut bytes = Vec::new();
    for field in fields {
        if let Some(values) = enums.get(field.schema_type) {
            bytes.push(values[random.below(values.len())].1);
        } else if is_text(field.schema_type) {
            let length = random.below(field.size + 1);
            bytes.extend((0..length).map(|_| b"abcXYZ019_.:/-"[random.below(14)]));
            bytes.extend(std::iter::repeat_n(0, field.size - length));
        } else {
            bytes.extend((0..field.size).map(|_| random.next() as u8));
        }
    }
    bytes
}

fn is_text(schema_type: &str) -> bool {
    matches!(schema_type, "clientOrderId" | "longClientOrderId" | "symbol" | "compId" | "venueTag" | "text")
}

/// The values of each enumeration, by their names in the schema.
fn enums() -> BTreeMap<&'static str, Vec<(String, u8)>> {
    fn values<E: WireEnum + std::fmt::Debug>() -> (&'static str, Vec<(String, u8)>) {
        for (value, number) in E::ALL {
            assert_eq!(value.wire(), *number);
            assert!(E::from_wire(*number).is_ok());
        }
        (E::NAME, E::ALL.iter().map(|(value, number)| (format!("{value:?}"), *number)).collect())
    }
    let mut enums = BTreeMap::from([
        values::<Side>(),
        values::<SideFilter>(),
        values::<OrderType>(),
        values::<TimeInForce>(),
        values::<SelfTradeMode>(),
        values::<CancelRestriction>(),
        values::<ReplaceMode>(),
        values::<OperationKind>(),
        values::<SessionRole>(),
        values::<DisconnectChoice>(),
        values::<ExecutionType>(),
        values::<OrderStatus>(),
        values::<TradeRole>(),
        values::<CancelReason>(),
        values::<Finality>(),
        values::<Direction>(),
        values::<MarketState>(),
        values::<Channel>(),
        values::<StartMode>(),
    ]);
    enums.get_mut("CancelReason").unwrap().push(("None".to_owned(), 255));
    enums
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// An element of the schema: its name and attributes, and the text in it.
#[derive(Debug)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// The schema's elements in order, an end as an element whose name begins with `/`. Only what our own file has: no
/// CDATA, no entities but in descriptions.
fn elements() -> Vec<Element> {
    let xml = std::fs::read_to_string(repository("docs/schema/lakh.xml")).unwrap();
    let mut elements = Vec::new();
    let mut rest = xml.as_str();
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if rest.starts_with("<!--") {
            rest = &rest[rest.find("-->").unwrap() + 3..];
            continue;
        }
        let end = rest.find('>').unwrap();
        let tag = rest[1..end].trim_end_matches('/');
        let closed = rest[..end].ends_with('/');
        rest = &rest[end + 1..];
        if tag.starts_with('?') {
            continue;
        }
        let name = tag.split_whitespace().next().unwrap().replace("sbe:", "");
        let mut attributes = BTreeMap::new();
        let mut tail = &tag[name.len()..];
        while let Some(equals) = tail.find("=\"") {
            let key = tail[..equals].split_whitespace().last().unwrap();
            let value_end = tail[equals + 2..].find('"').unwrap() + equals + 2;
            attributes.insert(key.to_owned(), tail[equals + 2..value_end].to_owned());
            tail = &tail[value_end + 1..];
        }
        let text = rest[..rest.find('<').unwrap_or(0)].trim().to_owned();
        elements.push(Element { name: name.clone(), attributes, text });
        if closed {
            elements.push(Element { name: format!("/{name}"), attributes: BTreeMap::new(), text: String::new() });
        }
    }
    elements
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

#[test]
fn the_code_lies_as_the_schema_says() {
    let mut sizes = BTreeMap::new();
    let mut schema_enums: BTreeMap<String, Vec<(String, u8)>> = BTreeMap::new();
    let mut messages: BTreeMap<u16, (String, usize, Vec<(String, String)>, Option<Vec<(String, String)>>)> =
        BTreeMap::new();
    let (mut current, mut in_group, mut in_composite, mut last_enum) = (0, false, false, String::new());
    for element in elements() {
        let attribute = |name: &str| element.attributes.get(name).cloned().unwrap_or_default();
        match element.name.as_str() {
            "messageSchema" => {
                assert_eq!(attribute("id"), SCHEMA_ID.to_string());
                assert_eq!(attribute("version"), SCHEMA_VERSION.to_string());
                assert_eq!(attribute("byteOrder"), "littleEndian");
            }
            "composite" => in_composite = true,
            "/composite" => in_composite = false,
            "type" if !in_composite => {
                let unit = match attribute("primitiveType").as_str() {
                    "uint64" | "int64" => 8,
                    "uint32" | "int32" => 4,
                    "uint16" => 2,
                    "uint8" | "char" => 1,
                    other => panic!("{other}"),
                };
                let length = attribute("length").parse().unwrap_or(1);
                sizes.insert(attribute("name"), unit * length);
            }
            "enum" => {
                assert_eq!(attribute("encodingType"), "uint8");
                last_enum = attribute("name");
                sizes.insert(last_enum.clone(), 1);
            }
            "validValue" => {
                let value = (attribute("name"), element.text.parse().unwrap());
                schema_enums.entry(last_enum.clone()).or_default().push(value);
            }
            "message" => {
                current = attribute("id").parse().unwrap();
                let length = attribute("blockLength").parse().unwrap();
                messages.insert(current, (attribute("name"), length, Vec::new(), None));
            }
            "group" => {
                assert_eq!(attribute("dimensionType"), "groupSizeEncoding");
                in_group = true;
                messages.get_mut(&current).unwrap().3 = Some(Vec::new());
            }
            "/group" => in_group = false,
            "field" => {
                let message = messages.get_mut(&current).unwrap();
                let fields = if in_group { message.3.as_mut().unwrap() } else { &mut message.2 };
                fields.push((snake(&attribute("name")), attribute("type")));
            }
            _ => {}
        }
    }
    let coded_enums: BTreeMap<String, Vec<(String, u8)>> =
        enums().into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    assert_eq!(coded_enums, schema_enums);
    let coded = all();
    assert_eq!(coded.len(), messages.len());
    for message in coded {
        let (name, length, fields, group) = &messages[&message.template];
        assert_eq!(message.name, name);
        check_fields(name, message.fields, fields, &sizes);
        assert_eq!(*length, fields.iter().map(|(_, schema)| sizes[schema]).sum::<usize>(), "{name}");
        match (message.entry, group) {
            (Some(entry), Some(group)) => check_fields(name, entry, group, &sizes),
            (None, None) => {}
            _ => panic!("{name}: a group is in one of them only"),
        }
    }
}

fn check_fields(name: &str, coded: &[FieldLayout], schema: &[(String, String)], sizes: &BTreeMap<String, usize>) {
    let mut offset = 0;
    assert_eq!(coded.len(), schema.len(), "{name}");
    for (field, (schema_name, schema_type)) in coded.iter().zip(schema) {
        assert_eq!((field.name, field.schema_type), (schema_name.as_str(), schema_type.as_str()), "{name}");
        assert_eq!((field.offset, field.size), (offset, sizes[schema_type]), "{name}.{schema_name}");
        offset += field.size;
    }
}

/// A frame's fields as text, in the form of the golden file.
fn described(frame: &Frame<'_>, coded: &Coded) -> String {
    let mut line = String::new();
    let block_length: usize = coded.fields.iter().map(|field| field.size).sum();
    describe(&frame.body()[..block_length], coded.fields, "", &mut line);
    if let Some(entry) = coded.entry {
        let group = &frame.body()[block_length + 4..];
        let size: usize = entry.iter().map(|field| field.size).sum();
        for (index, bytes) in group.chunks(size).enumerate() {
            describe(bytes, entry, &format!("[{index}]."), &mut line);
        }
    }
    line
}

fn describe(block: &[u8], fields: &[FieldLayout], prefix: &str, line: &mut String) {
    let enums = enums();
    for field in fields {
        let bytes = &block[field.offset..field.offset + field.size];
        let value = if let Some(values) = enums.get(field.schema_type) {
            values.iter().find(|(_, number)| *number == bytes[0]).unwrap().0.clone()
        } else if is_text(field.schema_type) {
            format!("'{}'", std::str::from_utf8(bytes).unwrap().trim_end_matches('\0'))
        } else if matches!(field.schema_type, "contract" | "publicKey" | "signature") {
            bytes.iter().fold("0x".to_owned(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        } else {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            match field.schema_type {
                "signedAtoms" => i64::from_le_bytes(wide).to_string(),
                "feeRate" => i32::from_le_bytes(*wide.first_chunk().unwrap()).to_string(),
                _ => u64::from_le_bytes(wide).to_string(),
            }
        };
        write!(line, " {prefix}{}={value}", field.name).unwrap();
    }
}

/// The golden file: a line a frame, the message's name, the frame in hexadecimal, then each field.
fn golden() -> String {
    let mut random = Random(2_026);
    let mut text = String::new();
    for coded in all() {
        for _ in 0..4 {
            let frame = (coded.write)(&mut random);
            let read = next_frame(&frame).unwrap().unwrap();
            assert_eq!(
                (read.template, read.bytes.len(), read.version()),
                (coded.template, frame.len(), SCHEMA_VERSION)
            );
            assert_eq!(u16::from_le_bytes(*frame[4..].first_chunk().unwrap()), ENCODING);
            text.push_str(coded.name);
            text.push(' ');
            frame.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push_str(&described(&read, &coded));
            text.push('\n');
        }
    }
    text
}

/// Regenerated only where the schema's version changes: `LAKH_WRITE_GOLDEN=1 cargo nextest run golden`.
#[test]
fn the_golden_frames_are_what_is_written() {
    let path = repository("docs/schema/golden_frames.txt");
    if std::env::var_os("LAKH_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, golden()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (written, kept) in golden().lines().zip(kept.lines()) {
        assert_eq!(written, kept);
    }
    assert_eq!(golden().lines().count(), kept.lines().count());
    assert!(HEADER_BYTES == 14 && kept.len() > 10_000);
}
