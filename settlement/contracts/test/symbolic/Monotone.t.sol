// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {AssetChange, AssetLine, Claim, Header, Stamp} from "../../src/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// Numbers only grow.
contract MonotoneProofs is ProofFixture {
    /// Any batch that is taken: where the batches stood before it, and where they stand now.
    function taken(Claim memory claim, AssetLine memory line) private returns (Tip memory old, Tip memory now_) {
        anyState(1);
        old = tip();
        commit(claim, one(line), new AssetChange[](0));
        now_ = tip();
    }

    // One comparison each: several in one function multiply its paths.

    function check_BatchIsTheNext(Claim memory claim, AssetLine memory line) public {
        (Tip memory old, Tip memory now_) = taken(claim, line);
        assert(now_.batchId == old.batchId + 1);
    }

    function check_BatchBeginsBehindTheLastRecord(Claim memory claim, AssetLine memory line) public {
        (Tip memory old,) = taken(claim, line);
        assert(uint256(claim.range.firstSequence()) == uint256(old.lastSequence) + 1);
    }

    function check_RecordsGrow(Claim memory claim, AssetLine memory line) public {
        (Tip memory old, Tip memory now_) = taken(claim, line);
        assert(now_.lastSequence > old.lastSequence);
    }

    function check_ConsumedQueueNeverFalls(Claim memory claim, AssetLine memory line) public {
        (Tip memory old, Tip memory now_) = taken(claim, line);
        assert(now_.queueUpTo >= old.queueUpTo);
    }

    // That time never falls, in three steps: as one comparison it costs the solver three minutes.

    function check_TimeBeginsWhereItWas(Claim memory claim, AssetLine memory line) public {
        (Tip memory old,) = taken(claim, line);
        assert(claim.moment.firstTime() >= old.lastTime);
    }

    function check_TimeEndsBehindItsBeginning(Claim memory claim, AssetLine memory line) public {
        taken(claim, line);
        assert(claim.moment.lastTime() >= claim.moment.firstTime());
    }

    /// Of times below 2^40.
    function check_TimeIsKept(Claim memory claim, AssetLine memory line) public {
        vm.assume(claim.moment.lastTime() <= type(uint40).max);
        (, Tip memory now_) = taken(claim, line);
        assert(now_.lastTime == claim.moment.lastTime());
    }

    function check_BatchLeavesFinality(Claim memory claim, AssetLine memory line) public {
        (Tip memory old, Tip memory now_) = taken(claim, line);
        assert(now_.finalBatch == old.finalBatch);
    }

    /// Finality only grows, after the window, and never beyond what was committed.
    function check_FinalityOnlyGrows(Header memory header, Stamp memory stamp) public {
        anyState();
        Tip memory old = tip();
        settlement.finalize(header, stamp);
        Tip memory now_ = tip();
        assert(now_.finalBatch > old.finalBatch);
        assert(now_.finalBatch <= now_.batchId);
        assert(now_.batchId == old.batchId);
        assert(now_.lastSequence == old.lastSequence);
        assert(now_.queueUpTo == old.queueUpTo);
        assert(now_.lastTime == old.lastTime);
        assert(block.timestamp >= uint256(stamp.time) + WINDOW_SECONDS);
        assert(block.number >= uint256(stamp.blockNumber) + WINDOW_BLOCKS);
    }

    /// Watchers drop nothing that is final.
    function check_NothingFinalIsDropped(
        Header memory header,
        Stamp memory stamp,
        Header memory previous,
        Stamp memory previousStamp,
        AssetLine memory line
    ) public {
        anyState();
        Tip memory old = tip();
        vm.prank(address(settlement.watchers()));
        settlement.drop(header, stamp, previous, previousStamp, one(line));
        Tip memory now_ = tip();
        assert(now_.finalBatch == old.finalBatch);
        assert(now_.batchId >= old.finalBatch);
        assert(now_.batchId < old.batchId);
    }

    /// The queue grows by one, and what stood in it stays.
    function check_QueueOnlyGrows(address owner, bytes32 key, uint256 place) public {
        anyState();
        (,, uint64 length) = settlement.counts();
        vm.assume(length < type(uint40).max);
        vm.assume(place <= length);
        bytes32 prefix = settlement.queuePrefix(place);
        vm.prank(owner);
        settlement.revokeKey(key);
        (,, uint64 now_) = settlement.counts();
        assert(now_ == length + 1);
        assert(settlement.queuePrefix(place) == prefix);
    }
}
