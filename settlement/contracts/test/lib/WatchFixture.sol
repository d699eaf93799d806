// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Line, Header, Stamp} from "./Fixture.sol";
import {ExitFixture} from "./ExitFixture.sol";

/// Three batches, of which the first is final.
abstract contract WatchFixture is ExitFixture {
    Header[4] internal headers;
    Stamp[4] internal stamps;
    mapping(uint256 batchId => Line[]) internal linesOf;

    function setUp() public virtual override {
        super.setUp();
        remember(1);
        finalizeTip();
        for (uint64 batchId = 2; batchId <= 3; ++batchId) {
            vm.warp(block.timestamp + 60);
            vm.roll(block.number + 5);
            deposit(ALICE, USD, 1_000);
            has[USD][1] += 1_000;
            commitBalances();
            remember(batchId);
        }
        vm.deal(WATCHER_A, 100 ether);
        vm.deal(WATCHER_B, 100 ether);
        vm.deal(WATCHER_C, 100 ether);
    }

    function remember(uint64 batchId) internal {
        headers[batchId] = header;
        stamps[batchId] = stamp;
        delete linesOf[batchId];
        for (uint256 i = 0; i < lines.length; ++i) {
            linesOf[batchId].push(lines[i]);
        }
    }

    function veto(address watcher, uint64 batchId) internal {
        vm.prank(watcher);
        vetoNow(batchId, headers[batchId].firstSequence);
    }

    function vetoNow(uint64 batchId, uint64 sequence) internal {
        watchers.veto{value: VETO_BOND}(
            headers[batchId],
            stamps[batchId],
            headers[batchId - 1],
            stamps[batchId - 1],
            packed(linesOf[batchId - 1]),
            sequence
        );
    }

    /// Two of the three watchers veto; what the fixture makes next follows the batch before.
    function drop(uint64 batchId) internal {
        veto(WATCHER_A, batchId);
        veto(WATCHER_B, batchId);
        delete tipLines;
        for (uint256 i = 0; i < linesOf[batchId - 1].length; ++i) {
            tipLines.push(linesOf[batchId - 1][i]);
        }
    }
}
