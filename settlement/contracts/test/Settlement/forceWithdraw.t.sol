// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, SettlementErrors, SettlementEvents} from "../lib/Fixture.sol";
import {ExitFixture} from "../lib/ExitFixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract ForceWithdrawTest is ExitFixture {
    function refusedForce(address owner, uint16 asset, uint256 fee, bytes memory reason) private {
        vm.deal(owner, fee);
        vm.prank(owner);
        vm.expectRevert(reason);
        settlement.forceWithdraw{value: fee}(asset);
    }

    function test_QueuesAndTakesTheFee() public {
        uint64 time = uint64(block.timestamp);
        bytes32 prefix = Encoding.queueEntry(settlement.queuePrefix(3), Encoding.FORCED_WITHDRAWAL, 1, USD, 0, 0, time);
        vm.deal(ALICE, FORCED_FEE);
        vm.prank(ALICE);
        vm.expectEmit();
        emit SettlementEvents.Queued(4, 1, Encoding.FORCED_WITHDRAWAL, USD, 0, 0, time, prefix);
        assertEq(settlement.forceWithdraw{value: FORCED_FEE}(USD), 4, "entry");
        assertEq(settlement.forcedWithdrawalOf(1, USD), 4, "remembered");
        settlement.collectFees();
        assertEq(VENUE_OWNER.balance, FORCED_FEE, "the venue has the fee");
        assertEq(address(settlement).balance, 0, "and the contract nothing");
    }

    function test_OpenUntilABatchConsumesIt() public {
        force(ALICE, USD);
        bytes memory open = abi.encodeWithSelector(SettlementErrors.ForcedWithdrawalOpen.selector, 4);
        refusedForce(ALICE, USD, FORCED_FEE, open);
        // Another asset and another account are not concerned.
        force(ALICE, ETH);
        force(BOB, USD);
        commitNext();
        force(ALICE, USD);
    }

    /// Else the leaf that has to be empty would not be.
    function test_RevertWhen_DepositMeanwhile() public {
        force(ALICE, USD);
        fund(ALICE, USD, 100);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.ForcedWithdrawalOpen.selector, 4));
        settlement.deposit(USD, 100);
        deposit(ALICE, ETH, 100 * ETH_SCALE);
        commitNext();
        deposit(ALICE, USD, 100);
    }

    function test_RevertWhen_Frozen() public {
        settlement.setFrozen();
        refusedForce(ALICE, USD, FORCED_FEE, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_WrongFee() public {
        bytes4 wrong = SettlementErrors.WrongFee.selector;
        refusedForce(ALICE, USD, FORCED_FEE - 1, abi.encodeWithSelector(wrong, FORCED_FEE, FORCED_FEE - 1));
        refusedForce(ALICE, USD, FORCED_FEE + 1, abi.encodeWithSelector(wrong, FORCED_FEE, FORCED_FEE + 1));
    }

    function test_RevertWhen_UnknownAsset() public {
        refusedForce(ALICE, 2, FORCED_FEE, abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 2));
    }

    function test_RevertWhen_NoAccount() public {
        address stranger = address(0xdead);
        bytes memory reason = abi.encodeWithSelector(SettlementErrors.NoAccount.selector, stranger);
        refusedForce(stranger, USD, FORCED_FEE, reason);
    }

    function test_RevertWhen_TheVenueRefusesFees() public {
        force(ALICE, USD);
        vm.etch(VENUE_OWNER, hex"fe");
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotPaid.selector, VENUE_OWNER));
        settlement.collectFees();
    }
}
