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

/// One bad token: it is set apart, and everything else goes on.
contract QuarantineTest is Fixture {
    MoodyToken internal moody;
    uint16 internal asset;

    function setUp() public override {
        super.setUp();
        moody = new MoodyToken();
        asset = list(moody, 1);
        deposit(ALICE, asset, 1_000);
        deposit(ALICE, USD, 1_000);
        commitNext();
    }

    function test_TheOthersCommitAndItsOwnWithdrawalsWait() public {
        moody.burn(address(vault), 1);
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 100);
        withdraw(b, USD, 1, 100);
        vm.expectEmit();
        emit SettlementEvents.Quarantined(asset);
        settlement.quarantine(asset);
        assertTrue(settlement.isQuarantined(asset), "set apart");
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        WithdrawalLine[] memory out = withdrawalLines(b);
        settlement.claimFromBatch(b.header, s, out, Withdrawal(USD, 0, 1, 100), pathOfFirst());
        assertEq(usd.balanceOf(ALICE), 100, "the other asset is paid");
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.InQuarantine.selector, asset));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 100), pathOfFirst());
        // Made good, it still waits until it is released.
        moody.mint(address(vault), 1);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.InQuarantine.selector, asset));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 100), pathOfFirst());
        vm.expectEmit();
        emit SettlementEvents.Released(asset);
        settlement.release(asset);
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 100), pathOfFirst());
        assertEq(moody.balanceOf(ALICE), 100, "paid at last");
    }

    /// Nobody leaves before others, even before anybody has called {quarantine}.
    function test_RevertWhen_ClaimingWhatIsMissing() public {
        Batch memory b = nextBatch();
        withdraw(b, asset, 1, 100);
        WithdrawalLine[] memory out = withdrawalLines(b);
        Stamp memory s = commit(b);
        waitForWindow();
        settlement.finalize(b.header, s);
        moody.burn(address(vault), 1);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.InQuarantine.selector, asset));
        settlement.claimFromBatch(b.header, s, out, Withdrawal(asset, 0, 1, 100), pathOfFirst());
    }

    function test_ATokenThatDoesNotAnswerHoldsNothing() public {
        vm.etch(address(moody), hex"fe");
        settlement.quarantine(asset);
        assertTrue(settlement.isQuarantined(asset), "set apart");
    }

    function test_RevertWhen_Solvent() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.NotInsolvent.selector, asset));
        settlement.quarantine(asset);
    }

    function test_RevertWhen_StillInsolvent() public {
        moody.burn(address(vault), 1);
        settlement.quarantine(asset);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.Insolvent.selector, asset));
        settlement.release(asset);
    }

    function test_RevertWhen_UnknownAsset() public {
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 9));
        settlement.quarantine(9);
        vm.expectRevert(abi.encodeWithSelector(SettlementErrors.UnknownAsset.selector, 9));
        settlement.release(9);
    }
}
