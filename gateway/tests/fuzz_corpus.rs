//! The fuzz targets' own functions over the committed corpus and over mutations of it, on any toolchain.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own for the fuzzer, a module here")]
mod targets;

use std::path::Path;

use common::Random;

/// Mutations of each file of the corpus.
const MUTATIONS: usize = 400;

fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{name} has a corpus");
    let seed = common::now().0;
    println!("{name}: seed {seed}");
    let mut random = Random(seed);
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        println!("{}", file.display());
        target(&bytes);
        for _ in 0..MUTATIONS {
            target(&mutated(&bytes, &mut random));
        }
    }
    soak(target, &files, &mut random);
}

/// Goes on for as many seconds as `LAKH_FUZZ_SECONDS` says, for a soak without a nightly toolchain.
fn soak(target: fn(&[u8]), files: &[std::path::PathBuf], random: &mut Random) {
    let Some(seconds) = std::env::var("LAKH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()) else { return };
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let mut runs = 0_u64;
    while std::time::Instant::now() < end {
        for _ in 0..1_000 {
            let once = mutated(&corpus[random.below(corpus.len())], random);
            target(&once);
            target(&mutated(&once, random));
            runs += 2;
        }
    }
    println!("{runs} runs in {seconds} s");
}

/// A few bytes flipped, cut out, doubled, or put in from what breaks parsers most often.
fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 12] =
        [b"\"", b"\\", b"{", b"]", b"&", b"=", b"%", b"%f", b"\\ud800", b"1e999", b"\n", b"\xf0\x9f\x92\xa9"];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => {
                let copy = bytes[at..].to_vec();
                bytes.extend_from_slice(&copy);
            }
            3 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn binary() {
    run("binary", targets::binary);
}

#[test]
fn frames() {
    run("frame", targets::frame);
}

#[test]
fn queries() {
    run("query", targets::query);
}

#[test]
fn evidence() {
    run("evidence", targets::evidence);
}

#[test]
fn names() {
    run("names", targets::names);
}

#[test]
fn mirrors() {
    run("mirror", targets::mirror);
}
