// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture, SettlementErrors} from "../lib/Fixture.sol";
import {Keys} from "../../src/Keys.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

/// The poster's key and the header key are two, and change with notice only.
contract RotateTest is Fixture {
    uint256 internal constant NEXT_SECRET = 0x2222;
    address internal constant NEXT_OPERATOR = address(0x0909);

    function announce() private {
        vm.prank(ADMINISTRATOR);
        keys.announce(NEXT_OPERATOR, vm.addr(NEXT_SECRET));
    }

    function test_TheNextKeysCountAfterTheirNotice() public {
        announce();
        commitNext();
        vm.warp(block.timestamp + 9 days);
        keys.rotate();
        assertEq(settlement.operator(), NEXT_OPERATOR, "operator");
        assertEq(settlement.signer(), vm.addr(NEXT_SECRET), "signer");
        assertEq(keys.signerUntil(vm.addr(SIGNER_SECRET)), block.timestamp + 30 days, "receipts of the last one");
        Batch memory b = nextBatch();
        refused(b, abi.encodeWithSelector(SettlementErrors.NotOperator.selector, OPERATOR));
        vm.prank(NEXT_OPERATOR);
        vm.expectPartialRevert(SettlementErrors.WrongSignature.selector);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
        bytes32 structHash = keccak256(abi.encode(Encoding.BATCH_TYPE, keccak256(abi.encode(b.header))));
        vm.prank(NEXT_OPERATOR);
        settlement.commitBatch(packed(b.changes), data, claimOf(b, signTyped(NEXT_SECRET, structHash)), packed(b.lines));
        // A second rotation ends the second key, not the first.
        vm.prank(ADMINISTRATOR);
        keys.announce(OPERATOR, vm.addr(SIGNER_SECRET));
        vm.warp(block.timestamp + 9 days);
        keys.rotate();
        assertEq(keys.signerUntil(vm.addr(NEXT_SECRET)), block.timestamp + 30 days, "the second");
        assertEq(keys.signerUntil(vm.addr(SIGNER_SECRET)), type(uint64).max, "the first counts again");
    }

    function test_RevertWhen_NoticeRunning() public {
        announce();
        uint64 from = uint64(block.timestamp) + 9 days;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(Keys.NoticeRunning.selector, from));
        keys.rotate();
    }

    function test_RevertWhen_NothingAnnounced() public {
        vm.expectRevert(abi.encodeWithSelector(Keys.NothingAnnounced.selector));
        keys.rotate();
    }

    function test_RevertWhen_NotAdministrator() public {
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(Keys.NotAdministrator.selector, OPERATOR));
        keys.announce(NEXT_OPERATOR, ALICE);
    }

    function test_RevertWhen_NoOperator() public {
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(Keys.NoKey.selector));
        keys.announce(address(0), ALICE);
    }

    function test_RevertWhen_NoSigner() public {
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(Keys.NoKey.selector));
        keys.announce(ALICE, address(0));
    }

    function test_RevertWhen_SomebodyElseGivesKeys() public {
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotKeys.selector, ADMINISTRATOR));
        settlement.takeKeys(ALICE, ALICE);
    }
}
