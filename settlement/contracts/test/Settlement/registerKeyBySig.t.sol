// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Fixture, SettlementErrors, SettlementEvents, Signature} from "../lib/Fixture.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

/// A contract that owns an account and says by ERC-1271 what it signed.
contract ContractOwner {
    bytes32 public signed;

    function sign(bytes32 digest) external {
        signed = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == signed ? this.isValidSignature.selector : bytes4(0);
    }
}

contract RegisterKeyBySigTest is Fixture {
    bytes32 internal constant KEY = bytes32(uint256(0xed25519));
    uint256 internal constant SECRET = 0xa11ce;
    address internal owner;

    function setUp() public override {
        super.setUp();
        owner = vm.addr(SECRET);
        deposit(owner, USD, 100);
    }

    function structHash(address whose, uint64 epoch, uint64 expiry) private pure returns (bytes32) {
        return keccak256(abi.encode(Encoding.REGISTER_KEY_TYPE, whose, KEY, epoch, expiry));
    }

    /// 65 bytes, as wallets give them.
    function signed(uint64 epoch, uint64 expiry) private view returns (bytes memory) {
        bytes32 domain = Encoding.domain(block.chainid, address(settlement));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, structHash(owner, epoch, expiry)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SECRET, digest);
        return abi.encodePacked(r, s, v);
    }

    function test_AnybodyBringsIn() public {
        bytes memory signature = signed(1, 2_000_000_000);
        uint64 time = uint64(block.timestamp);
        bytes32 prefix =
            Encoding.queueEntry(settlement.queuePrefix(1), Encoding.REGISTER_KEY, 1, 0, 2_000_000_000, KEY, time);
        vm.prank(BOB);
        vm.expectEmit();
        emit SettlementEvents.Queued(2, 1, Encoding.REGISTER_KEY, 0, 2_000_000_000, KEY, time, prefix);
        assertEq(settlement.registerKeyBySig(owner, KEY, 1, 2_000_000_000, signature), 2, "entry");
        assertEq(settlement.keyEpochOf(owner), 1, "epoch");
    }

    function test_AContractSignsByERC1271() public {
        ContractOwner wallet = new ContractOwner();
        deposit(address(wallet), USD, 100);
        bytes32 digest = settlement.hashTypedData(structHash(address(wallet), 1, 0));
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, address(wallet)));
        settlement.registerKeyBySig(address(wallet), KEY, 1, 0, "");
        wallet.sign(digest);
        assertEq(settlement.registerKeyBySig(address(wallet), KEY, 1, 0, ""), 3, "entry");
    }

    /// A registration that was brought in once, or that the owner has overtaken, is worth nothing.
    function test_RevertWhen_Replayed() public {
        bytes memory first = signed(1, 0);
        settlement.registerKeyBySig(owner, KEY, 1, 0, first);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.WrongEpoch.selector, 2, 1));
        settlement.registerKeyBySig(owner, KEY, 1, 0, first);
        bytes memory second = signed(2, 0);
        vm.prank(owner);
        settlement.registerKey(KEY);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.WrongEpoch.selector, 3, 2));
        settlement.registerKeyBySig(owner, KEY, 2, 0, second);
    }

    function test_RevertWhen_NotSigned() public {
        bytes memory signature = signed(1, 0);
        // For another end, another key, another owner, and on another chain.
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, owner));
        settlement.registerKeyBySig(owner, KEY, 1, 2_000_000_000, signature);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, owner));
        settlement.registerKeyBySig(owner, bytes32(uint256(7)), 1, 0, signature);
        deposit(BOB, USD, 100);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, BOB));
        settlement.registerKeyBySig(BOB, KEY, 1, 0, signature);
        vm.chainId(7);
        signature = signed(1, 0);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, owner));
        settlement.registerKeyBySig(owner, KEY, 1, 0, signature);
    }

    function test_RevertWhen_KeyExpired() public {
        uint64 past = uint64(block.timestamp);
        bytes memory signature = signed(1, past);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.KeyExpired.selector, past));
        settlement.registerKeyBySig(owner, KEY, 1, past, signature);
        settlement.registerKeyBySig(owner, KEY, 1, past + 1, signed(1, past + 1));
    }

    function test_RevertWhen_NoAccount() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotSigned.selector, ALICE));
        settlement.registerKeyBySig(ALICE, KEY, 1, 0, "");
    }
}
