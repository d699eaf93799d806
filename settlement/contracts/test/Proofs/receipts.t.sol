// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture, Header, SettlementErrors, SettlementEvents, Stamp} from "../lib/Fixture.sol";
import {Trees} from "../lib/Trees.sol";
import {Proofs} from "../../src/Proofs.sol";
import {Receipt} from "../../src/Types.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {JournalTree} from "../../src/lib/JournalTree.sol";

/// A batch whose journal root is over real leaves, and receipts for them.
abstract contract ReceiptFixture is Fixture {
    bytes32[] internal records;
    Header internal header;
    Stamp internal stamp;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 10; ++i) {
            records.push(keccak256(abi.encode("record", i)));
        }
        commitRecords();
    }

    function commitRecords() internal {
        Batch memory b = nextBatch();
        bytes32[] memory leaves = Trees.journalLeaves(1, records);
        b.header.journalRoot = Trees.journalRoot(leaves, 0, leaves.length);
        stamp = commit(b);
        header = b.header;
    }

    /// The way from a record to the batch's journal root.
    function pathOf(uint64 sequence) internal view returns (bytes32[] memory) {
        return Trees.journalPath(Trees.journalLeaves(1, records), sequence - 1);
    }

    /// A receipt for `recordHash` at `sequence`, one of an interval of `count` records of which it is the last.
    function receiptFor(uint64 sequence, bytes32 recordHash, uint64 count, uint256 secret)
        internal
        view
        returns (Receipt memory receipt)
    {
        bytes32[] memory interval = new bytes32[](count);
        for (uint64 i = 0; i < count; ++i) {
            interval[i] = i + 1 == count ? recordHash : keccak256(abi.encode("neighbour", i));
        }
        bytes32[] memory leaves = Trees.journalLeaves(sequence + 1 - count, interval);
        receipt.sequence = sequence;
        receipt.recordHash = recordHash;
        (receipt.epoch, receipt.index, receipt.count) = (1, count - 1, count);
        receipt.path = Trees.journalPath(leaves, count - 1);
        bytes32 root = Trees.journalRoot(leaves, 0, count);
        receipt.signature =
            signTyped(secret, keccak256(abi.encode(Encoding.INTERVAL_TYPE, receipt.shard, receipt.epoch, root)));
    }

    function receiptFor(uint64 sequence, bytes32 recordHash) internal view returns (Receipt memory) {
        return receiptFor(sequence, recordHash, 3, SIGNER_SECRET);
    }
}

contract ProveReceiptViolatedTest is ReceiptFixture {
    bytes32 internal constant PROMISED = keccak256("what was promised");

    function refusedProof(Receipt memory receipt, bytes32 committed, bytes32[] memory path, bytes memory reason)
        private
    {
        vm.expectRevert(reason);
        proofs.proveReceiptViolated(receipt, header, stamp, committed, path);
    }

    function test_FreezesAtOnce() public {
        vm.expectEmit();
        emit Proofs.ReceiptViolated(7, 1, PROMISED, records[6]);
        vm.expectEmit();
        emit SettlementEvents.VenueFrozen(3);
        proofs.proveReceiptViolated(receiptFor(7, PROMISED), header, stamp, records[6], pathOf(7));
    }

    function test_RevertWhen_NoContradiction() public {
        bytes memory none = abi.encodeWithSelector(Proofs.NoContradiction.selector);
        refusedProof(receiptFor(7, records[6]), records[6], pathOf(7), none);
    }

    function test_RevertWhen_NotSigned() public {
        Receipt memory receipt = receiptFor(7, PROMISED, 3, 0xbad);
        refusedProof(receipt, records[6], pathOf(7), abi.encodeWithSelector(Proofs.NotSigned.selector, vm.addr(0xbad)));
        receipt = receiptFor(7, PROMISED);
        receipt.epoch = 2;
        vm.expectPartialRevert(Proofs.NotSigned.selector);
        proofs.proveReceiptViolated(receipt, header, stamp, records[6], pathOf(7));
    }

    /// Receipts of a key that was replaced count for a month.
    function test_RevertWhen_SignedByAKeyOfLongAgo() public {
        vm.prank(ADMINISTRATOR);
        keys.announce(OPERATOR, ALICE);
        vm.warp(block.timestamp + 9 days);
        keys.rotate();
        vm.warp(block.timestamp + 30 days - 1);
        proofs.receiptDigest(receiptFor(7, PROMISED));
        vm.warp(block.timestamp + 1);
        bytes memory late = abi.encodeWithSelector(Proofs.NotSigned.selector, vm.addr(SIGNER_SECRET));
        refusedProof(receiptFor(7, PROMISED), records[6], pathOf(7), late);
        vm.warp(block.timestamp - 1);
        proofs.proveReceiptViolated(receiptFor(7, PROMISED), header, stamp, records[6], pathOf(7));
    }

    function test_RevertWhen_UnknownBatch() public {
        header.fills += 1;
        bytes memory unknown = abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 1);
        refusedProof(receiptFor(7, PROMISED), records[6], pathOf(7), unknown);
    }

    function test_RevertWhen_SequenceAfterTheBatch() public {
        bytes memory outside = abi.encodeWithSelector(Proofs.WrongSequence.selector, 11);
        refusedProof(receiptFor(11, PROMISED), records[6], pathOf(7), outside);
    }

    function test_RevertWhen_SequenceBeforeTheBatch() public {
        commitNextRange();
        bytes memory outside = abi.encodeWithSelector(Proofs.WrongSequence.selector, 7);
        refusedProof(receiptFor(7, PROMISED), records[6], pathOf(7), outside);
    }

    function commitNextRange() private {
        vm.warp(block.timestamp + 60);
        (header, stamp) = commitNext();
    }

    function test_RevertWhen_WrongProof() public {
        bytes memory wrong = abi.encodeWithSelector(Proofs.WrongProof.selector);
        // Another record, another place, another path.
        refusedProof(receiptFor(7, PROMISED), records[5], pathOf(7), wrong);
        refusedProof(receiptFor(8, PROMISED), records[6], pathOf(7), wrong);
        bytes32[] memory path = pathOf(7);
        path[0] = bytes32(uint256(1));
        refusedProof(receiptFor(7, PROMISED), records[6], path, wrong);
    }
}

contract ProveEquivocationTest is ReceiptFixture {
    bytes32 internal constant ONE = keccak256("one");
    bytes32 internal constant OTHER = keccak256("other");

    function refusedProof(Receipt memory one, Receipt memory other, bytes memory reason) private {
        vm.expectRevert(reason);
        proofs.proveEquivocation(one, other);
    }

    function test_TwoForOnePlaceFreezeAtOnce() public {
        vm.expectEmit();
        emit Proofs.EquivocationProved(4, ONE, OTHER);
        proofs.proveEquivocation(receiptFor(4, ONE), receiptFor(4, OTHER, 2, SIGNER_SECRET));
        assertTrue(settlement.frozen(), "frozen");
    }

    function test_RevertWhen_NoContradiction() public {
        bytes memory none = abi.encodeWithSelector(Proofs.NoContradiction.selector);
        refusedProof(receiptFor(4, ONE), receiptFor(4, ONE, 2, SIGNER_SECRET), none);
    }

    function test_RevertWhen_OfOtherPlaces() public {
        bytes memory wrong = abi.encodeWithSelector(Proofs.WrongSequence.selector, 5);
        refusedProof(receiptFor(4, ONE), receiptFor(5, OTHER), wrong);
    }

    function test_RevertWhen_OfOtherShards() public {
        Receipt memory other = receiptFor(4, OTHER, 1, SIGNER_SECRET);
        other.shard = 1;
        bytes32 root = JournalTree.leaf(4, OTHER);
        other.signature = signTyped(SIGNER_SECRET, keccak256(abi.encode(Encoding.INTERVAL_TYPE, 1, 1, root)));
        refusedProof(receiptFor(4, ONE), other, abi.encodeWithSelector(Proofs.WrongSequence.selector, 4));
    }

    function test_RevertWhen_TheFirstIsNotSigned() public {
        bytes memory stranger = abi.encodeWithSelector(Proofs.NotSigned.selector, vm.addr(0xbad));
        refusedProof(receiptFor(4, ONE, 1, 0xbad), receiptFor(4, OTHER), stranger);
    }

    function test_RevertWhen_TheSecondIsNotSigned() public {
        bytes memory stranger = abi.encodeWithSelector(Proofs.NotSigned.selector, vm.addr(0xbad));
        refusedProof(receiptFor(4, ONE), receiptFor(4, OTHER, 1, 0xbad), stranger);
    }
}

/// Paths of trees of every shape, and of none.
contract JournalTreeTest is ReceiptFixture {
    function climb(bytes32 leaf, uint64 index, uint64 count, bytes32[] calldata path) external view returns (bytes32) {
        return JournalTree.climb(leaf, index, count, path);
    }

    function testFuzz_EachLeafOfEachTreeIsProved(uint8 size, uint8 place) public view {
        uint64 count = uint64(bound(size, 1, 70));
        uint64 index = uint64(bound(place, 0, count - 1));
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode(i));
        }
        bytes32 root = this.climb(leaves[index], index, count, Trees.journalPath(leaves, index));
        assertEq(root, Trees.journalRoot(leaves, 0, count), "root");
    }

    function refusedPath(uint64 index, uint64 count, uint256 length) private {
        vm.expectRevert(abi.encodeWithSelector(JournalTree.WrongPath.selector));
        this.climb(bytes32(uint256(1)), index, count, new bytes32[](length));
    }

    function test_RevertWhen_BeyondTheEnd() public {
        refusedPath(3, 3, 2);
        refusedPath(0, 0, 0);
    }

    function test_RevertWhen_TooLong() public {
        refusedPath(0, 4, 3);
    }

    function test_RevertWhen_TooShort() public {
        refusedPath(0, 4, 1);
    }
}
