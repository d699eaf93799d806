//! Bringing the contracts onto a chain: the compiled code, committed with the sources, and the constructors' arguments.
//!
//! `lakh dev` and the tests deploy; a real venue names the contract that it was given.

use crate::chain::Address;
use crate::keccak::Hash;
use crate::words::{WORD, number};

use super::address_word;

/// What the settlement contract is created with; fixed for ever, but for keys and watchers, which change with notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The poster's key: who may send batches.
    pub operator: Address,
    /// The header key: whose signature under batches and receipts counts.
    pub signer: Address,
    /// Who may list assets, change deposit limits, announce keys and watchers.
    pub administrator: Address,
    /// Owner of account 0, which receives the venue's fees.
    pub venue_owner: Address,
    /// How long a batch waits until it can be final, in seconds.
    pub window_seconds: u64,
    /// How many blocks a batch waits until it can be final.
    pub window_blocks: u64,
    /// How many blocks an entry waits in the queue until the venue may be frozen, beside the 7 days.
    pub freeze_blocks: u64,
    /// What a forced withdrawal costs, in wei.
    pub forced_fee_wei: u64,
    /// How much of an asset may leave in a day at once, in percent: 1 ..= 100; 100 for all.
    pub outflow_percent: u64,
    /// What a watcher's veto puts at stake, in wei.
    pub veto_bond_wei: u64,
    /// How many watchers have to agree on a veto.
    pub veto_threshold: u64,
    /// Who may veto.
    pub watchers: Vec<Address>,
}

impl Setup {
    /// Everything in one hand, no waiting, no fees: for demonstrations and tests, which change what they are about.
    pub fn in_one_hand(owner: Address) -> Self {
        Self {
            operator: owner,
            signer: owner,
            administrator: owner,
            venue_owner: owner,
            window_seconds: 0,
            window_blocks: 0,
            freeze_blocks: 0,
            forced_fee_wei: 0,
            outflow_percent: 100,
            veto_bond_wei: 0,
            veto_threshold: 1,
            watchers: vec![owner],
        }
    }
}

/// The code that creates the settlement contract, which creates vault, watchers, proofs, keys and exits itself.
pub fn settlement(setup: &Setup) -> Vec<u8> {
    const FIELDS: usize = 12;
    let watchers = setup.watchers.iter().map(|watcher| address_word(*watcher));
    let mut arguments = vec![
        // The structure stands behind this word, its list behind its fields.
        number(WORD as u128),
        address_word(setup.operator),
        address_word(setup.signer),
        address_word(setup.administrator),
        address_word(setup.venue_owner),
        number(setup.window_seconds.into()),
        number(setup.window_blocks.into()),
        number(setup.freeze_blocks.into()),
        number(setup.forced_fee_wei.into()),
        number(setup.outflow_percent.into()),
        number(setup.veto_bond_wei.into()),
        number(setup.veto_threshold.into()),
        number((FIELDS * WORD) as u128),
        number(setup.watchers.len() as u128),
    ];
    arguments.extend(watchers);
    with_arguments(include_str!("../../contracts/artifacts/Settlement.json"), &arguments)
}

/// The code that creates a demo token; name and symbol are cut to 32 bytes.
pub fn demo_token(name: &str, symbol: &str, decimals: u8) -> Vec<u8> {
    let [name, symbol] = [name, symbol].map(text);
    // Three words of head, then the two texts of two words each.
    let arguments = [number(3 * 32), number(5 * 32), number(decimals.into()), name[0], name[1], symbol[0], symbol[1]];
    with_arguments(include_str!("../../contracts/artifacts/DemoToken.json"), &arguments)
}

/// The address of the contract that `creator` creates with its transaction `nonce`.
pub fn created_address(creator: Address, nonce: u64) -> Address {
    let address = alloy_primitives::Address::from(creator.0).create(nonce);
    Address(address.into_array())
}

/// A text's two words: length and bytes.
fn text(text: &str) -> [[u8; WORD]; 2] {
    let bytes = &text.as_bytes()[..text.len().min(WORD)];
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    [number(bytes.len() as u128), Hash(word).0]
}

fn with_arguments(artifact: &str, arguments: &[[u8; WORD]]) -> Vec<u8> {
    let artifact: serde_json::Value = serde_json::from_str(artifact).expect("the committed artifact is JSON");
    let code = artifact["bytecode"].as_str().expect("the committed artifact has code");
    let digits = code.strip_prefix("0x").expect("the code is hexadecimal").as_bytes();
    let byte = |pair: &[u8]| {
        let pair = core::str::from_utf8(pair).expect("the code is hexadecimal");
        u8::from_str_radix(pair, 16).expect("the code is hexadecimal")
    };
    let mut code: Vec<u8> = digits.chunks(2).map(byte).collect();
    code.extend(arguments.iter().flatten());
    code
}
