// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, Setup} from "../lib/Fixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

contract ConstructorTest is Fixture {
    function test_StartsEmpty() public view {
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime, uint64 finalBatch) = settlement.tip();
        assertEq(batchId + lastSequence + queueUpTo + lastTime + finalBatch, 0, "tip");
        (uint64 assets, uint64 accounts, uint64 queueLength) = settlement.counts();
        assertEq(assets, 2, "assets");
        assertEq(accounts + queueLength, 0, "counts");
        assertEq(settlement.tipRoot(), keccak256(new bytes(64)), "root of no lines");
        assertEq(settlement.queuePrefix(0), Encoding.queueOrigin(block.chainid, address(settlement)), "origin");
        assertEq(settlement.ownerOf(0), VENUE_OWNER, "account 0");
        assertEq(vault.settlement(), address(settlement), "vault");
        assertEq(settlement.windowSeconds(), WINDOW_SECONDS, "seconds");
        assertEq(settlement.windowBlocks(), WINDOW_BLOCKS, "blocks");
        assertTrue(!settlement.frozen(), "live");
    }

    function refusedSetup(Setup memory wrong) private {
        refusedDeployment(wrong, SettlementErrors.BadSetup.selector);
    }

    function test_RevertWhen_NoOperator() public {
        Setup memory wrong = setup();
        wrong.operator = address(0);
        refusedSetup(wrong);
    }

    function test_RevertWhen_NoSigner() public {
        Setup memory wrong = setup();
        wrong.signer = address(0);
        refusedSetup(wrong);
    }

    function test_RevertWhen_FreezingNeedsTooManyBlocks() public {
        Setup memory wrong = setup();
        wrong.freezeBlocks = 7 days + 1;
        refusedSetup(wrong);
    }

    function test_RevertWhen_NothingMayLeave() public {
        Setup memory wrong = setup();
        wrong.outflowPercent = 0;
        refusedSetup(wrong);
    }

    function test_RevertWhen_MoreThanAllMayLeave() public {
        Setup memory wrong = setup();
        wrong.outflowPercent = 101;
        refusedSetup(wrong);
    }

    function test_RevertWhen_NoAdministrator() public {
        Setup memory wrong = setup();
        wrong.administrator = address(0);
        refusedSetup(wrong);
    }

    function test_RevertWhen_NoVenueOwner() public {
        Setup memory wrong = setup();
        wrong.venueOwner = address(0);
        refusedSetup(wrong);
    }
}
