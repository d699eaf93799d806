// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {QueueEntry, SettlementErrors, SettlementEvents, Step} from "../lib/Fixture.sol";
import {WatchFixture} from "../lib/WatchFixture.sol";
import {Proofs} from "../../src/Proofs.sol";

/// A forced withdrawal has to be served, not only consumed.
contract ProveUnservedTest is WatchFixture {
    QueueEntry internal forced;

    function setUp() public override {
        super.setUp();
        forced = force(ALICE, USD);
        vm.warp(block.timestamp + 60);
    }

    /// Batch 4 consumes the entry, batch 5 something later.
    function consume() private {
        commitBalances();
        headers[0] = headers[3];
        stamps[0] = stamps[3];
        (headers[1], stamps[1]) = (header, stamp);
    }

    function prove(uint128 balance, Step[] memory path) private {
        proofs.proveUnserved(forced, headers[1], stamps[1], headers[0], stamps[0], packed(lines), balance, path);
    }

    function refusedProof(uint128 balance, bytes memory reason) private {
        Step[] memory path = pathOf(USD, 1);
        vm.expectRevert(reason);
        prove(balance, path);
    }

    function test_FreezesAtOnce() public {
        consume();
        vm.expectEmit();
        emit Proofs.UnservedProved(6, 4, 6_900);
        vm.expectEmit();
        emit SettlementEvents.VenueFrozen(3);
        prove(6_900, pathOf(USD, 1));
        assertTrue(settlement.frozen(), "frozen");
    }

    /// The first batch of all has none before it.
    function test_InTheFirstBatchToo() public {
        settlement = deploy(setup());
        (vault, proofs) = (settlement.vault(), settlement.proofs());
        list(usd, 1);
        delete tipLines;
        deposit(ALICE, USD, 500);
        forced = force(ALICE, USD);
        has[USD] = [uint128(0), 500, 0, 0];
        commitBalances();
        (headers[1], stamps[1]) = (header, stamp);
        prove(500, pathOf(USD, 1));
        assertTrue(settlement.frozen(), "frozen");
    }

    function test_RevertWhen_Served() public {
        has[USD][2] += has[USD][1];
        has[USD][1] = 0;
        consume();
        refusedProof(0, abi.encodeWithSelector(Proofs.Served.selector));
        refusedProof(1, abi.encodeWithSelector(Proofs.WrongProof.selector));
    }

    function test_RevertWhen_NotForced() public {
        forced = depositEntry(6, ALICE, USD, 40);
        deposit(BOB, ETH, 40 * ETH_SCALE);
        forced = depositEntry(7, BOB, ETH, 40);
        has[ETH][2] += 40;
        consume();
        refusedProof(6_900, abi.encodeWithSelector(Proofs.NotForced.selector, 7));
    }

    function test_RevertWhen_WrongEntry() public {
        consume();
        forced.account = 2;
        refusedProof(6_900, abi.encodeWithSelector(SettlementErrors.WrongEntry.selector, 6));
    }

    function test_RevertWhen_NotConsumedYet() public {
        (headers[1], stamps[1], headers[0], stamps[0]) = (headers[3], stamps[3], headers[2], stamps[2]);
        refusedProof(6_900, abi.encodeWithSelector(Proofs.NotConsumed.selector, 6));
    }

    /// After the batch that served it the account may have money again.
    function test_RevertWhen_ConsumedBefore() public {
        consume();
        (headers[0], stamps[0]) = (headers[1], stamps[1]);
        commitBalances();
        (headers[1], stamps[1]) = (header, stamp);
        refusedProof(6_900, abi.encodeWithSelector(Proofs.NotConsumed.selector, 6));
    }

    function test_RevertWhen_NotTheBatchBefore() public {
        consume();
        commitBalances();
        (headers[1], stamps[1]) = (header, stamp);
        refusedProof(6_900, abi.encodeWithSelector(Proofs.NotConsumed.selector, 6));
    }

    function test_RevertWhen_UnknownBatch() public {
        consume();
        headers[1].fills += 1;
        refusedProof(6_900, abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 4));
    }

    function test_RevertWhen_UnknownBatchBefore() public {
        consume();
        headers[0].fills += 1;
        refusedProof(6_900, abi.encodeWithSelector(SettlementErrors.UnknownBatch.selector, 3));
    }

    function test_RevertWhen_WrongLines() public {
        consume();
        lines[ETH].sum += 1;
        refusedProof(6_900, abi.encodeWithSelector(Proofs.WrongLines.selector));
    }

    function test_RevertWhen_WrongProof() public {
        consume();
        refusedProof(6_901, abi.encodeWithSelector(Proofs.WrongProof.selector));
    }
}
