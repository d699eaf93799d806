// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SettlementAssets} from "./SettlementAssets.sol";
import {SettlementBatches} from "./SettlementBatches.sol";
import {SettlementExits} from "./SettlementExits.sol";
import {SettlementParts} from "./SettlementParts.sol";
import {SettlementQueue} from "./SettlementQueue.sol";
import {Setup} from "./Types.sol";

/// @title From the venue's journal to the chain, and back out
/// @notice Users put money into the vault and speak to the venue through one queue. The operator commits batches: what
/// every account has after a range of journal records, as sum trees. This contract does not know what was traded; it
/// makes sure that each record is settled exactly once, that no money is made or lost (per asset: what is owed = what
/// was owed + deposits consumed − withdrawals), that the queue is consumed in order and unaltered, and that only
/// owners are paid. Of an asset's totals it keeps only a hash, the root, so that an idle asset costs no storage.
///
/// Who may do what: the operator commits batches that the header key signed; watchers drop batches while their window is
/// open; the administrator lists assets, limits deposits and announces keys and watchers long ahead; anybody stops a venue
/// that is silent or was caught, and then everybody leaves. Nobody can change this code, move a balance or stop a claim.
///
/// Bounds: 64 assets, 2^32 − 1 accounts, 2^62 atoms of an asset at once. Amounts are in atoms (what the engine counts)
/// except in `deposit` and `requestWithdrawal`, which take the token's own units; a unit count is atoms × scale.
contract Settlement is SettlementAssets, SettlementQueue, SettlementBatches, SettlementExits {
    /// @notice Deploys vault, watchers and proofs too. Roles and windows can never change, but for keys and watchers.
    /// @param setup See {Setup}.
    constructor(Setup memory setup) SettlementParts(setup) {}
}
