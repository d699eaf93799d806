//! Bringing the contracts onto a chain: the compiled code, committed with the sources, and the constructors' arguments.
//!
//! `lakh dev` and the tests deploy; a real venue names the contract that it was given.

use crate::chain::Address;
use crate::keccak::Hash;
use crate::words::{WORD, number};

use super::address_word;

/// What the settlement contract is created with; fixed for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Who may commit batches.
    pub operator: Address,
    /// Who may list assets and change deposit limits.
    pub administrator: Address,
    /// Owner of account 0, which receives the venue's fees.
    pub venue_owner: Address,
    /// How long a batch waits until it can be final, in seconds.
    pub window_seconds: u64,
    /// How many blocks a batch waits until it can be final.
    pub window_blocks: u64,
}

/// The code that creates the settlement contract, which creates its vault itself.
pub fn settlement(setup: &Setup) -> Vec<u8> {
    let arguments = [
        address_word(setup.operator),
        address_word(setup.administrator),
        address_word(setup.venue_owner),
        number(setup.window_seconds.into()),
        number(setup.window_blocks.into()),
    ];
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
