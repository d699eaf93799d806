// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Encoding} from "../src/lib/Encoding.sol";
import {Batch, Fixture} from "./lib/Fixture.sol";

/// Balances that fills touch, and their stream.
///
/// The model: ten assets, of which nine trade against the first. A fill is between one of 50 market makers, all alike,
/// and one of 8,192 other accounts, drawn so that the most active 1 % of them take 22 % of the fills and the most active
/// 10 % take 46 %. It touches two assets of both, and the venue's fee account. Balances have up to 40 bits. Each balance
/// that changed is published once, however often it changed: that is what makes a fill cheap.
abstract contract FillModel is Fixture {
    uint256 private constant MAKERS = 50;
    uint256 private constant TAKERS = 8_192;
    /// What of a blob's 131,072 bytes holds data, if each field element holds 31.
    uint256 internal constant BLOB_BYTES = 4_096 * 31;

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

    /// The data of a batch of so many fills, and how many balances they hold.
    function dataOf(uint256 fills) internal pure returns (bytes memory stream, uint256 balances) {
        return publish(touch(fills));
    }

    /// Which assets of each account the fills touch, a bit each: the venue's, the makers', the takers'.
    function touch(uint256 fills) private pure returns (uint256[] memory touched) {
        touched = new uint256[](1 + MAKERS + TAKERS);
        touched[0] = 1;
        for (uint256 i = 0; i < fills; ++i) {
            uint256 random = uint256(Encoding.append("fill", bytes32(i)));
            uint256 assets = 1 | (2 << (random % 9));
            touched[1 + (random >> 64) % MAKERS] |= assets;
            touched[1 + MAKERS + taker(random >> 128)] |= assets;
        }
    }

    /// The low numbers more often: a uniform number to the third power.
    function taker(uint256 random) private pure returns (uint256) {
        uint256 uniform = uint64(random) >> 32;
        return uniform * uniform * uniform * TAKERS >> 96;
    }

    /// The stream of these balances, as settlement/src/diff.rs writes it.
    function publish(uint256[] memory touched) private pure returns (bytes memory stream, uint256 balances) {
        stream = new bytes(9 * 10 * touched.length);
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
                at = varint(stream, at, uint256(Encoding.append(bytes32(account), bytes32(asset))) >> 216);
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

/// What a batch of so many fills costs with its data in calldata: whole transactions, as of {GasTest}.
/// forge-config: default.isolate = true
contract GasPerFillTest is FillModel {
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
        uint256 balances;
        (data, balances) = dataOf(fills);
        vm.snapshotValue("GasPerFill", string.concat(name, ": balances"), balances);
        vm.snapshotValue("GasPerFill", string.concat(name, ": bytes"), data.length);
        vm.snapshotValue("GasPerFill", string.concat(name, ": blobs"), (data.length + BLOB_BYTES - 1) / BLOB_BYTES);
        Batch memory b = nextBatch();
        b.header.fills = uint64(fills);
        vm.prank(OPERATOR);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
        vm.snapshotGasLastCall("GasPerFill", string.concat(name, ": gas with calldata"));
    }
}

/// What differs where the data are in blobs. forge gives a transaction of its own no blobs, so the difference to a batch
/// of two bytes in calldata is taken: of two calls on one state with everything warm, and of their calldata.
contract BlobGasTest is FillModel {
    function test_OneBlob() public {
        Batch memory b = nextBatch();
        bytes memory plain =
            abi.encodeCall(settlement.commitBatch, (packed(b.changes), data, claimOf(b), packed(b.lines)));
        // Once for nothing, so that all find everything warm.
        spent(plain);
        uint256 withCalldata = spent(plain);
        uint256 withBlob = spentWith(b, 1);
        vm.snapshotValue("GasPerFill", "1 blob: gas more than 2 bytes of calldata", withBlob - withCalldata);
    }

    function spentWith(Batch memory b, uint256 blobs) private returns (uint256) {
        bytes32[] memory hashes = new bytes32[](blobs);
        for (uint256 i = 0; i < blobs; ++i) {
            hashes[i] = bytes32((uint256(1) << 248) | uint248(uint256(Encoding.append("blob", bytes32(i)))));
        }
        b.header.dataHash = keccak256(abi.encodePacked(hashes));
        vm.blobhashes(hashes);
        return spent(
            abi.encodeCall(
                settlement.commitBatchBlobs, (b.header.dataHash, packed(b.lines), claimOf(b), packed(b.changes))
            )
        );
    }

    /// Gas of a call and of its calldata; what it did is undone.
    function spent(bytes memory call) private returns (uint256 gas) {
        uint256 before = vm.snapshotState();
        vm.prank(OPERATOR);
        uint256 left = gasleft();
        (bool done,) = address(settlement).call(call);
        gas = left - gasleft();
        assertTrue(done, "refused");
        vm.revertToState(before);
        for (uint256 i = 0; i < call.length; ++i) {
            gas += call[i] == 0 ? 4 : 16;
        }
    }
}
