// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Header, Stamp} from "../lib/Fixture.sol";
import {WatchFixture} from "../lib/WatchFixture.sol";
import {Watchers} from "../../src/Watchers.sol";

contract SettleBondTest is WatchFixture {
    bytes32 internal vetoed;

    function setUp() public override {
        super.setUp();
        vetoed = settlement.batchHash(3);
    }

    function settle(address watcher) private {
        watchers.settleBond(vetoed, watcher, header, stamp);
    }

    function refusedSettle(address watcher, bytes memory reason) private {
        vm.expectRevert(reason);
        settle(watcher);
    }

    /// Another batch became final in its place: the veto was right.
    function test_ComesBackWhereTheVenueGaveIn() public {
        drop(3);
        has[USD][1] -= 1;
        has[USD][2] += 1;
        commitBalances();
        finalizeTip();
        settle(WATCHER_A);
        settle(WATCHER_B);
        assertEq(WATCHER_A.balance, 100 ether, "all of it");
        assertEq(WATCHER_B.balance, 100 ether, "all of it");
    }

    /// The very same batch became final, and nobody stood by the veto.
    function test_IsLostWhereTheVetoWasWrong() public {
        drop(3);
        Batch memory same = balancesBatch();
        same.header = headers[3];
        stamp = commit(same);
        header = same.header;
        finalizeTip();
        settle(WATCHER_A);
        assertEq(WATCHER_A.balance, 99 ether, "lost");
        assertEq(VENUE_OWNER.balance, VETO_BOND, "to the venue");
    }

    function test_ComesBackWhereTooFewAgreed() public {
        veto(WATCHER_A, 3);
        refusedSettle(WATCHER_A, abi.encodeWithSelector(Watchers.NotDecided.selector));
        finalizeTip();
        settle(WATCHER_A);
        assertEq(WATCHER_A.balance, 100 ether, "all of it");
    }

    function test_ComesBackWhereTheVenueIsFrozen() public {
        drop(3);
        settlement.setFrozen();
        settle(WATCHER_A);
        assertEq(WATCHER_A.balance, 100 ether, "all of it");
    }

    function test_RevertWhen_Twice() public {
        veto(WATCHER_A, 3);
        finalizeTip();
        settle(WATCHER_A);
        refusedSettle(WATCHER_A, abi.encodeWithSelector(Watchers.NoBond.selector));
    }

    /// Somebody shows another batch than the one that is final, to get a bond back that is lost.
    function test_RevertWhen_AnotherHeaderIsShown() public {
        drop(3);
        Batch memory same = balancesBatch();
        same.header = headers[3];
        stamp = commit(same);
        header = same.header;
        finalizeTip();
        header.fills += 1;
        refusedSettle(WATCHER_A, abi.encodeWithSelector(Watchers.NotDecided.selector));
    }

    function test_RevertWhen_TheWatcherRefuses() public {
        veto(WATCHER_A, 3);
        finalizeTip();
        vm.etch(WATCHER_A, hex"fe");
        refusedSettle(WATCHER_A, abi.encodeWithSelector(Watchers.NotPaid.selector, WATCHER_A));
    }
}
