// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {
    Batch,
    Fixture,
    SettlementErrors,
    SettlementEvents,
    Stamp,
    Withdrawal,
    WithdrawalLine
} from "../lib/Fixture.sol";
import {MoodyToken} from "../lib/Tokens.sol";

contract ClaimTest is Fixture {
    MoodyToken internal moody;
    uint16 internal asset;

    /// 200 wait for Alice.
    function setUp() public override {
        super.setUp();
        moody = new MoodyToken();
        asset = list(moody, 10);
        deposit(ALICE, asset, 50_000);
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 200);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        moody.bar(ALICE, true);
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 200), pathOfFirst());
    }

    function test_PaysOnceTheTokenDoes() public {
        vm.expectRevert();
        settlement.claim(asset, ALICE);
        moody.bar(ALICE, false);
        vm.expectEmit();
        emit SettlementEvents.Paid(asset, ALICE, 200);
        settlement.claim(asset, ALICE);
        assertEq(moody.balanceOf(ALICE), 2_000, "units");
        assertEq(settlement.withdrawable(asset, ALICE), 0, "nothing waits");
        (, uint128 owed) = settlement.holdings(asset);
        assertEq(owed, 4_800, "no longer owed");
    }

    function test_RevertWhen_NothingToClaim() public {
        moody.bar(ALICE, false);
        settlement.claim(asset, ALICE);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NothingToClaim.selector, ALICE));
        settlement.claim(asset, ALICE);
    }
}
