//! Bytes of commands and events: both directions, golden samples, and that any bytes decode to a value or an error.

#[path = "../support/mod.rs"]
mod support;

mod event_values;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lakh_engine::codec::{
    DecodeError, MAX_COMMAND_BYTES, decode_command, decode_event, encode_command, encode_event, encode_payload,
    split_payload,
};
use lakh_engine::command::{AdminAction, AdminCommand, Command, Operation, SignedCommand};
use lakh_engine::event::Event;
use lakh_engine::ids::Reason;
use lakh_engine::reject::RejectCode;
use proptest::prelude::{any, prop};

use event_values::EVENTS;
use support::random::{self, Random};
use values::COMMANDS;

/// One sample of each kind, written down once and for ever: name, bytes, and what they mean.
const GOLDEN: &str = include_str!("../golden/format0.txt");

fn command_bytes(command: &Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_command(command, &mut bytes);
    bytes
}

fn event_bytes(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(event, &mut bytes);
    bytes
}

/// The name under which a command's sample stands; a new variant does not compile until it has one.
fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Genesis(_) => "command.genesis",
        Command::Epoch(_) => "command.epoch",
        Command::AdvanceTime => "command.advance_time",
        Command::Continue => "command.continue",
        Command::Deposit(_) => "command.deposit",
        Command::ChainEntry(_) => "command.chain_entry",
        Command::SessionEnded { .. } => "command.session_ended",
        Command::Frame(_) => "command.frame",
        Command::BatchSealed(_) => "command.batch_sealed",
        Command::Admin(AdminCommand { action, .. }) => match action {
            AdminAction::ListAsset(_) => "command.admin.list_asset",
            AdminAction::ListMarket(_) => "command.admin.list_market",
            AdminAction::SetMarketState { .. } => "command.admin.set_market_state",
            AdminAction::SetFees { .. } => "command.admin.set_fees",
            AdminAction::SetFeeTier { .. } => "command.admin.set_fee_tier",
            AdminAction::Quarantine { .. } => "command.admin.quarantine",
            AdminAction::RegisterKey(_) => "command.admin.register_key",
            AdminAction::RevokeKey { .. } => "command.admin.revoke_key",
            AdminAction::SetPriceBand { .. } => "command.admin.set_price_band",
            AdminAction::SetRestartMode { .. } => "command.admin.set_restart_mode",
            AdminAction::BlockAccount { .. } => "command.admin.block_account",
            AdminAction::SetAccountPolicy { .. } => "command.admin.set_account_policy",
        },
        Command::Signed(SignedCommand { operation, .. }) => match operation {
            Operation::PlaceOrder(_) => "command.signed.place_order",
            Operation::CancelOrder(_) => "command.signed.cancel_order",
            Operation::AmendOrder(_) => "command.signed.amend_order",
            Operation::CancelAll(_) => "command.signed.cancel_all",
            Operation::Logon => "command.signed.logon",
            Operation::ActivateKey => "command.signed.activate_key",
            Operation::RevokeKey => "command.signed.revoke_key",
            Operation::CancelAllAfter { .. } => "command.signed.cancel_all_after",
            Operation::SetDisconnectMode { .. } => "command.signed.set_disconnect_mode",
            Operation::NarrowKey { .. } => "command.signed.narrow_key",
            Operation::LimitKey { .. } => "command.signed.limit_key",
            Operation::AllowEvidence(_) => "command.signed.allow_evidence",
            Operation::Quote(_) => "command.signed.quote",
            Operation::OpenSubAccount => "command.signed.open_sub_account",
            Operation::Transfer(_) => "command.signed.transfer",
            Operation::ReplaceOrder(_) => "command.signed.replace_order",
            Operation::SetSelfTradeGroup { .. } => "command.signed.set_self_trade_group",
            Operation::InviteToSelfTradeGroup { .. } => "command.signed.invite_to_self_trade_group",
        },
    }
}

/// The name under which an event's sample stands; a new variant does not compile until it has one.
fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Rejected(_) => "event.rejected",
        Event::Duplicate(_) => "event.duplicate",
        Event::OrderAccepted(_) => "event.order_accepted",
        Event::Trade(_) => "event.trade",
        Event::OrderRested(_) => "event.order_rested",
        Event::OrderCanceled(_) => "event.order_canceled",
        Event::OrderReduced(_) => "event.order_reduced",
        Event::CancelAllAccepted { .. } => "event.cancel_all_accepted",
        Event::AgendaProgress { .. } => "event.agenda_progress",
        Event::BalanceChanged { .. } => "event.balance_changed",
        Event::MarketStateChanged { .. } => "event.market_state_changed",
        Event::FeesChanged { .. } => "event.fees_changed",
        Event::AssetListed(_) => "event.asset_listed",
        Event::MarketListed(_) => "event.market_listed",
        Event::AccountOpened { .. } => "event.account_opened",
        Event::DepositCredited { .. } => "event.deposit_credited",
        Event::Withdrawn { .. } => "event.withdrawn",
        Event::KeyRegistered { .. } => "event.key_registered",
        Event::KeyActivated { .. } => "event.key_activated",
        Event::KeyEnded { .. } => "event.key_ended",
        Event::LoggedOn { .. } => "event.logged_on",
        Event::AccountPolicyChanged { .. } => "event.account_policy_changed",
        Event::EpochStarted { .. } => "event.epoch_started",
        Event::DepositReturned { .. } => "event.deposit_returned",
        Event::ChainEntryConsumed { .. } => "event.chain_entry_consumed",
        Event::BatchSealed { .. } => "event.batch_sealed",
        Event::SelfTradeGroupChanged { .. } => "event.self_trade_group_changed",
        Event::ReplaceAnswered { .. } => "event.replace_answered",
        Event::PriceBandChanged { .. } => "event.price_band_changed",
        Event::RestartModeChanged { .. } => "event.restart_mode_changed",
        Event::KeyNarrowed { .. } => "event.key_narrowed",
        Event::CancelAllTimerSet { .. } => "event.cancel_all_timer_set",
        Event::AccountBlockChanged { .. } => "event.account_block_changed",
        Event::DisconnectModeChanged { .. } => "event.disconnect_mode_changed",
        Event::FrameAccepted { .. } => "event.frame_accepted",
        Event::OperationDone { .. } => "event.operation_done",
        Event::OrderTriggered { .. } => "event.order_triggered",
        Event::SelfTradeGroupInvited { .. } => "event.self_trade_group_invited",
        Event::FeesAnnounced { .. } => "event.fees_announced",
        Event::FeeTierChanged { .. } => "event.fee_tier_changed",
        Event::FeeTierAnnounced { .. } => "event.fee_tier_announced",
        Event::SubAccountOpened { .. } => "event.sub_account_opened",
        Event::Transferred(_) => "event.transferred",
        Event::KeyLimited { .. } => "event.key_limited",
        Event::EvidenceAllowed { .. } => "event.evidence_allowed",
        Event::QuoteSet(_) => "event.quote_set",
        Event::Quarantined { .. } => "event.quarantined",
    }
}

#[test]
fn every_value_comes_back() {
    let kinds = (0..COMMANDS, 0..EVENTS, any::<u64>());
    let mut names = BTreeMap::new();
    let names_seen = std::cell::RefCell::new(&mut names);
    let mut longest = 0;
    let longest_seen = std::cell::RefCell::new(&mut longest);
    let outcome = random::runner("codec, round trip", 20_000).run(&kinds, |(command_kind, event_kind, seed)| {
        let command = values::command(command_kind, &mut Random(seed));
        let bytes = command_bytes(&command);
        assert!(bytes.len() <= MAX_COMMAND_BYTES, "{} bytes", bytes.len());
        assert_eq!(decode_command(&bytes), Ok(command.clone()));
        assert_eq!(u16::from(bytes[0]), command.kind(), "the tag byte is the journal's record type");
        let event = event_values::event(event_kind, &mut Random(seed));
        let event_bytes = event_bytes(&event);
        assert_eq!(decode_event(&event_bytes), Ok(event));
        let mut longest = longest_seen.borrow_mut();
        **longest = bytes.len().max(**longest);
        *names_seen.borrow_mut().entry(command_name(&command)).or_insert(0) += 1;
        *names_seen.borrow_mut().entry(event_name(&event)).or_insert(0) += 1;
        Ok(())
    });
    outcome.expect("every value comes back");
    println!("longest command: {longest} of {MAX_COMMAND_BYTES} bytes; {names:?}");
    assert_eq!(names.len(), COMMANDS + EVENTS, "each kind was drawn");
}

#[test]
fn the_longest_command_fits() {
    let reason = Reason::new(&"x".repeat(96)).expect("fits");
    for kind in 0..COMMANDS {
        for seed in 0..200 {
            let command = match values::command(kind, &mut Random(seed)) {
                Command::Admin(admin) => Command::Admin(AdminCommand { reason, ..admin }),
                command => command,
            };
            assert!(command_bytes(&command).len() <= MAX_COMMAND_BYTES);
        }
    }
}

/// Whether bytes, if they are a value, are exactly its bytes.
fn assert_canonical(bytes: &[u8]) -> u32 {
    let mut values = 0;
    if let Ok(command) = decode_command(bytes) {
        assert_eq!(command_bytes(&command), bytes);
        values += 1;
    }
    if let Ok(event) = decode_event(bytes) {
        assert_eq!(event_bytes(&event), bytes);
        values += 1;
    }
    if let Ok((command, evidence)) = split_payload(bytes) {
        let mut again = Vec::new();
        encode_payload(&command, evidence, &mut again);
        assert_eq!(again, bytes);
        values += 1;
    }
    values
}

#[test]
fn any_bytes_are_a_value_or_an_error() {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let outcome = random::runner("codec, any bytes", 20_000).run(&bytes, |bytes| {
        assert_canonical(&bytes);
        Ok(())
    });
    outcome.expect("decoding is total");
}

#[test]
fn damaged_bytes_are_a_value_or_an_error() {
    let mut random = Random(random::seed("codec, damaged bytes"));
    let mut values = 0;
    for round in 0..40_000_usize {
        let mut bytes = match round % 2 {
            0 => command_bytes(&values::command(round / 2 % COMMANDS, &mut random)),
            _ => event_bytes(&event_values::event(round / 2 % EVENTS, &mut random)),
        };
        let at = usize::try_from(random.below(bytes.len() as u64)).expect("an index");
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, 0),
            _ => bytes[at] = random.pick(&[0, 1, 2, 0xff]),
        }
        values += assert_canonical(&bytes);
    }
    assert!(values > 5_000, "only {values} were values still");
}

#[test]
fn cut_and_lengthened_values_are_errors() {
    for kind in 0..COMMANDS {
        let mut bytes = command_bytes(&values::command(kind, &mut Random(3)));
        for length in 0..bytes.len() {
            assert_eq!(decode_command(&bytes[..length]), Err(DecodeError::Truncated), "kind {kind} cut at {length}");
        }
        bytes.push(0);
        assert_eq!(decode_command(&bytes), Err(DecodeError::TrailingBytes), "kind {kind}");
    }
    for kind in 0..EVENTS {
        let mut bytes = event_bytes(&event_values::event(kind, &mut Random(3)));
        for length in 0..bytes.len() {
            assert_eq!(decode_event(&bytes[..length]), Err(DecodeError::Truncated), "kind {kind} cut at {length}");
        }
        bytes.push(0);
        assert_eq!(decode_event(&bytes), Err(DecodeError::TrailingBytes), "kind {kind}");
    }
    assert_eq!(decode_command(&[99]), Err(DecodeError::BadValue));
    assert_eq!(decode_event(&[0]), Err(DecodeError::BadValue));
}

#[test]
fn a_payload_is_a_command_and_its_evidence() {
    for (kind, evidence) in (0..COMMANDS).flat_map(|kind| [(kind, &b""[..]), (kind, &[7; 300][..])]) {
        let command = values::command(kind, &mut Random(11));
        let mut payload = vec![0xaa; 3];
        encode_payload(&command, evidence, &mut payload);
        let payload = &payload[3..];
        assert_eq!(split_payload(payload), Ok((command.clone(), evidence)), "what stood before is left alone");
        let command_ends = payload.len() - evidence.len();
        for length in 0..command_ends {
            assert_eq!(split_payload(&payload[..length]), Err(DecodeError::Truncated));
        }
        let mut longer = payload.to_vec();
        longer[0] = longer[0].wrapping_add(1);
        assert_ne!(split_payload(&longer).map(|(command, _)| command), Ok(command), "a length that is not its own");
    }
    let mut padded = vec![2, 0];
    padded.extend(command_bytes(&Command::Continue));
    padded.push(0);
    assert_eq!(split_payload(&padded), Err(DecodeError::TrailingBytes), "a command fills its stated length");
}

#[test]
fn golden_samples_keep_their_bytes() {
    let mut names = Vec::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.splitn(3, ' ');
        let mut field = || fields.next().expect("a line is name, bytes and meaning");
        let (name, hex, meaning) = (field(), field(), field());
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("the bytes stand in hexadecimal"))
            .collect();
        if name.starts_with("command.") {
            let command = decode_command(&bytes).expect("a golden command");
            assert_eq!((command_name(&command), format!("{command:?}").as_str()), (name, meaning));
            assert_eq!(command_bytes(&command), bytes, "{name}");
        } else {
            let event = decode_event(&bytes).expect("a golden event");
            assert_eq!((event_name(&event), format!("{event:?}").as_str()), (name, meaning));
            assert_eq!(event_bytes(&event), bytes, "{name}");
        }
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COMMANDS + EVENTS, "one sample of each kind: {names:?}");
}

#[test]
fn numbers_of_enumerations_never_change() {
    use CancelRestriction::{OnlyNew, OnlyPartiallyFilled};
    use lakh_engine::command::{AmendMode, RestartMode};
    assert_eq!([AmendMode::KeepPriority, AmendMode::MayLosePriority].map(|value| value as u8), [0, 1]);
    use lakh_engine::command::{AccountBlock, CancelRestriction, DisconnectMode, ReplaceMode};
    assert_eq!([RestartMode::Stay, RestartMode::Guarded].map(|value| value as u8), [0, 1]);
    assert_eq!([AccountBlock::None, AccountBlock::Blocked].map(|value| value as u8), [0, 1]);
    assert_eq!([DisconnectMode::Keep, DisconnectMode::CancelAll].map(|value| value as u8), [0, 1]);
    use lakh_engine::command::{
        ChainEntryKind, EvidenceGrade, MarketState, Mode, OrderType, SelfTradeMode, Side, TimeInForce,
    };
    use lakh_engine::event::{CancelReason, Completion, KeyEnd};
    let restrictions = [CancelRestriction::None, OnlyNew, OnlyPartiallyFilled];
    assert_eq!(restrictions.map(|value| value as u8), [0, 1, 2]);
    assert_eq!([ReplaceMode::StopOnFailure, ReplaceMode::AllowFailure].map(|value| value as u8), [0, 1]);
    assert_eq!([Mode::Dev, Mode::Run].map(|value| value as u8), [0, 1]);
    use ChainEntryKind::{Deposit, RegisterKey, RevokeKey, Withdrawal};
    assert_eq!([Deposit, RegisterKey, RevokeKey, Withdrawal].map(|value| value as u8), [1, 2, 3, 4]);
    assert_eq!([Side::Bid, Side::Ask].map(|value| value as u8), [0, 1]);
    use OrderType::{Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};
    let types = [Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit];
    assert_eq!(types.map(|value| value as u8), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(OrderType::LimitMakerSlide as u8, 7);
    assert_eq!([Completion::Pending, Completion::Finished].map(|value| value as u8), [0, 1]);
    assert_eq!([KeyEnd::Revoked, KeyEnd::Expired].map(|value| value as u8), [0, 1]);
    use MarketState::{CancelOnly, Halt, Open, PostOnly, PreOpen};
    assert_eq!([PreOpen, PostOnly, Open, CancelOnly, Halt].map(|value| value as u8), [0, 1, 2, 3, 4]);
    use EvidenceGrade::{Delegated, HeaderKeyed, Native, Signed};
    assert_eq!([Delegated, HeaderKeyed, Signed, Native].map(|value| value as u8), [0, 1, 2, 3]);
    use TimeInForce::{FillOrKill, GoodTillCancel, GoodTillDate, ImmediateOrCancel};
    let times = [GoodTillCancel, ImmediateOrCancel, FillOrKill, GoodTillDate];
    assert_eq!(times.map(|value| value as u8), [0, 1, 2, 3]);
    use SelfTradeMode::{Decrement, ExpireBoth, ExpireMaker, ExpireTaker};
    let modes = [SelfTradeMode::None, ExpireTaker, ExpireMaker, ExpireBoth, Decrement];
    assert_eq!(modes.map(|value| value as u8), [0, 1, 2, 3, 4]);
    use CancelReason::{Amended, Expired, LevelsFull, MassCancel, MaxFills, NotFilled, Requested, Requoted, SelfTrade};
    let first = [Requested, MassCancel, NotFilled, CancelReason::FillOrKill, SelfTrade, MaxFills];
    assert_eq!(first.map(|value| value as u8), [0, 1, 2, 3, 4, 5]);
    assert_eq!([Expired, LevelsFull, Amended, Requoted].map(|value| value as u8), [6, 7, 8, 9]);
}

#[test]
fn numbers_of_reject_codes_never_change() {
    let golden: Vec<&str> = include_str!("../golden/reject_codes.txt").lines().collect();
    let now: Vec<String> = RejectCode::ALL.iter().map(|code| format!("{} {}", *code as u16, code.name())).collect();
    assert_eq!(now, golden, "a code may be added, none may move");
}

/// Prints samples for the golden file: what a new variant's line is taken from. Lines that stand there stay.
#[test]
#[ignore = "a tool, not a test: run it with --ignored --nocapture when a variant is new"]
fn print_golden_samples() {
    let line = |name: &str, bytes: &[u8], meaning: String| {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        });
        println!("{name} {hex} {meaning}");
    };
    for kind in 0..COMMANDS {
        let command = values::command(kind, &mut Random(kind as u64));
        line(command_name(&command), &command_bytes(&command), format!("{command:?}"));
    }
    for kind in 0..EVENTS {
        let event = event_values::event(kind, &mut Random(kind as u64));
        line(event_name(&event), &event_bytes(&event), format!("{event:?}"));
    }
}
