//! `lakh journal` on a journal that a demonstration really wrote.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod program;

use std::path::Path;

use serde_json::Value as Json;

use crate::program::{json, lakh};

fn demonstration(directory: &str) {
    let output = lakh(&["dev", "--for", "2s", "--listen", "127.0.0.1:0", "--data", directory, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Copies the files of a journal, not what else the demonstration keeps.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_journal_is_shown_checked_proven_and_compared() {
    let (scratch, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = scratch.path().to_str().unwrap();
    demonstration(data);

    let info = json(&["journal", "info", "--json", data]);
    let verified = json(&["journal", "verify", "--json", "--states", "--full", data]);
    let last = info["last_sequence"].as_u64().unwrap();
    assert!(last > 100 && info["live"] == false, "{info}");
    assert_eq!((&verified["records"], &verified["last_block_hash"]), (&info["records"], &info["last_block_hash"]));
    assert_eq!(verified["states"]["records"], last);
    assert!(verified["states"]["state_hashes_compared"].as_u64().unwrap() >= 1, "{verified}");
    let replayed = json(&["replay", "--json", data]);
    assert_eq!(verified["states"]["state_hash"], replayed["state_hash"]);

    let archive = outside.path().join("archive");
    let bound = lakh(&["journal", "archive", "--keep", "0", "--to", archive.to_str().unwrap(), data]);
    let refused = String::from_utf8_lossy(&bound.stderr);
    assert!(!bound.status.success() && refused.contains("a contract is bound to this journal"), "{refused}");
    assert!(!archive.exists(), "nothing was begun");
    records_come_out(data, last, outside.path());
    a_proof_needs_no_journal(data, info["last_block_hash"].as_str().unwrap(), outside.path());
    checkpoints_hold_a_journal(data, last, outside.path());
    snapshots_shorten_the_way(data, last);
    a_changed_byte_is_found(scratch.path(), outside.path());
}

fn records_come_out(data: &str, last: u64, outside: &Path) {
    let dumped = lakh(&["journal", "dump", "--json", "--from", "3", "--to", "5", data]);
    let lines: Vec<Json> =
        String::from_utf8(dumped.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(lines.iter().all(|line| line["command"].is_string()));
    let file = outside.join("records.jsonl");
    let exported = json(&["journal", "export", "--json", "--out", file.to_str().unwrap(), data]);
    assert_eq!(exported["records"], last);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count() as u64, last);
    assert_eq!(text.lines().nth(3).map(|line| serde_json::from_str::<Json>(line).unwrap()).as_ref(), lines.get(1));
    assert!(!lakh(&["journal", "export", "--out", file.to_str().unwrap(), data]).status.success(), "never overwritten");
    let columns = outside.join("records.parquet");
    let exported = ["journal", "export", "--json", "--format", "parquet", "--out", columns.to_str().unwrap(), data];
    assert_eq!(json(&exported)["records"], last);
    rows_are_the_lines(&columns, &text);
}

/// Reads Parquet back with the library's reader and compares each row with its JSON line.
fn rows_are_the_lines(columns: &Path, lines: &str) {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    let reader = SerializedFileReader::new(std::fs::File::open(columns).unwrap()).unwrap();
    let mut rows = reader.get_row_iter(None).unwrap();
    let mut block = 0;
    for line in lines.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let row = rows.next().expect("a row for each line").unwrap();
        assert_eq!(row.get_ulong(0).unwrap(), line["sequence"].as_u64().unwrap());
        assert_eq!(u64::from(row.get_ushort(2).unwrap()), line["kind"].as_u64().unwrap());
        assert_eq!(u64::from(row.get_uint(5).unwrap()), line["account"].as_u64().unwrap());
        assert!(row.get_ulong(6).unwrap() >= block);
        block = row.get_ulong(6).unwrap();
        assert_eq!(row.get_string(7).unwrap(), line["command"].as_str().unwrap());
        let payload: String = row.get_bytes(8).unwrap().data().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(payload, line["payload"].as_str().unwrap());
    }
    assert!(rows.next().is_none() && block > 1);
}

fn a_proof_needs_no_journal(data: &str, anchor: &str, outside: &Path) {
    let proof = lakh(&["journal", "prove", data, "17"]);
    assert!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stderr));
    let file = outside.join("proof.json");
    std::fs::write(&file, &proof.stdout).unwrap();
    let file = file.to_str().unwrap();
    let shown = json(&["journal", "prove", "--check", file, "--anchor", anchor]);
    assert_eq!((&shown["sequence"], &shown["anchor_compared"]), (&Json::from(17), &Json::from(true)));
    assert!(!lakh(&["journal", "prove", "--check", file, "--anchor", &"0".repeat(64)]).status.success());
    let forged = String::from_utf8(proof.stdout).unwrap().replacen("\"sequence\":17", "\"sequence\":999999", 1);
    std::fs::write(file, forged).unwrap();
    assert!(!lakh(&["journal", "prove", "--check", file]).status.success());
}

fn checkpoints_hold_a_journal(data: &str, last: u64, outside: &Path) {
    let path = |name: &str| outside.join(name).to_str().unwrap().to_owned();
    let (key, file, other) = (path("node.pem"), path("checkpoints"), path("other"));
    json(&["keygen", "--json", "--out", &key]);
    let sign = ["journal", "checkpoint", "--json", "--every", "50", "--key", &key, "--out", &file, data];
    let signed = json(&sign);
    let count = signed["checkpoints"].as_u64().unwrap();
    assert!(count > 1 && signed["last_sequence"] == last, "{signed}");
    assert_eq!(json(&sign)["checkpoints"], 0, "nothing new, nothing signed");
    let signer = signed["signer"].as_str().unwrap();
    let held = |journal: &str, file: &str, signer: &str| {
        lakh(&["journal", "verify", "--json", "--states", "--checkpoints", file, "--signer", signer, journal])
    };
    let verified: Json = serde_json::from_slice(&held(data, &file, signer).stdout).unwrap();
    assert_eq!(verified["states"]["checkpoints_compared"], count);
    // Another journal is sound in itself, its chain holds, and yet it is not the one that was signed.
    std::fs::create_dir(&other).unwrap();
    demonstration(&other);
    json(&["journal", "verify", "--json", "--states", &other]);
    let refused = String::from_utf8(held(&other, &file, signer).stderr).unwrap();
    assert!(refused.contains("is not the one that was signed"), "{refused}");
    let nobody = String::from_utf8(held(data, &file, &"1".repeat(64)).stderr).unwrap();
    assert!(nobody.contains("is not signed by this key"), "{nobody}");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"block\":", "\"block\":1", 1)).unwrap();
    assert!(!held(data, &file, signer).status.success(), "a changed checkpoint");
}

fn snapshots_shorten_the_way(data: &str, last: u64) {
    let taken = json(&["journal", "snapshot", "--json", data]);
    assert_eq!(taken["sequence"], last);
    demonstration(data);
    let whole = json(&["journal", "verify", "--json", "--states", "--full", data]);
    let short = json(&["journal", "verify", "--json", "--states", data]);
    assert_eq!(
        (&whole["states"]["from_snapshot"], &short["states"]["from_snapshot"]),
        (&Json::from(0), &Json::from(last))
    );
    assert_eq!(short["states"]["state_hash"], whole["states"]["state_hash"]);
    assert_eq!(short["states"]["event_digest"], whole["states"]["event_digest"]);
    assert!(short["states"]["records"].as_u64() < whole["states"]["records"].as_u64());
    // Two are kept, and one that is damaged is passed over for the older one.
    let newest = json(&["journal", "snapshot", "--json", data]);
    let file = newest["file"].as_str().unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let older = json(&["journal", "verify", "--json", "--states", data]);
    assert_eq!(older["states"]["from_snapshot"], last);
    assert_eq!(older["states"]["state_hash"], whole["states"]["state_hash"]);
}

fn a_changed_byte_is_found(journal: &Path, outside: &Path) {
    let changed = outside.join("changed");
    std::fs::create_dir(&changed).unwrap();
    copy(journal, &changed);
    let (one, other) = (journal.to_str().unwrap(), changed.to_str().unwrap());
    assert_eq!(json(&["journal", "diff", "--json", one, other])["equal"], true);
    let segment = changed.join("0-0000000000000000.lkj");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[3 * 4096 + 300] ^= 16;
    std::fs::write(&segment, bytes).unwrap();
    for arguments in [vec!["journal", "verify", other], vec!["journal", "diff", one, other]] {
        let output = lakh(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("is damaged at offset"), "{arguments:?}: {error}");
    }
    let second = outside.join("second");
    std::fs::create_dir(&second).unwrap();
    demonstration(second.to_str().unwrap());
    let output = lakh(&["journal", "diff", "--json", one, second.to_str().unwrap()]);
    assert!(!output.status.success(), "two demonstrations differ");
    assert!(String::from_utf8_lossy(&output.stderr).contains("differ from record 1 on"), "{output:?}");
}
