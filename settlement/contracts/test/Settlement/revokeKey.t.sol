// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract RevokeKeyTest is Fixture {
    bytes32 internal constant KEY = bytes32(uint256(0xed25519));

    function test_Queues() public {
        deposit(ALICE, USD, 100);
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(1), Encoding.REVOKE_KEY, 1, 0, 0, KEY, time);
        vm.prank(ALICE);
        vm.expectEmit();
        emit SettlementEvents.Queued(2, 1, Encoding.REVOKE_KEY, 0, 0, KEY, time, prefix);
        assertEq(settlement.revokeKey(KEY), 2, "entry");
        assertEq(settlement.queuePrefix(2), prefix, "stored hash");
    }

    function test_RevertWhen_Frozen() public {
        deposit(ALICE, USD, 100);
        settlement.setFrozen();
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Frozen.selector));
        settlement.revokeKey(KEY);
    }

    function test_RevertWhen_NoAccount() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NoAccount.selector, ALICE));
        settlement.revokeKey(KEY);
    }
}
