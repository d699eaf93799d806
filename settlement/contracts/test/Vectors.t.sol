// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Header, Stamp, Step, WithdrawalLine} from "../src/Types.sol";
import {Encoding} from "../src/lib/Encoding.sol";
import {JournalTree} from "../src/lib/JournalTree.sol";
import {SumTree} from "../src/lib/SumTree.sol";
import {Test} from "./lib/Test.sol";

/// What Rust computed (settlement/vectors/*.json), the contracts' libraries compute too.
contract VectorsTest is Test {
    string internal json;

    function load(string memory name) private {
        json = vm.readFile(string.concat("../vectors/", name));
    }

    function number(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }

    function item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function exists(string memory key) private view returns (bool) {
        return vm.keyExistsJson(json, key);
    }

    function path(string memory owner) private view returns (Step[] memory steps) {
        bytes32[] memory hashes = vm.parseJsonBytes32Array(json, string.concat(owner, ".path_hashes"));
        uint256[] memory sums = vm.parseJsonUintArray(json, string.concat(owner, ".path_sums"));
        steps = new Step[](hashes.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            steps[i] = Step(hashes[i], uint128(sums[i]));
        }
    }

    /// Calldata versions of what the libraries offer.
    function climb(bytes32 hash, uint128 sum, uint256 index, Step[] calldata steps)
        external
        pure
        returns (bytes32, uint128)
    {
        return SumTree.climb(hash, sum, index, steps);
    }

    function hashHeader(Header calldata header) external pure returns (bytes32) {
        return Encoding.hashHeader(header);
    }

    function withdrawalsRoot(WithdrawalLine[] calldata lines) external pure returns (bytes32) {
        return Encoding.withdrawalsRoot(lines);
    }

    function test_BlobsHash() public {
        load("blobs.json");
        uint256 count = 0;
        for (; exists(item(".cases", count)); ++count) {
            string memory one = item(".cases", count);
            vm.blobhashes(vm.parseJsonBytes32Array(json, string.concat(one, ".versioned_hashes")));
            assertEq(Encoding.blobsHash(), word(string.concat(one, ".data_hash")), one);
        }
        assertEq(count, 7, "cases");
    }

    function test_SumTree() public {
        load("sum_tree.json");
        uint256 count;
        for (; exists(item(".proofs", count)); ++count) {
            string memory proof = item(".proofs", count);
            uint32 account = uint32(number(string.concat(proof, ".account")));
            uint128 balance = uint128(number(string.concat(proof, ".balance")));
            bytes32 leaf = SumTree.balanceLeaf(account, balance);
            assertEq(leaf, word(string.concat(proof, ".leaf")), "leaf");
            Step[] memory steps = path(proof);
            assertEq(steps.length, SumTree.BALANCE_DEPTH, "depth");
            (bytes32 hash, uint128 sum) = this.climb(leaf, balance, account, steps);
            assertEq(hash, word(".root"), "root");
            assertEq(sum, number(".sum"), "sum");
        }
        assertTrue(count >= 5, "there are proofs");
    }

    function test_EmptySumTree() public {
        load("sum_tree.json");
        bytes32 hash;
        for (uint256 level = 0; level < SumTree.BALANCE_DEPTH; ++level) {
            hash = SumTree.node(hash, 0, hash, 0);
        }
        assertEq(hash, word(".empty_root"), "empty root");
    }

    function test_Withdrawals() public {
        load("withdrawals.json");
        uint256 count;
        while (exists(item(".assets", count))) ++count;
        WithdrawalLine[] memory lines = new WithdrawalLine[](count);
        for (uint256 i = 0; i < count; ++i) {
            string memory asset = item(".assets", i);
            lines[i].asset = uint16(number(string.concat(asset, ".asset")));
            lines[i].treeHash = word(string.concat(asset, ".tree_hash"));
            lines[i].sum = uint128(number(string.concat(asset, ".sum")));
            checkClaims(string.concat(asset, ".claims"), lines[i]);
        }
        assertEq(this.withdrawalsRoot(lines), word(".root"), "root");
        assertTrue(count >= 3, "there are assets");
    }

    function checkClaims(string memory claims, WithdrawalLine memory line) private view {
        uint256 count;
        for (; exists(item(claims, count)); ++count) {
            string memory claim = item(claims, count);
            uint128 amount = uint128(number(string.concat(claim, ".amount")));
            bytes32 leaf = SumTree.withdrawalLeaf(uint32(number(string.concat(claim, ".account"))), amount);
            assertEq(leaf, word(string.concat(claim, ".leaf")), "leaf");
            assertEq(number(string.concat(claim, ".index")), count, "index");
            (bytes32 hash, uint128 sum) = this.climb(leaf, amount, count, path(claim));
            assertEq(hash, line.treeHash, "tree");
            assertEq(sum, line.sum, "sum");
        }
        assertTrue(count >= 1, "there are claims");
    }

    function test_Lines() public {
        load("commitment.json");
        bytes32[] memory trees = vm.parseJsonBytes32Array(json, ".lines.tree_hash");
        uint256[] memory sums = vm.parseJsonUintArray(json, ".lines.sum");
        uint256[] memory credited = vm.parseJsonUintArray(json, ".lines.credited");
        bytes32[] memory roots = vm.parseJsonBytes32Array(json, ".roots");
        assertTrue(trees.length >= 3, "there are lines");
        (bytes32 treesFold, bytes32 totalsFold) = (bytes32(0), bytes32(0));
        for (uint256 i = 0; i < trees.length; ++i) {
            assertEq(Encoding.balancesRoot(treesFold, totalsFold), roots[i], "root");
            treesFold = Encoding.append(treesFold, trees[i]);
            totalsFold = Encoding.append(totalsFold, bytes32((sums[i] << 128) | credited[i]));
        }
        assertEq(treesFold, word(".trees_hash"), "trees");
        assertEq(Encoding.balancesRoot(treesFold, totalsFold), roots[trees.length], "last root");
        assertEq(roots[trees.length], word(".header.new_root"), "new root");
    }

    function test_Header() public {
        load("commitment.json");
        Header memory header;
        header.version = 1;
        header.batchId = uint64(number(".header.batch_id"));
        header.firstSequence = uint64(number(".header.first_sequence"));
        header.lastSequence = uint64(number(".header.last_sequence"));
        header.firstTime = uint64(number(".header.first_time"));
        header.lastTime = uint64(number(".header.last_time"));
        header.queueUpTo = uint64(number(".header.queue_up_to"));
        header.fills = uint64(number(".header.fills"));
        header.prevRoot = word(".header.prev_root");
        header.newRoot = word(".header.new_root");
        header.journalHash = word(".header.journal_hash");
        header.journalRoot = word(".header.journal_root");
        header.queuePrefix = word(".header.queue_prefix");
        header.dataHash = word(".header.data_hash");
        header.stepsRoot = word(".header.steps_root");
        header.withdrawalsRoot = word(".header.withdrawals_root");
        bytes memory encoded = vm.parseJsonBytes(json, ".header.bytes");
        assertEq(encoded.length, 512, "length");
        assertEq(keccak256(abi.encode(header)), keccak256(encoded), "bytes");
        bytes32 hash = this.hashHeader(header);
        assertEq(hash, word(".header_hash"), "hash");
        Stamp memory stamp = Stamp(uint64(number(".stamp.time")), uint64(number(".stamp.block_number")));
        assertEq(Encoding.hashBatch(hash, stamp.time, stamp.blockNumber), word(".batch_hash"), "batch");
    }

    function test_Queue() public {
        load("queue.json");
        bytes32 prefix = Encoding.queueOrigin(number(".chain_id"), vm.parseJsonAddress(json, ".contract"));
        assertEq(prefix, word(".origin"), "origin");
        assertEq(bytes32(bytes16(prefix)), bytes32(bytes16(vm.parseJsonBytes(json, ".venue_tag"))), "venue tag");
        uint256 count;
        for (; exists(item(".entries", count)); ++count) {
            prefix = nextPrefix(prefix, item(".entries", count));
            assertEq(prefix, word(string.concat(item(".entries", count), ".prefix")), "prefix");
        }
        assertTrue(count >= 5, "there are entries");
    }

    function nextPrefix(bytes32 prefix, string memory entry) private view returns (bytes32) {
        return Encoding.queueEntry(
            prefix,
            uint8(number(string.concat(entry, ".kind"))),
            uint32(number(string.concat(entry, ".account"))),
            uint16(number(string.concat(entry, ".asset"))),
            uint64(number(string.concat(entry, ".amount"))),
            word(string.concat(entry, ".extra")),
            uint64(number(string.concat(entry, ".time")))
        );
    }

    function test_QueueKindsAreRusts() public {
        load("queue.json");
        uint8[5] memory kinds =
            [Encoding.DEPOSIT, Encoding.REGISTER_KEY, Encoding.DEPOSIT, Encoding.REVOKE_KEY, Encoding.WITHDRAWAL];
        for (uint256 i = 0; i < 5; ++i) {
            assertEq(number(string.concat(item(".entries", i), ".kind")), kinds[i], "kind");
        }
    }

    /// Calldata versions of what the libraries offer.
    function climbJournal(bytes32 leaf, uint64 index, uint64 count, bytes32[] calldata steps)
        external
        view
        returns (bytes32)
    {
        return JournalTree.climb(leaf, index, count, steps);
    }

    function typed(bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = Encoding.domain(number(".chain_id"), vm.parseJsonAddress(json, ".contract"));
        assertEq(domain, word(".domain_separator"), "domain");
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }

    function checkSigner(bytes32 digest, string memory at) private view {
        (bytes32 r, bytes32 vs) = (word(string.concat(at, ".r")), word(string.concat(at, ".vs")));
        assertEq(digest, word(string.concat(at, ".digest")), "digest");
        assertEq(ECDSA.recover(digest, r, vs), vm.parseJsonAddress(json, ".signer"), "signer");
    }

    function test_TypedData() public {
        load("typed_data.json");
        checkSigner(typed(keccak256(abi.encode(Encoding.BATCH_TYPE, word(".batch.header_hash")))), ".batch");
        bytes32 registration = keccak256(
            abi.encode(
                Encoding.REGISTER_KEY_TYPE,
                vm.parseJsonAddress(json, ".register_key.owner"),
                word(".register_key.key"),
                number(".register_key.epoch"),
                number(".register_key.expiry")
            )
        );
        assertEq(typed(registration), word(".register_key.digest"), "registration");
    }

    function test_Receipts() public {
        load("typed_data.json");
        uint256 count;
        for (; exists(item(".receipts.list", count)); ++count) {
            string memory at = item(".receipts.list", count);
            bytes32 leaf = JournalTree.leaf(
                uint64(number(string.concat(at, ".sequence"))), word(string.concat(at, ".record_hash"))
            );
            bytes32 root = this.climbJournal(
                leaf,
                uint64(number(string.concat(at, ".index"))),
                uint64(number(string.concat(at, ".count"))),
                vm.parseJsonBytes32Array(json, string.concat(at, ".path"))
            );
            assertEq(root, word(string.concat(at, ".root")), "root");
            (uint256 shard, uint256 epoch) = (number(".receipts.shard"), number(".receipts.epoch"));
            checkSigner(typed(keccak256(abi.encode(Encoding.INTERVAL_TYPE, shard, epoch, root))), at);
        }
        assertTrue(count >= 11, "there are receipts");
    }

    function test_StateDiff() public {
        load("diff.json");
        assertEq(keccak256(vm.parseJsonBytes(json, ".bytes")), word(".data_hash"), "data hash");
    }
}
