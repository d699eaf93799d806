// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture, SettlementErrors} from "../lib/Fixture.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// The same checks as of {CommitBatchTest}; what differs is where the data are.
contract CommitBatchBlobsTest is Fixture {
    function carry(uint256 count) private returns (bytes32[] memory hashes) {
        hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = bytes32((uint256(1) << 248) | (i + 1));
        }
        vm.blobhashes(hashes);
    }

    function test_TakesTheBlobsOfTheTransaction() public {
        Batch memory b = nextBatch();
        b.header.dataHash = keccak256(abi.encodePacked(carry(3)));
        vm.prank(OPERATOR);
        settlement.commitBatchBlobs(b.header.dataHash, packed(b.lines), claimOf(b), packed(b.changes));
        (uint64 batchId,,,,) = settlement.tip();
        assertEq(batchId, 1, "taken");
    }

    function test_RevertWhen_NoBlobs() public {
        Batch memory b = nextBatch();
        b.header.dataHash = 0;
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NoBlobs.selector));
        settlement.commitBatchBlobs(b.header.dataHash, packed(b.lines), claimOf(b), packed(b.changes));
    }

    function test_RevertWhen_WrongData() public {
        Batch memory b = nextBatch();
        bytes32[] memory hashes = carry(2);
        bytes32 right = keccak256(abi.encodePacked(hashes));
        b.header.dataHash = keccak256(abi.encodePacked(hashes[0]));
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.WrongData.selector, right, b.header.dataHash));
        settlement.commitBatchBlobs(b.header.dataHash, packed(b.lines), claimOf(b), packed(b.changes));
    }
}
