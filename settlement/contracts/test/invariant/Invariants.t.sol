// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Settlement} from "../../src/Settlement.sol";
import {Header} from "../../src/Types.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {Test} from "../lib/Test.sol";
import {Handler} from "./Handler.sol";

/// What no order of calls, and no lie of the operator's, can break. I5 and I8 are checked by the handler after each call.
contract InvariantsTest is Test {
    Handler internal handler;
    Settlement internal settlement;
    address internal vault;

    function setUp() public {
        handler = new Handler();
        (address settlement_, address vault_) = handler.venue();
        (settlement, vault) = (Settlement(settlement_), vault_);
        bytes4[] memory selectors = new bytes4[](14);
        selectors[0] = handler.doDeposit.selector;
        selectors[1] = handler.doRequest.selector;
        selectors[2] = handler.doRegisterKey.selector;
        selectors[3] = handler.doTrade.selector;
        selectors[4] = handler.doCommit.selector;
        selectors[5] = handler.doLie.selector;
        selectors[6] = handler.doWait.selector;
        selectors[7] = handler.doFinalize.selector;
        selectors[8] = handler.doClaim.selector;
        selectors[9] = handler.doBar.selector;
        selectors[10] = handler.doClaimDeferred.selector;
        // Twice as often: everything else hangs on it.
        selectors[11] = handler.doDeposit.selector;
        selectors[12] = handler.doForce.selector;
        selectors[13] = handler.doVeto.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    /// One campaign for all of them: the calls cost more than the comparisons.
    function invariant_Holds() public view {
        I1_SolventToTheUnit();
        I2_ConservedPerAsset();
        I4_JournalRangesTile();
        I7_QueueConsumedOnceInOrder();
        I8_EachWithdrawalOnce();
        I11_OnlyOwnersArePaid();
    }

    /// The vault holds exactly what accounts have, what is withdrawn and not yet paid, and what waits in the queue.
    function I1_SolventToTheUnit() private view {
        for (uint16 asset = 0; asset < handler.ASSETS(); ++asset) {
            (uint128 sum, uint128 credited) = handler.lineAt(asset);
            (uint128 deposited, uint128 owed) = settlement.holdings(asset);
            uint256 paid;
            for (uint256 i = 0; i < 3; ++i) {
                paid += handler.received(handler.actors(i), asset);
            }
            uint256 claims = sum + (handler.withdrawn(asset) - paid) + (deposited - credited);
            assertEq(owed, claims, "I1: owed");
            assertEq(handler.tokenOf(asset).balanceOf(vault), claims * handler.scaleOf(asset), "I1: held");
        }
    }

    function I2_ConservedPerAsset() private view {
        for (uint16 asset = 0; asset < handler.ASSETS(); ++asset) {
            (uint128 sum, uint128 credited) = handler.lineAt(asset);
            uint256 ledger;
            for (uint256 account = 1; account <= 3; ++account) {
                ledger += handler.ledger(account, asset);
            }
            assertEq(sum, ledger, "I2: ledger");
            assertEq(sum + handler.withdrawn(asset), credited, "I2: flows");
        }
    }

    function I4_JournalRangesTile() private view {
        uint64 last;
        for (uint256 i = 0; i < handler.records(); ++i) {
            Header memory header = handler.headerAt(i);
            assertEq(header.batchId, i + 1, "I4: batch");
            assertEq(header.firstSequence, last + 1, "I4: range");
            last = header.lastSequence;
        }
        (uint64 batchId, uint64 lastSequence,,,) = settlement.tip();
        assertEq(batchId, handler.records(), "I4: tip");
        assertEq(lastSequence, last, "I4: last");
    }

    function I7_QueueConsumedOnceInOrder() private view {
        (,, uint64 queueUpTo,,) = settlement.tip();
        assertEq(queueUpTo, handler.consumed(), "I7: consumed");
        (,, uint64 length) = settlement.counts();
        assertEq(length, handler.entries(), "I7: length");
        uint256[5] memory credited;
        bytes32 prefix = settlement.queuePrefix(0);
        for (uint256 i = 0; i < length; ++i) {
            Handler.Entry memory e = handler.entryAt(i);
            prefix = Encoding.queueEntry(prefix, e.kind, e.account, e.asset, e.amount, e.extra, e.time);
            assertEq(settlement.queuePrefix(i + 1), prefix, "I6: stored hash");
            if (i < queueUpTo && e.kind == Encoding.DEPOSIT) credited[e.asset] += e.amount;
        }
        for (uint256 asset = 0; asset < 5; ++asset) {
            (, uint128 told) = handler.lineAt(asset);
            assertEq(told, credited[asset], "I7: credited");
        }
    }

    function I8_EachWithdrawalOnce() private view {
        for (uint16 asset = 0; asset < handler.ASSETS(); ++asset) {
            uint256 out;
            for (uint256 i = 0; i < 3; ++i) {
                out += handler.received(handler.actors(i), asset) + settlement.withdrawable(asset, handler.actors(i));
            }
            assertEq(out, handler.claimed(asset), "I8: claimed");
            assertTrue(out <= handler.withdrawn(asset), "I8: withdrawn");
        }
    }

    function I11_OnlyOwnersArePaid() private view {
        for (uint16 asset = 0; asset < handler.ASSETS(); ++asset) {
            uint256 all = handler.tokenOf(asset).balanceOf(vault);
            if (asset == handler.FEE()) all += handler.tokenOf(asset).balanceOf(address(0xfee));
            for (uint256 i = 0; i < 3; ++i) {
                address actor = handler.actors(i);
                uint256 has = handler.tokenOf(asset).balanceOf(actor);
                all += has;
                uint256 got = handler.received(actor, asset) * handler.scaleOf(asset);
                if (asset != handler.FEE()) {
                    assertEq(has + handler.spent(actor, asset), handler.minted(actor, asset) + got, "I11: actor");
                }
            }
            assertEq(all, handler.tokenOf(asset).totalSupply(), "I11: somebody else was paid");
        }
    }

    /// I9: whatever has happened, a week of silence later everybody is out and the vault is empty. I10: and it stays so.
    function afterInvariant() public {
        if (!handler.everybodyLeaves()) return;
        assertTrue(settlement.frozen(), "I10: frozen");
        for (uint16 asset = 0; asset < handler.ASSETS(); ++asset) {
            assertEq(handler.tokenOf(asset).balanceOf(vault), 0, "I9: something is left in the vault");
            (, uint128 owed) = settlement.holdings(asset);
            assertEq(owed, 0, "I9: something is still owed");
        }
    }

    /// The handler really gets to all that the invariants are about.
    function test_TheHandlerReachesEverything() public {
        for (uint256 i = 0; i < 15; ++i) {
            handler.doDeposit(i, i, 1_000);
        }
        for (uint256 kind = 0; kind < 19; ++kind) {
            handler.doLie(kind, 0);
        }
        handler.doCommit(0);
        for (uint256 kind = 0; kind < 19; ++kind) {
            handler.doLie(kind, 0);
        }
        for (uint256 i = 0; i < 15; ++i) {
            handler.doRequest(i, i, 5);
        }
        handler.doTrade(0, 1, 0, 100);
        handler.doCommit(0);
        handler.doBar(0, true);
        handler.doWait(600, 50);
        handler.doFinalize(1);
        for (uint256 i = 0; i < 15; ++i) {
            handler.doClaim(i);
            handler.doClaim(i);
        }
        handler.doBar(0, false);
        handler.doClaimDeferred(0);
        assertEq(handler.times("deposit"), 15, "deposits");
        assertEq(handler.times("commit"), 2, "commits");
        // In an empty venue two of the lies have nothing to be about.
        assertTrue(handler.times("lie") >= 36, "lies");
        assertEq(handler.times("claim"), 15, "claims");
        invariant_Holds();
        handler.doForce(0, 0);
        handler.doForce(0, 0);
        handler.doDeposit(1, 1, 1_000);
        handler.doCommit(0);
        handler.doVeto(2);
        assertEq(handler.times("force"), 1, "forced withdrawals");
        assertEq(handler.times("veto"), 1, "vetoes");
        invariant_Holds();
        handler.doCommit(0);
        afterInvariant();
    }
}
