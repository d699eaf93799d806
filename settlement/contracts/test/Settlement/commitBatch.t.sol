// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {
    Change,
    Line,
    Batch,
    Fixture,
    Header,
    SettlementErrors,
    SettlementEvents,
    Stamp,
    Withdrawal,
    WithdrawalLine
} from "../lib/Fixture.sol";
import {MoodyToken} from "../lib/Tokens.sol";
import {Encoding} from "../../src/lib/Encoding.sol";

/// Each check alone: everything else about the batch is right, so only the named check can refuse it.
contract CommitBatchTest is Fixture {
    function setUp() public override {
        super.setUp();
        deposit(ALICE, USD, 5_000);
        deposit(BOB, ETH, 700 * ETH_SCALE);
        commitNext();
        vm.warp(block.timestamp + 60);
        vm.roll(block.number + 5);
        deposit(BOB, USD, 2_000);
    }

    function test_MovesTheTip() public {
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 1_500);
        bytes32 headerHash = keccak256(abi.encode(b.header));
        vm.expectEmit();
        emit SettlementEvents.BatchCommitted(2, headerHash);
        Stamp memory stamp = commit(b);
        (uint64 batchId, uint64 lastSequence, uint64 queueUpTo, uint64 lastTime, uint64 finalBatch) = settlement.tip();
        assertEq(batchId, 2, "batch");
        assertEq(lastSequence, 20, "sequence");
        assertEq(queueUpTo, 3, "queue");
        assertEq(lastTime, block.timestamp, "time");
        assertEq(finalBatch, 0, "final");
        assertEq(settlement.tipRoot(), b.header.newRoot, "root");
        assertEq(settlement.batchHash(2), Encoding.hashBatch(headerHash, stamp.time, stamp.blockNumber), "hash");
        assertTrue(!settlement.hasPendingDeposits(USD), "all consumed");
    }

    function test_TakesANewAssetsLineOrLeavesItOut() public {
        list(new MoodyToken(), 1);
        Batch memory b = nextBatch();
        b.lines = firstLines(b, 2);
        seal(b);
        commit(b);
        commitNext();
        (uint64 batchId,,,,) = settlement.tip();
        assertEq(batchId, 3, "both were taken");
    }

    function firstLines(Batch memory b, uint256 count) private pure returns (Line[] memory some) {
        some = new Line[](count);
        for (uint256 i = 0; i < count && i < b.lines.length; ++i) {
            some[i] = b.lines[i];
        }
    }

    /// Consumes the queue up to the entry only, with this much credited.
    function consumeUpTo(Batch memory b, uint64 queueId, uint16 asset, uint128 credited) private view {
        consumeUpTo(b, queueId);
        b.lines[asset].sum = b.lines[asset].sum + credited - b.lines[asset].credited;
        b.lines[asset].credited = credited;
        seal(b);
    }

    function test_ConsumesPartOfTheQueue() public {
        deposit(ALICE, USD, 300);
        Batch memory b = nextBatch();
        consumeUpTo(b, 3, USD, 7_000);
        commit(b);
        assertTrue(settlement.hasPendingDeposits(USD), "the fourth entry waits");
        commitNext();
        assertTrue(!settlement.hasPendingDeposits(USD), "it does not any more");
    }

    function test_ANewAssetsFirstDepositCanWait() public {
        uint16 asset = list(new MoodyToken(), 1);
        deposit(ALICE, asset, 100);
        Batch memory b = nextBatch();
        consumeUpTo(b, 3);
        b.lines = firstLines(b, 2);
        seal(b);
        commit(b);
        commitNext();
        assertTrue(!settlement.hasPendingDeposits(asset), "consumed with its line");
    }

    function test_RevertWhen_Frozen() public {
        Batch memory b = nextBatch();
        settlement.setFrozen();
        refused(b, abi.encodeWithSelector(SettlementErrors.Frozen.selector));
    }

    function test_RevertWhen_NotOperator() public {
        Batch memory b = nextBatch();
        vm.prank(ADMINISTRATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotOperator.selector, ADMINISTRATOR));
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
    }

    /// Whoever has only the poster's key can do nothing with it.
    function test_RevertWhen_WrongSignature() public {
        Batch memory b = nextBatch();
        bytes32 headerHash = keccak256(abi.encode(b.header));
        bytes32 structHash = keccak256(abi.encode(Encoding.BATCH_TYPE, headerHash));
        vm.prank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.WrongSignature.selector, headerHash));
        settlement.commitBatch(packed(b.changes), data, claimOf(b, signTyped(0xbad, structHash)), packed(b.lines));
    }

    function test_RevertWhen_WrongVersion() public {
        Batch memory b = nextBatch();
        b.header.version = 2;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongVersion.selector, 1, 2));
    }

    function test_RevertWhen_WrongBatch() public {
        Batch memory b = nextBatch();
        b.header.batchId = 1;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongBatch.selector, 2, 1));
        b.header.batchId = 3;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongBatch.selector, 2, 3));
    }

    function test_RevertWhen_WrongSequence_Start() public {
        Batch memory b = nextBatch();
        b.header.firstSequence = 10;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSequence.selector, 11, 10, 20));
        b.header.firstSequence = 12;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSequence.selector, 11, 12, 20));
    }

    function test_RevertWhen_WrongSequence_Empty() public {
        Batch memory b = nextBatch();
        b.header.lastSequence = 10;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSequence.selector, 11, 11, 10));
    }

    function test_RevertWhen_WrongRoot() public {
        Batch memory b = nextBatch();
        bytes32 expected = b.header.prevRoot;
        // A root that the told totals have, with trees that never were.
        b.previousTrees = bytes32(uint256(1));
        bytes32 totals;
        for (uint256 i = 0; i < 2; ++i) {
            totals = Encoding.append(totals, totalsWord(tipLines[i].sum, tipLines[i].credited));
        }
        b.header.prevRoot = Encoding.balancesRoot(b.previousTrees, totals);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongRoot.selector, expected, b.header.prevRoot));
    }

    function test_RevertWhen_WrongTime_Backwards() public {
        Batch memory b = nextBatch();
        b.header.firstTime -= 1;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongTime.selector, b.header.firstTime, b.header.lastTime));
    }

    function test_RevertWhen_WrongTime_LastBeforeFirst() public {
        Batch memory b = nextBatch();
        b.header.firstTime = b.header.lastTime + 1;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongTime.selector, b.header.firstTime, b.header.lastTime));
    }

    function test_RevertWhen_WrongTime_Future() public {
        Batch memory b = nextBatch();
        b.header.lastTime = uint64(block.timestamp) + 61;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongTime.selector, b.header.firstTime, b.header.lastTime));
        b.header.lastTime -= 1;
        commit(b);
    }

    function test_RevertWhen_WrongQueue_Backwards() public {
        vm.prank(ALICE);
        settlement.registerKey(bytes32(uint256(1)));
        commitNext();
        Batch memory b = nextBatch();
        // Entry 4 is no deposit, so that going back over it moves no money.
        b.header.queueUpTo = 3;
        b.header.queuePrefix = settlement.queuePrefix(3);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongQueue.selector, 3, b.header.queuePrefix));
    }

    function test_RevertWhen_WrongQueue_BeyondTheEnd() public {
        Batch memory b = nextBatch();
        b.header.queueUpTo = 4;
        b.header.queuePrefix = 0;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongQueue.selector, 4, 0));
    }

    function test_RevertWhen_WrongQueue_Altered() public {
        Batch memory b = nextBatch();
        b.header.queuePrefix = settlement.queuePrefix(2);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongQueue.selector, 3, b.header.queuePrefix));
    }

    function test_RevertWhen_WrongQueue_NamesWhatItDoesNotConsume() public {
        commitNext();
        Batch memory b = nextBatch();
        assertEq(b.header.queuePrefix, bytes32(0), "nothing waits");
        b.header.queuePrefix = settlement.queuePrefix(3);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongQueue.selector, 3, b.header.queuePrefix));
    }

    function test_RevertWhen_WrongLineCount_TooMany() public {
        Batch memory b = nextBatch();
        b.lines = firstLines(b, 3);
        b.header.newRoot = root(b.lines);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongLineCount.selector, 3));
    }

    function test_RevertWhen_WrongLineCount_OfTheLastBatch() public {
        Batch memory b = nextBatch();
        b.previousLines = 1;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongLineCount.selector, 1));
        b.previousLines = 3;
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongLineCount.selector, 3));
    }

    /// An asset whose money has all gone could be dropped without any total being wrong: its tree would be lost.
    function test_RevertWhen_WrongLineCount_TooFew() public {
        Batch memory b = nextBatch();
        withdraw(b, ETH, 1, 699);
        commit(b);
        b = nextBatch();
        b.lines = firstLines(b, 1);
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongLineCount.selector, 1));
    }

    /// What the contract works out itself, the signature has to be over.
    function test_RevertWhen_SignedForAnother() public {
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 100);
        bytes32 right = keccak256(abi.encode(b.header));
        bytes32[5] memory known =
            [b.header.prevRoot, b.header.newRoot, b.header.dataHash, b.header.stepsRoot, b.header.withdrawalsRoot];
        for (uint256 i = 0; i < 5; ++i) {
            Header memory h = b.header;
            (h.prevRoot, h.newRoot, h.dataHash) = (known[0], known[1], known[2]);
            (h.stepsRoot, h.withdrawalsRoot) = (known[3], known[4]);
            if (i == 0) h.prevRoot = bytes32(uint256(1));
            if (i == 1) h.newRoot = bytes32(uint256(1));
            if (i == 2) h.dataHash = bytes32(uint256(1));
            if (i == 3) h.stepsRoot = bytes32(uint256(1));
            if (i == 4) h.withdrawalsRoot = bytes32(uint256(1));
            refusedAsSigned(b, right);
        }
    }

    function test_RevertWhen_OtherData() public {
        Batch memory b = nextBatch();
        data = hex"0101";
        bytes32 signed = b.header.dataHash;
        b.header.dataHash = keccak256(data);
        bytes32 told = keccak256(abi.encode(b.header));
        b.header.dataHash = signed;
        refusedAsSigned(b, told);
    }

    function test_RevertWhen_WrongRoot_ChangeNotDeclared() public {
        Batch memory b = nextBatch();
        b.lines[ETH].sum += 1;
        b.header.newRoot = root(b.lines);
        vm.prank(OPERATOR);
        vm.expectPartialRevert(SettlementErrors.WrongRoot.selector);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
    }

    function test_RevertWhen_WrongRoot_LyingAboutThePast() public {
        Batch memory b = nextBatch();
        // Conserved, if 1 more had been owed and credited before.
        b.changes[0].sum += 1;
        b.lines[USD].sum += 1;
        b.header.newRoot = root(b.lines);
        vm.prank(OPERATOR);
        vm.expectPartialRevert(SettlementErrors.WrongRoot.selector);
        settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines));
    }

    function test_RevertWhen_WrongTotals_NewAssetWithMoney() public {
        list(new MoodyToken(), 1);
        Batch memory b = nextBatch();
        b.lines[2].sum = 5;
        b.lines[2].credited = 5;
        b.header.newRoot = root(b.lines);
        bytes32 word = totalsWord(5, 5);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongTotals.selector, 0, word));
    }

    function test_RevertWhen_WrongChange() public {
        Batch memory b = nextBatch();
        b.changes = new Change[](2);
        b.changes[0] = Change(ETH, 700, 700, 0, 0);
        b.changes[1] = Change(USD, 5_000, 5_000, 0, 0);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongChange.selector, USD));
        b.changes[0] = Change(USD, 5_000, 5_000, 0, 0);
        b.changes[1] = Change(2, 0, 0, 0, 0);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongChange.selector, 2));
    }

    function test_RevertWhen_WrongSum() public {
        Batch memory b = nextBatch();
        b.lines[ETH].sum += 1;
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSum.selector, ETH));
        b.lines[ETH].sum -= 2;
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSum.selector, ETH));
        b = nextBatch();
        withdraw(b, USD, 1, 100);
        b.lines[USD].sum += 1;
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongSum.selector, USD));
    }

    function test_RevertWhen_WrongCredit_NothingConsumed() public {
        commitNext();
        Batch memory b = nextBatch();
        b.lines[USD].credited += 5;
        b.lines[USD].sum += 5;
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, USD));
    }

    function test_RevertWhen_WrongCredit_NeverReached() public {
        Batch memory b = nextBatch();
        consumeUpTo(b, 3, USD, 6_999);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, USD));
        consumeUpTo(b, 3, USD, 7_001);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, USD));
    }

    function test_RevertWhen_WrongCredit_AheadOfTheQueue() public {
        deposit(ALICE, USD, 300);
        Batch memory b = nextBatch();
        // Credits the fourth entry, consumes three.
        consumeUpTo(b, 3, USD, 7_300);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, USD));
    }

    function test_RevertWhen_WrongCredit_BehindTheQueue() public {
        Batch memory b = nextBatch();
        // Consumes the third entry, credits two.
        consumeUpTo(b, 3, USD, 5_000);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, USD));
    }

    function test_RevertWhen_WrongCredit_LineLeftOut() public {
        uint16 asset = list(new MoodyToken(), 1);
        deposit(ALICE, asset, 100);
        Batch memory b = nextBatch();
        b.lines = firstLines(b, 2);
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongCredit.selector, asset));
    }

    function test_RevertWhen_WrongWithdrawn() public {
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 99);
        b.withdrawalsHashes[USD] = 0;
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongWithdrawn.selector, USD));
        b = nextBatch();
        b.withdrawalsHashes[USD] = bytes32(uint256(1));
        seal(b);
        refused(b, abi.encodeWithSelector(SettlementErrors.WrongWithdrawn.selector, USD));
    }

    /// Were anything else in these contracts to make more claims than money came in, no batch would pay them out.
    function test_RevertWhen_Insolvent() public {
        commitNext();
        Batch memory b = nextBatch();
        withdraw(b, USD, 1, 100);
        (, uint128 owed) = settlement.holdings(USD);
        settlement.setOwed(USD, uint80(owed) - 1);
        refused(b, abi.encodeWithSelector(SettlementErrors.Insolvent.selector, USD));
        settlement.setOwed(USD, uint80(owed));
        commit(b);
    }

    /// A token that lost money holds back neither the other assets nor the queue, nor its own withdrawals: those wait
    /// where they are claimed.
    function test_TakesWithdrawalsOfATokenThatLostMoney() public {
        MoodyToken moody = new MoodyToken();
        uint16 asset = list(moody, 1);
        deposit(ALICE, asset, 1_000);
        commitNext();
        moody.burn(address(vault), 1);
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 100);
        withdraw(b, USD, 1, 100);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, 100), pathOfFirst());
        assertEq(usd.balanceOf(ALICE), 100, "the other asset is paid");
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.InQuarantine.selector, asset));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 100), pathOfFirst());
    }

    /// Around the honest batch: each of the four is right in about every second or third run.
    function testFuzz_MoneyIsConserved(uint64 off, uint64 credited, uint64 withdrawn, bytes32 tree) public {
        Batch memory b = nextBatch();
        b.lines[USD].credited = uint128(bound(credited, 6_999, 7_001));
        b.withdrawn[USD] = uint128(withdrawn % 2 == 0 ? 0 : bound(withdrawn, 0, 7_002));
        uint256 sum = 7_001 + bound(off, 0, 2);
        sum = sum > b.withdrawn[USD] + 1 ? sum - b.withdrawn[USD] - 1 : 0;
        b.lines[USD].sum = uint128(sum);
        b.withdrawalsHashes[USD] = uint256(tree) % 2 == 0 ? bytes32(0) : tree;
        seal(b);
        bool treeFits = (b.withdrawn[USD] == 0) == (b.withdrawalsHashes[USD] == 0);
        bool honest = treeFits && b.lines[USD].credited == 7_000 && sum + b.withdrawn[USD] == 7_000;
        vm.prank(OPERATOR);
        try settlement.commitBatch(packed(b.changes), data, claimOf(b), packed(b.lines)) {
            assertTrue(honest, "a dishonest batch was taken");
        } catch {
            assertTrue(!honest, "an honest batch was refused");
        }
    }
}
