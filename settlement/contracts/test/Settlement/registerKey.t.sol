// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract RegisterKeyTest is Fixture {
    bytes32 internal constant KEY = bytes32(uint256(0xed25519));

    function test_Queues() public {
        deposit(ALICE, USD, 100);
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(1), Encoding.REGISTER_KEY, 1, 0, 0, KEY, time);
        vm.prank(ALICE);
        vm.expectEmit();
        emit SettlementEvents.Queued(2, 1, Encoding.REGISTER_KEY, 0, 0, KEY, time, prefix);
        assertEq(settlement.registerKey(KEY), 2, "entry");
        assertEq(settlement.queuePrefix(2), prefix, "stored hash");
    }

    /// Asking binds nothing, so nobody can keep a key from its owner by asking first: the key itself signs to the venue.
    function test_AnybodyMayAskForAnyKey() public {
        deposit(ALICE, USD, 100);
        deposit(BOB, USD, 100);
        uint64 time = uint64(block.timestamp);
        vm.prank(BOB);
        assertEq(settlement.registerKey(KEY), 3, "the squatter's entry");
        vm.prank(ALICE);
        assertEq(settlement.registerKey(KEY), 4, "the owner's entry");
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(2), Encoding.REGISTER_KEY, 2, 0, 0, KEY, time);
        assertEq(settlement.queuePrefix(3), prefix, "names its own account");
        prefix = Encoding.queueEntry(prefix, Encoding.REGISTER_KEY, 1, 0, 0, KEY, time);
        assertEq(settlement.queuePrefix(4), prefix, "names its own account too");
        assertEq(settlement.keyEpochOf(ALICE), 1, "each counts its own");
        assertEq(settlement.keyEpochOf(BOB), 1, "each counts its own");
    }

    function test_RevertWhen_Frozen() public {
        deposit(ALICE, USD, 100);
        settlement.setFrozen();
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        settlement.registerKey(KEY);
    }

    function test_RevertWhen_ZeroKey() public {
        deposit(ALICE, USD, 100);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.ZeroKey.selector));
        settlement.registerKey(0);
    }

    function test_RevertWhen_NoAccount() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NoAccount.selector, ALICE));
        settlement.registerKey(KEY);
    }
}
