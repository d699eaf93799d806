//! `lakh journal quarantine`: with the node down, says on operators' word that the journal's last record is no command.
//!
//! It is for a record that stops the engine at every start. The decision is journaled as the very next record, signed like
//! any other; every replay then passes over the one in front of it ([`lakh_engine::Engine::is_quarantined_by`]). This
//! takes the writer's lock, so it cannot run beside a node, and only the last record can be meant, which is named by its
//! number. The record is tried first: one that the engine takes is no reason to quarantine it, unless the operator says that
//! something else is.
//!
//! Nothing is written before all of this holds, and what was written is replayed before it is called done.
//! Bounds: memory of one engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::Signer as _;
use lakh_engine::codec;
use lakh_engine::command::Command;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_gateway::directory::Directory;
use lakh_journal::JournalOptions;
use lakh_settlement::follower::Fate;
use serde_json::json;

use super::JournalArguments;
use crate::admin::{self, RoleNonce};
use crate::control::{self, RoleKey};
use crate::ctl::SignerArguments;
use crate::history::{self, Replay};
use crate::sequencer::record_header;
use crate::snapshots;

/// How long the record may take to be durable.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets every replay pass over the last record.
#[derive(Debug, clap::Args)]
pub(crate) struct QuarantineArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// The record: the journal's last one.
    #[arg(long)]
    sequence: u64,
    #[command(flatten)]
    signer: SignerArguments,
    /// The engine takes the record, and it is to be passed over all the same: something else stops at it.
    #[arg(long)]
    though_it_applies: bool,
}

/// `lakh journal quarantine`.
pub(crate) fn run(arguments: &QuarantineArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    let text = quarantine(directory, arguments)?;
    match json {
        true => println!("{}", json!({ "quarantined": arguments.sequence, "signed": text })),
        false => println!("record {} is passed over from now on: {text}", arguments.sequence),
    }
    Ok(())
}

/// Appends the decision and gives the text that was signed.
fn quarantine(directory: &Path, arguments: &QuarantineArguments) -> Result<String> {
    let &QuarantineArguments { sequence, though_it_applies, .. } = arguments;
    let exchange_id = history::open(directory)?.exchange_id();
    let segment_bytes = segment_bytes(directory)?;
    // From here on no node can start on the journal.
    let options = JournalOptions { segment_bytes, ..JournalOptions::new(directory, exchange_id) };
    let (mut writer, found) = lakh_journal::open(options).context("is the node still running?")?;
    let last = found.last_sequence;
    ensure!(sequence == last, "the journal ends with record {last}, and no other one can be quarantined");
    let mut replay = before(directory, sequence)?;
    let decision = decision(&replay, sequence, &arguments.signer)?;
    ensure!(
        replay.engine.is_quarantined_by(&decision.command),
        "the engine would not take the decision: a real venue needs two roles for it, and no venue that has never started \
         takes one"
    );
    // Last of all, since an engine that has panicked is good for nothing.
    match catch_unwind(AssertUnwindSafe(|| replay.step().map(|_| ()))) {
        Err(_) => {}
        Ok(Ok(())) => ensure!(
            though_it_applies,
            "the engine takes record {sequence}, so it needs no quarantine; --though-it-applies if something else stops at it"
        ),
        Ok(Err(error)) => return Err(error.context("record by record, the journal is not what it should be")),
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    let now = Timestamp(found.last_timestamp_ns.max(u64::try_from(now.as_nanos())?));
    let mut payload = Vec::new();
    codec::encode_payload(&decision.command, &decision.evidence, &mut payload);
    writer.append(record_header(Sequence(last + 1), now, &decision.command), &payload)?;
    writer.publish();
    ensure!(writer.watch().wait_for(last + 1, PATIENCE), "the decision is not durable after {PATIENCE:?}");
    writer.close()?;
    check(directory, sequence)?;
    Ok(decision.text)
}

/// What is appended.
struct Decision {
    text: String,
    command: Command,
    evidence: Vec<u8>,
}

/// The decision about the record behind the replay's last one, signed.
fn decision(replay: &Replay, sequence: u64, signer: &SignerArguments) -> Result<Decision> {
    let genesis = replay.engine.genesis().context("in front of the record there is no genesis")?;
    let roles = signer.roles()?;
    let mut nonces = Vec::new();
    for RoleKey { role, key } in &roles {
        let known = genesis.role_keys.get(usize::from(*role));
        ensure!(known == Some(&key.verifying_key().to_bytes()), "role {role} has another key in this venue");
        let last = replay.engine.role_nonce(*role).context("a role that has a key has a nonce")?;
        nonces.push(RoleNonce { role: *role, nonce: last + 1 });
    }
    let parameters = [("action", "quarantine".to_owned()), ("sequence", sequence.to_string())]
        .map(|(name, value)| (name.to_owned(), value));
    let text = admin::text(genesis.venue_tag, &nonces, &parameters, signer.reason());
    let command = Command::Admin(admin::parse(&text, &Directory::new(genesis.venue_tag, genesis.mode))?);
    let sign = |role: &RoleKey| (role.key.verifying_key().to_bytes(), role.key.sign(text.as_bytes()).to_bytes());
    let signed: Vec<_> = roles.iter().map(sign).collect();
    let evidence = control::evidence(&text, &signed)?.to_vec();
    Ok(Decision { text, command, evidence })
}

/// A replay whose next record is this one: from the newest snapshot in front of it, or the first record.
fn before(directory: &Path, sequence: u64) -> Result<Replay> {
    let last = sequence.checked_sub(1).context("records are numbered from 1")?;
    let search = snapshots::find(directory, last, |_| Ok(()))?;
    let mut replay = match search.found {
        Some(found) => Replay::behind(directory, found.engine, found.reader)?,
        None => Replay::from_first(directory)?,
    };
    while replay.engine.sequence().0 < last {
        ensure!(replay.step()?.is_some(), "the journal ends before record {last}");
    }
    Ok(replay)
}

/// Whether a replay does what was decided.
fn check(directory: &Path, sequence: u64) -> Result<()> {
    let mut replay = before(directory, sequence)?;
    let fate = replay.step()?.map(|step| step.fate);
    match (fate, replay.step()?.map(|step| step.fate)) {
        (Some(Fate::PassedOver), Some(Fate::Applied)) => Ok(()),
        _ => bail!("the decision is journaled, but a replay does not pass over record {sequence}: report it"),
    }
}

/// The size of the journal's segments, so that a new one is like them.
fn segment_bytes(directory: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "lkj") {
            largest = largest.max(entry.metadata()?.len());
        }
    }
    Ok(largest.next_multiple_of(4_096).clamp(lakh_journal::SEGMENT_BYTES_MIN, lakh_journal::SEGMENT_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use lakh_engine::command::{
        AdminAction, AdminAuthority, AdminCommand, Deposit, Epoch, EvidenceGrade, Genesis, Operation, RegisterKey,
        ReplayGuard, SettlementBinding, SignedCommand,
    };
    use lakh_engine::ids::{AccountId, AssetId, KeyId, Reason, Symbol};
    use lakh_engine::market_spec::AssetSpec;
    use lakh_engine::units::Atoms;

    use super::*;
    use crate::audit;
    use crate::keys::hex;

    const SECRETS: [[u8; 32]; 2] = [[3; 32], [4; 32]];

    /// A journal of a venue with so many roles, whose last record is number 3.
    fn journal(roles: usize) -> tempfile::TempDir {
        let Command::Genesis(genesis) = audit::tests::genesis(SettlementBinding::NONE) else { panic!("a genesis") };
        let mut role_keys = genesis.role_keys;
        for (key, secret) in role_keys.iter_mut().zip(SECRETS).take(roles) {
            *key = SigningKey::from_bytes(&secret).verifying_key().to_bytes();
        }
        let directory = tempfile::tempdir().unwrap();
        audit::tests::write(
            directory.path(),
            &[
                Command::Genesis(Genesis { role_keys, ..genesis }),
                Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }),
                Command::SessionEnded { account: AccountId(7) },
            ],
        );
        directory
    }

    fn arguments(directory: &Path, sequence: u64, roles: &[(u8, usize)]) -> QuarantineArguments {
        let mut signer = SignerArguments::default();
        for (role, secret) in roles {
            let file = directory.join(format!("role-{role}.pem"));
            std::fs::write(&file, crate::keys::to_pem(&SECRETS[*secret])).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            signer.add(*role, file);
        }
        QuarantineArguments {
            journal: JournalArguments { directory: directory.to_owned(), json: false },
            sequence,
            signer: signer.because("it stops the publisher"),
            though_it_applies: true,
        }
    }

    fn records(directory: &Path) -> u64 {
        history::replay(directory, |_| Ok(())).unwrap().engine.sequence().0
    }

    #[test]
    fn the_last_record_is_passed_over_and_the_decision_stands_an_audit() {
        for roles in [&[(0, 0)][..], &[(0, 0), (1, 1)]] {
            let directory = journal(roles.len());
            let path = directory.path();
            let text = quarantine(path, &arguments(path, 3, roles)).unwrap();
            assert!(text.contains("action=quarantine&sequence=3&reason=it stops the publisher"), "{text}");
            let report = audit::audit(path, true).unwrap();
            assert_eq!((report.records, report.quarantined), (4, vec![3]));
            assert_eq!(report.finding_count, 0, "{:?}", report.findings);
            // Behind the decision the journal goes on; the decision itself is the last record now, and is none to undo.
            let error = quarantine(path, &arguments(path, 3, roles)).unwrap_err();
            assert!(error.to_string().contains("ends with record 4"), "{error:#}");
        }
    }

    /// A clock at the end of what 64 bits of nanoseconds can say, in the year 2554: when the request may be forgotten can
    /// not be said, and the engine stops rather than wrap around. It does so at every start.
    #[test]
    fn a_record_that_panics_the_engine_is_passed_over() {
        const END_OF_TIME: u64 = u64::MAX - 1_000_000_000;
        let Command::Genesis(genesis) = audit::tests::genesis(SettlementBinding::NONE) else { panic!("a genesis") };
        let mut role_keys = genesis.role_keys;
        role_keys[0] = SigningKey::from_bytes(&SECRETS[0]).verifying_key().to_bytes();
        let set_up = |action| {
            let (authority, reason) = (AdminAuthority::Genesis, Reason::EMPTY);
            Command::Admin(AdminCommand { authority, action, reason })
        };
        let symbol = Symbol::new("USD").unwrap();
        let asset = AssetSpec { asset: AssetId(0), symbol, decimals: 2, chain_units_per_atom: 1 };
        let (account, owner, amount) = (AccountId(1), [1; 20], Atoms(5));
        let (public_key, epoch, expires_at, digest_capacity) = ([5; 32], 1, Timestamp::ZERO, 2);
        let signed = SignedCommand {
            account,
            key: KeyId(1),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Digest {
                digest: [1; 16],
                signed_at: Timestamp(END_OF_TIME),
                receive_window_ms: 60_000,
            },
            valid_until: Timestamp::ZERO,
            operation: Operation::Logon,
        };
        let commands = [
            Command::Genesis(Genesis { role_keys, ..genesis }),
            set_up(AdminAction::ListAsset(asset)),
            Command::Deposit(Deposit { account, owner, asset: AssetId(0), amount }),
            set_up(AdminAction::RegisterKey(RegisterKey { account, public_key, epoch, expires_at, digest_capacity })),
            Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }),
            Command::Signed(signed),
        ];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        audit::tests::write_at(path, commands.iter().map(|command| (END_OF_TIME, command)));
        let replayed = || catch_unwind(|| hex(&history::replay(path, |_| Ok(())).unwrap().engine.state_hash()));
        assert!(replayed().is_err(), "the record stops the engine");
        assert!(replayed().is_err(), "and does so again");
        quarantine(path, &QuarantineArguments { though_it_applies: false, ..arguments(path, 6, &[(0, 0)]) }).unwrap();
        assert_eq!(records(path), 7);
        let states = crate::journal_tool::states::check(path, true, true, None).unwrap();
        assert_eq!(replayed().unwrap(), states.state_hash);
        let report = audit::audit(path, true).unwrap();
        assert_eq!(report.quarantined, [6]);
        assert_eq!(report.state_hash, states.state_hash);
    }

    #[test]
    fn what_must_not_be_quarantined_is_refused_and_nothing_is_written() {
        let directory = journal(1);
        let path = directory.path();
        let refused = |arguments: &QuarantineArguments, why: &str| {
            let error = format!("{:#}", quarantine(path, arguments).unwrap_err());
            assert!(error.contains(why), "{error}");
            assert_eq!(records(path), 3);
        };
        refused(
            &QuarantineArguments { though_it_applies: false, ..arguments(path, 3, &[(0, 0)]) },
            "needs no quarantine",
        );
        refused(&arguments(path, 2, &[(0, 0)]), "ends with record 3");
        refused(&arguments(path, 3, &[(0, 1)]), "role 0 has another key");
        refused(&arguments(path, 3, &[(3, 0)]), "role 3 has another key");
        let directory = journal(2);
        let path = directory.path();
        let error = quarantine(path, &arguments(path, 3, &[(0, 0)])).unwrap_err();
        assert!(error.to_string().contains("needs two roles"), "{error:#}");
        assert_eq!(records(path), 3);
    }

    /// Beside a writer, as a running node is one, nothing happens.
    #[test]
    fn a_running_node_keeps_it_out() {
        let directory = journal(1);
        let path = directory.path();
        let exchange_id = history::open(path).unwrap().exchange_id();
        let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::new(path, exchange_id) };
        let (writer, _) = lakh_journal::open(options).unwrap();
        let error = quarantine(path, &arguments(path, 3, &[(0, 0)])).unwrap_err();
        assert!(format!("{error:#}").contains("is the node still running?"), "{error:#}");
        writer.close().unwrap();
    }
}
