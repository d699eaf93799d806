// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Encoding} from "../../src/lib/Encoding.sol";
import {Line, Batch, Fixture, Header, QueueEntry, Stamp, Step} from "./Fixture.sol";
import {Trees} from "./Trees.sol";

/// A venue with real trees: account 0 has fees, 1 is Alice's, 2 is Bob's.
abstract contract ExitFixture is Fixture {
    /// What the four accounts have by the batch being made.
    mapping(uint256 asset => uint128[4]) internal has;
    Header internal header;
    Stamp internal stamp;
    Line[] internal lines;

    function setUp() public virtual override {
        super.setUp();
        deposit(ALICE, USD, 5_000);
        deposit(BOB, USD, 3_000);
        deposit(BOB, ETH, 700 * ETH_SCALE);
        has[USD] = [uint128(100), 4_900, 3_000, 0];
        has[ETH] = [uint128(0), 0, 700, 0];
        commitBalances();
    }

    /// A batch with the trees of `has`, which follows the tip and consumes the whole queue.
    function balancesBatch() internal view returns (Batch memory b) {
        b = nextBatch();
        for (uint16 asset = 0; asset < b.lines.length; ++asset) {
            (b.lines[asset].treeHash, b.lines[asset].sum) = Trees.balances(has[asset]);
        }
        seal(b);
    }

    function commitBalances() internal {
        Batch memory b = balancesBatch();
        Stamp memory committed = commit(b);
        (header, stamp) = (b.header, committed);
        delete lines;
        for (uint256 i = 0; i < b.lines.length; ++i) {
            lines.push(b.lines[i]);
        }
    }

    function finalizeTip() internal {
        waitForWindow();
        settlement.finalize(header, stamp);
    }

    function pathOf(uint16 asset, uint32 account) internal view returns (Step[] memory) {
        return Trees.path(has[asset], account);
    }

    /// The queue's entry that a deposit made now has.
    function depositEntry(uint64 queueId, address owner, uint16 asset, uint64 atoms)
        internal
        view
        returns (QueueEntry memory)
    {
        bytes32 extra = bytes32(uint256(uint160(owner)));
        uint64 time = uint64(block.timestamp);
        return QueueEntry(queueId, Encoding.DEPOSIT, settlement.accountOf(owner), asset, atoms, extra, time);
    }

    function force(address owner, uint16 asset) internal returns (QueueEntry memory) {
        vm.deal(owner, FORCED_FEE);
        vm.prank(owner);
        uint64 queueId = settlement.forceWithdraw{value: FORCED_FEE}(asset);
        uint32 account = settlement.accountOf(owner);
        return QueueEntry(queueId, Encoding.FORCED_WITHDRAWAL, account, asset, 0, 0, uint64(block.timestamp));
    }

    /// A week in which no batch comes.
    function beSilent() internal {
        vm.warp(block.timestamp + 7 days);
        vm.roll(block.number + FREEZE_BLOCKS);
    }

    /// Freezes by silence and rolls back to the tip, which is final.
    function freezeAndRollBack() internal {
        QueueEntry memory entry = force(BOB, ETH);
        beSilent();
        settlement.freeze(entry);
        settlement.rollBack(header, stamp);
    }
}
