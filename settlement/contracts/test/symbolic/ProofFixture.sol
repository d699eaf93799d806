// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {DemoToken} from "../../src/dev/DemoToken.sol";
import {AssetChange, AssetLine, Claim, Setup} from "../../src/Types.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {Totals} from "../../src/lib/Totals.sol";
import {SettlementHarness} from "../lib/SettlementHarness.sol";
import {Test} from "../lib/Test.sol";

/// halmos' own cheatcodes.
interface Symbolic {
    function enableSymbolicStorage(address) external;
    function createUint(uint256 bits, string calldata name) external returns (uint256);
}

/// What the proofs have in common. Each `check_` is executed by halmos with every value of its arguments, from every
/// storage that the contract could have, not only from those that a history leads to, at every time; hash functions are
/// taken to have no collisions. Where a call reverts, nothing is claimed: nothing happened.
///
/// Bounds: one or two assets (0 and 1), at most one change a batch, one withdrawal line; the token is honest and one of
/// its units is an atom.
abstract contract ProofFixture is Test {
    address internal constant OPERATOR = address(0x0901);
    uint64 internal constant WINDOW_SECONDS = 600;
    uint64 internal constant WINDOW_BLOCKS = 50;
    Symbolic internal constant SYMBOLIC = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));

    SettlementHarness internal settlement;
    DemoToken internal token;

    struct Tip {
        uint64 batchId;
        uint64 lastSequence;
        uint64 queueUpTo;
        uint64 lastTime;
        uint64 finalBatch;
    }

    function setUp() public {
        address[] memory watchers = new address[](1);
        watchers[0] = address(0x3a);
        Setup memory with = Setup({
            operator: OPERATOR,
            signer: address(0x5160),
            administrator: address(0x0902),
            venueOwner: address(0x0903),
            windowSeconds: WINDOW_SECONDS,
            windowBlocks: WINDOW_BLOCKS,
            freezeBlocks: 2_000,
            forcedFee: 1e15,
            outflowPercent: 100,
            vetoBond: 1 ether,
            vetoThreshold: 1,
            watchers: watchers
        });
        settlement = SettlementHarness(deployBuilt("SettlementHarness", abi.encode(with)));
        token = DemoToken(deployBuilt("DemoToken", abi.encode("Dollar", "USD", uint8(0))));
    }

    function tip() internal view returns (Tip memory t) {
        (t.batchId, t.lastSequence, t.queueUpTo, t.lastTime, t.finalBatch) = settlement.tip();
    }

    /// Any state at any time. The cheatcode leaves concrete what the constructor wrote, the root among it: root and progress
    /// are set to anything by the harness. Batches, queue entries and seconds are counted in 40 bits.
    function anyState() internal {
        uint256 time = SYMBOLIC.createUint(64, "time");
        vm.assume(time < type(uint40).max - 60);
        vm.warp(time);
        vm.roll(SYMBOLIC.createUint(64, "block"));
        SYMBOLIC.enableSymbolicStorage(address(settlement));
        settlement.setTip(bytes32(SYMBOLIC.createUint(256, "root")), SYMBOLIC.createUint(256, "progress"));
        vm.assume(tip().batchId < type(uint40).max);
    }

    /// Any state with so many assets, all of which have lines.
    function anyState(uint256 assets) internal {
        anyState();
        (uint64 listed,,) = settlement.counts();
        vm.assume(listed == assets);
        vm.assume(settlement.lineCount() == assets);
    }

    /// Asset 0 is the token, of which the vault holds and owes this much.
    function anyAsset(uint80 owed, uint128 held) internal {
        settlement.setAsset(0, token, owed);
        token.mint(address(settlement.vault()), held);
    }

    function commit(Claim memory claim, AssetLine[] memory lines, AssetChange[] memory changes) internal {
        vm.assume(claim.moment.queueUpTo() <= type(uint40).max);
        vm.prank(OPERATOR);
        settlement.commitBatch(changes, hex"0100", claim, lines);
    }

    function one(AssetLine memory line) internal pure returns (AssetLine[] memory lines) {
        lines = new AssetLine[](1);
        lines[0] = line;
    }

    function rootOf(bytes32 trees, AssetLine memory line) internal pure returns (bytes32) {
        return Encoding.balancesRoot(trees, Encoding.append(0, Totals.unwrap(line.totals)));
    }
}
