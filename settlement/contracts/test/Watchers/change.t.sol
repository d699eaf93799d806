// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, Setup} from "../lib/Fixture.sol";
import {Watchers} from "../../src/Watchers.sol";

/// Who watches changes with more than eight days' notice only.
contract ChangeTest is Fixture {
    function set(address one, address other) private pure returns (address[] memory list_) {
        list_ = new address[](2);
        (list_[0], list_[1]) = (one, other);
    }

    function announce(address[] memory next, uint64 threshold) private {
        vm.prank(ADMINISTRATOR);
        watchers.announce(next, threshold);
    }

    function refusedChange(address[] memory next, uint64 threshold, bytes memory reason) private {
        vm.expectRevert(reason);
        watchers.change(next, threshold);
    }

    function test_TakesTheAnnouncedOnesWhenTheirTimeHasCome() public {
        announce(set(ALICE, BOB), 1);
        vm.warp(block.timestamp + 9 days);
        watchers.change(set(ALICE, BOB), 1);
        assertTrue(watchers.isWatcher(ALICE) && watchers.isWatcher(BOB), "in");
        assertTrue(!watchers.isWatcher(WATCHER_A), "out");
        assertEq(watchers.threshold(), 1, "threshold");
        refusedChange(set(ALICE, BOB), 1, abi.encodeWithSelector(Watchers.NotAnnounced.selector));
    }

    function test_RevertWhen_NoticeRunning() public {
        announce(set(ALICE, BOB), 1);
        uint64 from = uint64(block.timestamp) + 9 days;
        assertTrue(from > block.timestamp + 8 days, "more than eight days");
        vm.warp(from - 1);
        refusedChange(set(ALICE, BOB), 1, abi.encodeWithSelector(Watchers.NoticeRunning.selector, from));
    }

    function test_RevertWhen_NotAnnounced() public {
        announce(set(ALICE, BOB), 1);
        vm.warp(block.timestamp + 9 days);
        refusedChange(set(ALICE, BOB), 2, abi.encodeWithSelector(Watchers.NotAnnounced.selector));
        refusedChange(set(BOB, ALICE), 1, abi.encodeWithSelector(Watchers.NotAnnounced.selector));
    }

    function test_RevertWhen_NotAdministrator() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(Watchers.NotAdministrator.selector, ALICE));
        watchers.announce(set(ALICE, BOB), 1);
    }

    function refusedSet(address[] memory bad, uint64 threshold) private {
        Setup memory wrong = setup();
        (wrong.watchers, wrong.vetoThreshold) = (bad, threshold);
        refusedDeployment(wrong, Watchers.BadWatchers.selector);
    }

    function test_RevertWhen_NobodyHasToAgree() public {
        refusedSet(set(ALICE, BOB), 0);
    }

    function test_RevertWhen_MoreHaveToAgreeThanThereAre() public {
        refusedSet(set(ALICE, BOB), 3);
    }

    function test_RevertWhen_TooMany() public {
        address[] memory many = new address[](33);
        for (uint160 i = 0; i < 33; ++i) {
            many[i] = address(i + 1);
        }
        refusedSet(many, 1);
    }

    function test_RevertWhen_Nobody() public {
        refusedSet(set(ALICE, address(0)), 1);
    }

    function test_RevertWhen_SomebodyTwice() public {
        refusedSet(set(ALICE, ALICE), 1);
    }
}
