// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title What the keys need of the settlement contract
interface KeyedSettlement {
    /// @notice Who announces keys.
    function administrator() external view returns (address);
    /// @notice How long ahead, in seconds.
    function NOTICE() external view returns (uint64);
    /// @notice Whose signature counts now.
    function signer() external view returns (address);
    /// @notice Takes new keys.
    function takeKeys(address nextOperator, address nextSigner) external;
}

/// @title The venue's keys, and how they change
/// @notice The poster's key sends batches, the header key signs them; whoever steals one of the two can do nothing. New
/// ones are announced {KeyedSettlement.NOTICE} ahead: longer than it takes to leave by force.
contract Keys {
    /// @notice How long, in seconds, receipts of a header key that was replaced still prove something.
    uint64 public constant RECEIPTS_AFTER_ROTATION = 30 days;

    /// @notice Whose keys they are.
    KeyedSettlement public immutable settlement;

    /// @notice The poster's key that was announced; 0 for none.
    address public nextOperator;
    /// @notice Since when, in seconds, the announced keys may be taken.
    uint64 public from;
    /// @notice The header key that was announced; 0 for none.
    address public nextSigner;
    /// @notice Until when, in seconds, a header key's receipts prove something; 0 for a stranger.
    mapping(address signer => uint64) public signerUntil;

    /// @notice New keys may be taken from a time on, in seconds.
    event KeysAnnounced(address indexed operator, address indexed signer, uint64 from);
    /// @notice The announced keys count from now on.
    event KeysRotated(address indexed operator, address indexed signer);

    /// @notice Only the administrator announces keys.
    error NotAdministrator(address caller);
    /// @notice A key is nobody's.
    error NoKey();
    /// @notice The announced keys may be taken only later; in seconds.
    error NoticeRunning(uint64 from);
    /// @notice No keys are announced.
    error NothingAnnounced();

    /// @notice The creator is the settlement contract.
    /// @param signer The first header key.
    constructor(address signer) {
        settlement = KeyedSettlement(msg.sender);
        signerUntil[signer] = type(uint64).max;
    }

    /// @notice Announces the keys that are to follow. The last announcement counts.
    /// @param operator The poster's key.
    /// @param signer The header key.
    function announce(address operator, address signer) external {
        if (msg.sender != settlement.administrator()) revert NotAdministrator(msg.sender);
        if (operator == address(0)) revert NoKey();
        if (signer == address(0)) revert NoKey();
        (nextOperator, nextSigner) = (operator, signer);
        from = uint64(block.timestamp) + settlement.NOTICE();
        emit KeysAnnounced(operator, signer, from);
    }

    /// @notice Takes the announced keys once their time has come. Anybody may call.
    function rotate() external {
        (address operator, address signer) = (nextOperator, nextSigner);
        if (operator == address(0)) revert NothingAnnounced();
        if (block.timestamp < from) revert NoticeRunning(from);
        (nextOperator, nextSigner) = (address(0), address(0));
        signerUntil[settlement.signer()] = uint64(block.timestamp) + RECEIPTS_AFTER_ROTATION;
        signerUntil[signer] = type(uint64).max;
        emit KeysRotated(operator, signer);
        settlement.takeKeys(operator, signer);
    }

    /// @notice Whether an owner signed a digest: by secp256k1, or as a contract that answers ERC-1271.
    /// @param owner Who.
    /// @param digest What.
    /// @param signature The signature.
    /// @return Whether so.
    function isSignedBy(address owner, bytes32 digest, bytes calldata signature) external view returns (bool) {
        return SignatureChecker.isValidSignatureNow(owner, digest, signature);
    }
}
