// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DemoToken} from "../../src/dev/DemoToken.sol";
import {Encoding} from "../../src/lib/Encoding.sol";
import {SumTree} from "../../src/lib/SumTree.sol";
import {
    Line,
    Batch,
    Fixture,
    Header,
    QueueEntry,
    Signature,
    Stamp,
    Step,
    Withdrawal,
    WithdrawalLine
} from "../lib/Fixture.sol";
import {FeeToken, MoodyToken, ReentrantToken} from "../lib/Tokens.sol";
import {Trees} from "../lib/Trees.sol";

/// Plays users, an honest operator who keeps a ledger, and a dishonest one whose batches must all be refused. Remembers
/// what should be true; {InvariantsTest} compares. A call reverts only where something is wrong.
contract Handler is Fixture {
    uint16 public constant ASSETS = 5;
    uint16 public constant FEE = 2;
    uint16 public constant REENTRANT = 3;
    uint16 public constant MOODY = 4;
    uint256 public constant LIES = 19;

    struct Entry {
        uint8 kind;
        uint32 account;
        uint16 asset;
        uint64 amount;
        bytes32 extra;
        uint64 time;
    }

    struct Payout {
        uint256 record;
        Withdrawal withdrawal;
        Step[] path;
        bool claimed;
    }

    /// What the operator knew when a batch was committed, so that it can go back there.
    struct Memory {
        uint128[4][5] ledger;
        uint256[5] withdrawn;
        uint256 consumed;
        uint256 payouts;
        Line[] lines;
    }

    struct Record {
        Header header;
        Stamp stamp;
        WithdrawalLine[] lines;
    }

    address[3] public actors = [ALICE, BOB, address(0xca201)];
    ReentrantToken internal reentrant;
    MoodyToken internal moody;

    Entry[] internal _entries;
    Payout[] internal _payouts;
    Record[] internal _records;
    mapping(uint256 batchId => Memory) internal _memories;
    uint256 public consumed;
    /// What accounts have by the entries consumed, in atoms.
    mapping(uint256 account => mapping(uint256 asset => uint128)) public ledger;
    mapping(uint256 asset => uint256) public withdrawn;
    mapping(uint256 asset => uint256) public claimed;
    mapping(address actor => mapping(uint256 asset => uint256)) public minted;
    mapping(address actor => mapping(uint256 asset => uint256)) public spent;
    mapping(address actor => mapping(uint256 asset => uint256)) public received;
    /// How often each thing really happened.
    mapping(bytes32 what => uint256) public times;
    uint256[6] internal _seen;

    constructor() {
        setUp();
        list(new FeeToken(), 1);
        reentrant = new ReentrantToken();
        moody = new MoodyToken();
        list(reentrant, 100);
        list(moody, 1);
    }

    // ------------------------------------------------------------------ users

    /// Nothing ever falls: I5.
    modifier monotone() {
        _;
        uint256[6] memory now_;
        (now_[0], now_[1], now_[2], now_[3], now_[4]) = settlement.tip();
        (,, now_[5]) = settlement.counts();
        for (uint256 i = 0; i < 6; ++i) {
            assertTrue(now_[i] >= _seen[i], "I5: something fell");
        }
        _seen = now_;
    }

    function scaleOf(uint16 asset) public view returns (uint256 scale) {
        (, scale,,) = settlement.assetInfo(asset);
    }

    function tokenOf(uint16 asset) public view returns (DemoToken) {
        (IERC20 token,,,) = settlement.assetInfo(asset);
        return DemoToken(address(token));
    }

    function doDeposit(uint256 actorSeed, uint256 assetSeed, uint256 amount) external monotone {
        address actor = actors[actorSeed % 3];
        uint16 asset = uint16(assetSeed % ASSETS);
        amount = bound(amount, 20, 1e9) * scaleOf(asset);
        if (isForcedOpen(actor, asset)) return;
        fund(actor, asset, amount);
        minted[actor][asset] += amount;
        spent[actor][asset] += amount;
        armReentrancy();
        vm.prank(actor);
        settlement.deposit(asset, amount);
        disarmReentrancy();
        uint256 arrived = asset == FEE ? amount - amount / 100 : amount;
        bytes32 extra = bytes32(uint256(uint160(actor)));
        uint64 atoms = uint64(arrived / scaleOf(asset));
        _entries.push(
            Entry(Encoding.DEPOSIT, settlement.accountOf(actor), asset, atoms, extra, uint64(block.timestamp))
        );
        ++times["deposit"];
    }

    function isForcedOpen(address actor, uint16 asset) private view returns (bool) {
        return settlement.forcedWithdrawalOf(settlement.accountOf(actor), asset) > consumed;
    }

    function doForce(uint256 actorSeed, uint256 assetSeed) external monotone {
        address actor = actors[actorSeed % 3];
        uint16 asset = uint16(assetSeed % ASSETS);
        uint32 account = settlement.accountOf(actor);
        if (account == 0) return;
        bool may = !isForcedOpen(actor, asset);
        vm.deal(actor, FORCED_FEE);
        vm.prank(actor);
        bool done;
        try settlement.forceWithdraw{value: FORCED_FEE}(asset) {
            done = true;
        } catch {}
        assertTrue(done == may, "one forced withdrawal at a time");
        if (!done) return;
        _entries.push(Entry(Encoding.FORCED_WITHDRAWAL, account, asset, 0, 0, uint64(block.timestamp)));
        ++times["force"];
    }

    function doRegisterKey(uint256 actorSeed, bytes32 key) external monotone {
        address actor = actors[actorSeed % 3];
        uint32 account = settlement.accountOf(actor);
        if (account == 0 || key == 0) return;
        vm.prank(actor);
        settlement.registerKey(key);
        _entries.push(Entry(Encoding.REGISTER_KEY, account, 0, 0, key, uint64(block.timestamp)));
    }

    function doRequest(uint256 actorSeed, uint256 assetSeed, uint256 amount) external monotone {
        address actor = actors[actorSeed % 3];
        uint16 asset = uint16(assetSeed % ASSETS);
        uint32 account = settlement.accountOf(actor);
        if (account == 0) return;
        // Sometimes more than there is: the operator consumes such an entry without paying.
        uint256 atoms = bound(amount, 1, uint256(ledger[account][asset]) * 5 / 4 + 1);
        uint256 amountInUnits = atoms * scaleOf(asset);
        vm.prank(actor);
        settlement.requestWithdrawal(asset, amountInUnits);
        _entries.push(Entry(Encoding.WITHDRAWAL, account, asset, uint64(atoms), 0, uint64(block.timestamp)));
    }

    function doTrade(uint256 from, uint256 to, uint256 assetSeed, uint128 amount) external {
        uint16 asset = uint16(assetSeed % ASSETS);
        uint32 seller = settlement.accountOf(actors[from % 3]);
        uint32 buyer = settlement.accountOf(actors[to % 3]);
        if (seller == 0 || buyer == 0) return;
        amount = uint128(bound(amount, 0, ledger[seller][asset]));
        ledger[seller][asset] -= amount;
        ledger[buyer][asset] += amount;
    }

    function doBar(uint256 actorSeed, bool isBarred) external {
        moody.bar(actors[actorSeed % 3], isBarred);
    }

    function doWait(uint256 secondsSeed, uint256 blocksSeed) external {
        vm.warp(block.timestamp + bound(secondsSeed, 1, 2 * WINDOW_SECONDS));
        vm.roll(block.number + bound(blocksSeed, 1, 2 * WINDOW_BLOCKS));
    }

    /// In the middle of a transfer the token tries to be paid once more, or to deposit.
    function armReentrancy() private {
        bytes memory call = abi.encodeCall(settlement.deposit, (uint16(REENTRANT), 2_000));
        if (_payouts.length != 0) {
            Payout storage p = _payouts[_payouts.length - 1];
            Record storage r = _records[p.record];
            call = abi.encodeCall(settlement.claimFromBatch, (r.header, r.stamp, r.lines, p.withdrawal, p.path));
        }
        reentrant.arm(address(settlement), call);
    }

    function disarmReentrancy() private {
        assertTrue(!reentrant.succeeded(), "a token got in between");
        reentrant.arm(address(0), "");
    }

    // ------------------------------------------------------------------ operator

    function doCommit(uint256 upToSeed) external monotone {
        Batch memory b = nextBatch();
        uint256 upTo = upToSeed % 2 == 0 ? _entries.length : bound(upToSeed, consumed, _entries.length);
        consumeUpTo(b, uint64(upTo));
        for (uint16 asset = 0; asset < ASSETS; ++asset) {
            b.lines[asset].sum = tipLine(asset).sum;
            b.lines[asset].credited = tipLine(asset).credited;
        }
        uint256 firstPayout = _payouts.length;
        for (; consumed < upTo; ++consumed) {
            digest(b, _entries[consumed]);
        }
        for (uint16 asset = 0; asset < ASSETS; ++asset) {
            plant(b, asset, firstPayout);
            (b.lines[asset].treeHash,) = Trees.balances(balancesOf(asset));
        }
        seal(b);
        _records.push();
        Record storage record = _records[_records.length - 1];
        record.header = b.header;
        WithdrawalLine[] memory lines = withdrawalLines(b);
        for (uint256 i = 0; i < lines.length; ++i) {
            record.lines.push(lines[i]);
        }
        record.stamp = commit(b);
        remember(b.header.batchId);
        ++times["commit"];
    }

    function balancesOf(uint16 asset) private view returns (uint128[4] memory all) {
        for (uint32 account = 1; account <= 3; ++account) {
            all[account] = ledger[account][asset];
        }
    }

    function remember(uint256 batchId) private {
        Memory storage known = _memories[batchId];
        for (uint16 asset = 0; asset < ASSETS; ++asset) {
            known.ledger[asset] = balancesOf(asset);
            known.withdrawn[asset] = withdrawn[asset];
        }
        (known.consumed, known.payouts) = (consumed, _payouts.length);
        delete known.lines;
        for (uint256 i = 0; i < tipLines.length; ++i) {
            known.lines.push(tipLines[i]);
        }
    }

    /// The operator is back where it was after a batch.
    function goBack(uint256 batchId) private {
        Memory storage known = _memories[batchId];
        for (uint16 asset = 0; asset < ASSETS; ++asset) {
            for (uint32 account = 1; account <= 3; ++account) {
                ledger[account][asset] = known.ledger[asset][account];
            }
            withdrawn[asset] = known.withdrawn[asset];
        }
        consumed = known.consumed;
        while (_payouts.length > known.payouts) _payouts.pop();
        while (_records.length > batchId) _records.pop();
        delete tipLines;
        for (uint256 i = 0; i < known.lines.length; ++i) {
            tipLines.push(known.lines[i]);
        }
        (_seen[0], _seen[1], _seen[2], _seen[3],) = settlement.tip();
    }

    /// Two of three watchers drop a batch whose window is open, and all after it.
    function doVeto(uint256 seed) external {
        if (_records.length == 0) return;
        uint256 batchId = seed % _records.length + 1;
        Record storage record = _records[batchId - 1];
        Record storage previous = _records[batchId == 1 ? 0 : batchId - 2];
        (,,,, uint64 finalBatch) = settlement.tip();
        bool may = batchId > finalBatch && !isOver(record.stamp);
        for (uint256 i = 0; i < 2; ++i) {
            bool done = tryVeto(i == 0 ? WATCHER_A : WATCHER_B, record, previous, _memories[batchId - 1].lines);
            assertTrue(done == may, "veto");
            if (!done) return;
        }
        goBack(batchId - 1);
        ++times["veto"];
    }

    function tryVeto(address watcher, Record storage record, Record storage previous, Line[] storage lines)
        private
        returns (bool)
    {
        (Header memory header, Stamp memory stamp) = (record.header, record.stamp);
        vm.deal(watcher, VETO_BOND);
        vm.prank(watcher);
        try watchers.veto{value: VETO_BOND}(
            header, stamp, previous.header, previous.stamp, packed(lines), header.lastSequence
        ) {
            return true;
        } catch {
            return false;
        }
    }

    function isOver(Stamp memory stamp) private view returns (bool) {
        return block.timestamp >= stamp.time + WINDOW_SECONDS && block.number >= stamp.blockNumber + WINDOW_BLOCKS;
    }

    /// What the engine does with an entry.
    function digest(Batch memory b, Entry memory entry) private {
        if (entry.kind == Encoding.DEPOSIT) {
            ledger[entry.account][entry.asset] += entry.amount;
            b.lines[entry.asset].credited += entry.amount;
            b.lines[entry.asset].sum += entry.amount;
            return;
        }
        if (entry.kind == Encoding.FORCED_WITHDRAWAL) {
            entry.amount = uint64(ledger[entry.account][entry.asset]);
            if (entry.amount == 0) return;
        } else if (entry.kind != Encoding.WITHDRAWAL) {
            return;
        }
        if (ledger[entry.account][entry.asset] >= entry.amount) {
            ledger[entry.account][entry.asset] -= entry.amount;
            b.lines[entry.asset].sum -= entry.amount;
            b.withdrawn[entry.asset] += entry.amount;
            withdrawn[entry.asset] += entry.amount;
            _payouts.push();
            Payout storage payout = _payouts[_payouts.length - 1];
            payout.record = _records.length;
            payout.withdrawal = Withdrawal(entry.asset, 0, entry.account, entry.amount);
        }
    }

    /// The withdrawal tree of an asset: the payouts since `first` that are of it.
    function plant(Batch memory b, uint16 asset, uint256 first) private {
        uint256 count;
        for (uint256 i = first; i < _payouts.length; ++i) {
            if (_payouts[i].withdrawal.asset == asset) _payouts[i].withdrawal.index = uint32(count++);
        }
        if (count == 0) return;
        uint256 size = 1;
        while (size < count) size *= 2;
        Step[] memory level = new Step[](size);
        for (uint256 i = first; i < _payouts.length; ++i) {
            Withdrawal memory w = _payouts[i].withdrawal;
            if (w.asset == asset) level[w.index] = Step(SumTree.withdrawalLeaf(w.account, w.amount), w.amount);
        }
        for (uint256 height = 0; size > 1; ++height) {
            for (uint256 i = first; i < _payouts.length; ++i) {
                Payout storage payout = _payouts[i];
                if (payout.withdrawal.asset == asset) payout.path.push(level[(payout.withdrawal.index >> height) ^ 1]);
            }
            size /= 2;
            for (uint256 i = 0; i < size; ++i) {
                (Step memory l, Step memory r) = (level[2 * i], level[2 * i + 1]);
                level[i] = Step(SumTree.node(l.hash, l.sum, r.hash, r.sum), l.sum + r.sum);
            }
        }
        b.withdrawalsHashes[asset] = level[0].hash;
    }

    /// A batch with one lie in it.
    function doLie(uint256 kind, uint256 seed) external monotone {
        Batch memory b = nextBatch();
        uint16 asset = uint16(seed % ASSETS);
        if (!lie(b, kind % LIES, asset)) return;
        vm.prank(kind % LIES == 0 ? ADMINISTRATOR : OPERATOR);
        bool taken;
        Signature memory signature = kind % LIES == 18 ? signTyped(0xbad, keccak256("lie")) : sign(b);
        try settlement.commitBatch(packed(b.changes), data, claimOf(b, signature), packed(b.lines)) {
            taken = true;
        } catch {}
        assertTrue(!taken, string.concat("lie was taken: ", vm.toString(kind % LIES)));
        ++times["lie"];
    }

    /// Puts the lie in; false where there is nothing to lie about yet. 0 is the wrong sender.
    function lie(Batch memory b, uint256 kind, uint16 asset) private view returns (bool) {
        (uint64 batchId,, uint64 queueUpTo,,) = settlement.tip();
        bool hasMoney = b.lines[asset].sum > 0;
        if (kind == 1) b.header.batchId += 1;
        if (kind == 2) b.header.batchId = batchId;
        if (kind == 3) b.header.firstSequence += 1;
        if (kind == 4) b.header.firstSequence -= 1;
        if (kind == 5) b.header.lastSequence = b.header.firstSequence - 1;
        if (kind == 6) b.header.prevRoot = keccak256("another past");
        if (kind == 7) b.header.newRoot = keccak256("another future");
        if (kind == 8) b.header.lastTime = uint64(block.timestamp) + 61;
        if (kind == 9) b.header.firstTime = b.header.lastTime + 1;
        if (kind == 10) {
            // Beyond the queue's end.
            b.header.queueUpTo += 1;
            b.header.queuePrefix = 0;
        }
        if (kind == 11) {
            if (queueUpTo == 0) return false;
            b.header.queueUpTo = queueUpTo - 1;
            b.header.queuePrefix = settlement.queuePrefix(queueUpTo - 1);
        }
        if (kind == 12) b.header.queuePrefix = keccak256("another queue");
        if (kind == 13) {
            // Money out of nothing, undeclared.
            b.lines[asset].sum += 1;
            b.header.newRoot = root(b.lines);
        }
        if (kind == 14) {
            // Deposits that nobody made.
            b.lines[asset].credited += 1;
            b.lines[asset].sum += 1;
            seal(b);
        }
        if (kind == 15) {
            // Money that disappears.
            if (!hasMoney) return false;
            b.lines[asset].sum -= 1;
            seal(b);
        }
        if (kind == 16) {
            // A withdrawal from nobody's balance.
            b.withdrawn[asset] = 1;
            b.withdrawalsHashes[asset] = SumTree.withdrawalLeaf(1, 1);
            seal(b);
        }
        if (kind == 17) {
            // A withdrawal that is only in the header.
            if (!hasMoney) return false;
            b.header.withdrawalsRoot = Encoding.foldWithdrawals(0, asset, SumTree.withdrawalLeaf(1, 1), 1);
        }
        return true;
    }

    function doFinalize(uint256 seed) external monotone {
        if (_records.length == 0) return;
        Record storage record = _records[seed % _records.length];
        (,,,, uint64 finalBatch) = settlement.tip();
        bool may = isOver(record.stamp) && record.header.batchId > finalBatch;
        bool done;
        try settlement.finalize(record.header, record.stamp) {
            done = true;
        } catch {}
        assertTrue(done == may, "finalize");
    }

    function doClaim(uint256 seed) external monotone {
        if (_payouts.length == 0) return;
        Payout storage p = _payouts[seed % _payouts.length];
        Record storage r = _records[p.record];
        (,,,, uint64 finalBatch) = settlement.tip();
        bool may = !p.claimed && r.header.batchId <= finalBatch;
        address owner = settlement.ownerOf(p.withdrawal.account);
        uint16 asset = p.withdrawal.asset;
        bool refuses = asset == MOODY && moody.barred(owner);
        if (asset != REENTRANT || p.claimed) armReentrancy();
        bool done;
        try settlement.claimFromBatch(r.header, r.stamp, r.lines, p.withdrawal, p.path) {
            done = true;
        } catch {}
        disarmReentrancy();
        assertTrue(done == may, "I8: claim");
        if (!done) return;
        p.claimed = true;
        claimed[asset] += p.withdrawal.amount;
        if (!refuses) received[owner][asset] += p.withdrawal.amount;
        ++times["claim"];
    }

    function doClaimDeferred(uint256 actorSeed) external monotone {
        address actor = actors[actorSeed % 3];
        uint256 waiting = settlement.withdrawable(MOODY, actor);
        bool done;
        try settlement.claim(MOODY, actor) {
            done = true;
        } catch {}
        assertTrue(done == (waiting != 0 && !moody.barred(actor)), "claim");
        if (done) received[actor][MOODY] += waiting;
    }

    // ------------------------------------------------------------------ the end

    function entryOf(uint256 index) private view returns (QueueEntry memory) {
        Entry memory e = _entries[index];
        return QueueEntry(uint64(index + 1), e.kind, e.account, e.asset, e.amount, e.extra, e.time);
    }

    /// The operator is silent for a week, in whatever state it was, and everybody leaves: I9. False where nobody ever came.
    function everybodyLeaves() external returns (bool) {
        for (uint256 i = 0; i < 3; ++i) {
            moody.bar(actors[i], false);
        }
        if (_entries.length == 0) return false;
        if (consumed == _entries.length) {
            address actor = settlement.ownerOf(1);
            vm.deal(actor, FORCED_FEE);
            vm.prank(actor);
            settlement.forceWithdraw{value: FORCED_FEE}(0);
            _entries.push(Entry(Encoding.FORCED_WITHDRAWAL, 1, 0, 0, 0, uint64(block.timestamp)));
        }
        (uint64 clockId,) = settlement.freezeClock();
        if (clockId <= consumed) settlement.startFreezeClock();
        vm.warp(block.timestamp + 7 days);
        vm.roll(block.number + FREEZE_BLOCKS);
        settlement.freeze(entryOf(consumed));
        Record memory last;
        (,,,, uint64 finalBatch) = settlement.tip();
        if (finalBatch != 0) last = _records[finalBatch - 1];
        settlement.rollBack(last.header, last.stamp);
        goBack(finalBatch);
        for (uint256 i = 0; i < _payouts.length; ++i) {
            Payout storage p = _payouts[i];
            Record storage r = _records[p.record];
            if (!p.claimed) settlement.claimFromBatch(r.header, r.stamp, r.lines, p.withdrawal, p.path);
        }
        for (uint16 asset = 0; asset < ASSETS; ++asset) {
            leaveAsset(asset);
        }
        for (uint256 i = consumed; i < _entries.length; ++i) {
            if (_entries[i].kind == Encoding.DEPOSIT) exits.reclaimDeposit(entryOf(i));
        }
        return true;
    }

    function leaveAsset(uint16 asset) private {
        for (uint256 i = 0; i < 3; ++i) {
            if (settlement.withdrawable(asset, actors[i]) != 0) settlement.claim(asset, actors[i]);
        }
        uint128[4] memory all = balancesOf(asset);
        for (uint32 account = 1; account <= 3; ++account) {
            if (all[account] == 0) continue;
            Step[] memory path = Trees.path(all, account);
            exits.escape(account, asset, all[account], packed(tipLines), path);
            try exits.escape(account, asset, all[account], packed(tipLines), path) {
                revert("I8: a balance left twice");
            } catch {}
        }
    }

    // ------------------------------------------------------------------ what should be true

    function venue() external view returns (address settlement_, address vault_) {
        return (address(settlement), address(vault));
    }

    function entryAt(uint256 index) external view returns (Entry memory) {
        return _entries[index];
    }

    function entries() external view returns (uint256) {
        return _entries.length;
    }

    function records() external view returns (uint256) {
        return _records.length;
    }

    function headerAt(uint256 index) external view returns (Header memory) {
        return _records[index].header;
    }

    function lineAt(uint256 asset) external view returns (uint128 sum, uint128 credited) {
        return (tipLine(asset).sum, tipLine(asset).credited);
    }
}
