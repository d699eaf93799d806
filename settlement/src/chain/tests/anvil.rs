//! The same questions to anvil, which is another implementation: what both answer alike is not our own invention.

use super::*;
use crate::test_anvil::Anvil;

#[test]
fn anvil_answers_as_the_embedded_chain_does() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (there, here) = (anvil.chain(), in_memory());
    let outcome = suite::every_question(&there);
    assert_eq!(outcome, suite::every_question(&here), "addresses and gas are the rules', not the node's");
    assert_eq!(suite::blobs(&there, outcome.counter), suite::blobs(&here, outcome.counter), "with blobs too");
}
