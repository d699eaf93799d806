// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {Batch, Fixture, SettlementErrors, Stamp, Withdrawal, WithdrawalLine} from "../lib/Fixture.sol";

/// More than 5 % of an asset leaves in no day, but for what has waited a week.
contract OutflowTest is Fixture {
    function outflowPercent() internal pure override returns (uint64) {
        return 5;
    }

    function withdrawFinal(uint128 amount) private returns (Batch memory b, Stamp memory s) {
        b = nextBatch();
        withdraw(b, USD, 1, amount);
        s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
    }

    function take(Batch memory b, Stamp memory s, uint128 amount) private {
        WithdrawalLine[] memory out = withdrawalLines(b);
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, amount), pathOfFirst());
    }

    function delayed(Batch memory b, Stamp memory s, uint128 amount) private {
        WithdrawalLine[] memory out = withdrawalLines(b);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.OutflowDelayed.selector, s.time + 7 days));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, amount), pathOfFirst());
    }

    function test_WaitsAWeekOrForAnotherDay() public {
        deposit(ALICE, USD, 10_000);
        // A new day, so that the count is not split by midnight.
        uint256 start = (block.timestamp / 1 days + 1) * 1 days;
        vm.warp(start);
        (Batch memory first, Stamp memory firstStamp) = withdrawFinal(499);
        (Batch memory second, Stamp memory secondStamp) = withdrawFinal(500);
        (Batch memory third, Stamp memory thirdStamp) = withdrawFinal(2_000);
        take(first, firstStamp, 499);
        assertEq(usd.balanceOf(ALICE), 499, "within the day's share");
        (uint64 day, uint128 base, uint128 spent) = settlement.outflow(USD);
        assertEq(day, start / 1 days, "day");
        assertEq(base, 10_000, "what was owed when it began");
        assertEq(spent, 499, "spent");
        delayed(second, secondStamp, 500);
        delayed(third, thirdStamp, 2_000);
        // The next day has room for 5 % of what is left, which is 475.
        vm.warp(start + 1 days);
        delayed(second, secondStamp, 500);
        (Batch memory fourth, Stamp memory fourthStamp) = withdrawFinal(400);
        take(fourth, fourthStamp, 400);
        // A week after its batch everything can leave.
        vm.warp(thirdStamp.time + 7 days);
        take(second, secondStamp, 500);
        take(third, thirdStamp, 2_000);
        assertEq(usd.balanceOf(ALICE), 3_399, "all of it");
    }

    function test_ExactlyTheShareLeavesAtOnce() public {
        deposit(ALICE, USD, 10_000);
        vm.warp((block.timestamp / 1 days + 1) * 1 days);
        (Batch memory b, Stamp memory s) = withdrawFinal(500);
        take(b, s, 500);
        (b, s) = withdrawFinal(1);
        delayed(b, s, 1);
    }

    /// In a frozen venue there is nothing left to wait for.
    function test_NothingWaitsInAFrozenVenue() public {
        deposit(ALICE, USD, 10_000);
        (Batch memory b, Stamp memory s) = withdrawFinal(2_000);
        settlement.setFrozen();
        take(b, s, 2_000);
        assertEq(usd.balanceOf(ALICE), 2_000, "paid");
    }
}
