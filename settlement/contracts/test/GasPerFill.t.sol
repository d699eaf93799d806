// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture} from "./lib/Fixture.sol";

/// What a batch of so many fills costs, with its data in calldata and in blobs: whole transactions, as of {GasTest}.
///
/// The model: ten assets, of which nine trade against the first; 8,192 accounts are active, and who trades is drawn
/// twice a fill so that the most active 1 % of them have 22 % of the sides and the most active 10 % have 46 %; a fill touches two
/// assets of both, and the venue's fee account. Balances are up to 2^40 atoms. Only balances that changed are published,
/// each once, however often it changed: that is what makes a fill cheap. What {Settlement} stores is the same for all.
/// forge-config: default.isolate = true
contract GasPerFillTest is Fixture {
    uint256 private constant ACCOUNTS = 8_192;
    uint256 private constant BLOB_BYTES = 4_096 * 31;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 2; i < 10; ++i) {
            list(newToken("Other", "OTHER", 6), 1);
        }
        for (uint16 i = 0; i < 10; ++i) {
            deposit(ALICE, i, 1_000_000 * (i == ETH ? ETH_SCALE : 1));
        }
        commitNext();
        vm.warp(block.timestamp + 60);
    }

    function test_AThousandFills() public {
        measure("1,000 fills", 1_000);
    }

    function test_TenThousandFills() public {
        measure("10,000 fills", 10_000);
    }

    function test_AHundredThousandFills() public {
        measure("100,000 fills", 100_000);
    }

    function measure(string memory name, uint256 fills) private {
        (bytes memory stream, uint256 balances) = publish(touch(fills));
        data = stream;
        Batch memory b = nextBatch();
        b.header.fills = uint64(fills);
        uint256 blobs = (stream.length + BLOB_BYTES - 1) / BLOB_BYTES;
        vm.snapshotValue("GasPerFill", string.concat(name, ": balances published"), balances);
        vm.snapshotValue("GasPerFill", string.concat(name, ": bytes"), stream.length);
        vm.snapshotValue("GasPerFill", string.concat(name, ": blobs"), blobs);
        bytes memory call =
            abi.encodeCall(settlement.commitBatch, (b.header, b.previousTrees, b.lines, sign(b), data, b.changes));
        vm.snapshotValue("GasPerFill", string.concat(name, ": calldata bytes"), call.length);
        uint256 before = vm.snapshotState();
        vm.prank(OPERATOR);
        settlement.commitBatch(b.header, b.previousTrees, b.lines, sign(b), data, b.changes);
        vm.snapshotGasLastCall("GasPerFill", string.concat(name, ": gas with calldata"));
        vm.revertToState(before);
        bytes32[] memory hashes = new bytes32[](blobs);
        for (uint256 i = 0; i < blobs; ++i) {
            hashes[i] = bytes32((uint256(1) << 248) | uint248(uint256(keccak256(abi.encode("blob", i)))));
        }
        vm.blobhashes(hashes);
        b.header.dataHash = keccak256(abi.encodePacked(hashes));
        vm.prank(OPERATOR);
        settlement.commitBatchBlobs(b.header, b.previousTrees, b.lines, sign(b), b.changes);
        vm.snapshotGasLastCall("GasPerFill", string.concat(name, ": gas with blobs"));
    }

    /// Which assets of each account the fills touch, a bit each.
    function touch(uint256 fills) private pure returns (uint256[] memory touched) {
        touched = new uint256[](ACCOUNTS);
        for (uint256 i = 0; i < fills; ++i) {
            uint256 random = uint256(keccak256(abi.encode("fill", i)));
            uint256 assets = 1 | (2 << (random % 9));
            touched[0] |= 1;
            touched[trader(random >> 64)] |= assets;
            touched[trader(random >> 128)] |= assets;
        }
    }

    /// An account, the low numbers more often: uniform to the third power.
    function trader(uint256 random) private pure returns (uint256) {
        uint256 uniform = uint64(random) >> 32;
        return (uniform * uniform * uniform * (ACCOUNTS - 1) >> 96) + 1;
    }

    /// The stream of these balances, as settlement/src/diff.rs writes it.
    function publish(uint256[] memory touched) private pure returns (bytes memory stream, uint256 balances) {
        stream = new bytes(16 * ACCOUNTS * 10);
        uint256 accounts = 0;
        for (uint256 account = 0; account < touched.length; ++account) {
            if (touched[account] != 0) ++accounts;
        }
        stream[0] = 0x01;
        uint256 at = varint(stream, 1, accounts);
        uint256 nextAccount = 0;
        for (uint256 account = 0; account < touched.length; ++account) {
            uint256 assets = touched[account];
            if (assets == 0) continue;
            at = varint(stream, at, account - nextAccount);
            nextAccount = account + 1;
            uint256 count = 0;
            for (uint256 rest = assets; rest != 0; rest &= rest - 1) {
                ++count;
            }
            at = varint(stream, at, count - 1);
            balances += count;
            uint256 nextAsset = 0;
            for (uint256 asset = 0; asset < 10; ++asset) {
                if ((assets >> asset) & 1 == 0) continue;
                at = varint(stream, at, asset - nextAsset);
                nextAsset = asset + 1;
                at = varint(stream, at, uint256(keccak256(abi.encode("balance", account, asset))) >> 216);
            }
        }
        assembly {
            mstore(stream, at)
        }
    }

    function varint(bytes memory stream, uint256 at, uint256 value) private pure returns (uint256) {
        for (; value >= 0x80; value >>= 7) {
            stream[at++] = bytes1(uint8(value | 0x80));
        }
        stream[at] = bytes1(uint8(value));
        return at + 1;
    }
}
