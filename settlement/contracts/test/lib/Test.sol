// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// The cheatcodes this project uses (forge answers them at this fixed address).
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function prank(address) external;
    function startPrank(address) external;
    function stopPrank() external;
    function deal(address, uint256) external;
    function warp(uint256) external;
    function roll(uint256) external;
    function assume(bool) external pure;
    function expectRevert() external;
    function expectRevert(bytes4) external;
    function expectRevert(bytes calldata) external;
    function expectPartialRevert(bytes4) external;
    function expectEmit() external;
    function chainId(uint256) external;
    function mockCall(address, bytes calldata, bytes calldata) external;
    function clearMockedCalls() external;
    function getCode(string calldata) external view returns (bytes memory);
    function readFile(string calldata) external view returns (string memory);
    function parseJsonUint(string calldata, string calldata) external pure returns (uint256);
    function parseJsonUintArray(string calldata, string calldata) external pure returns (uint256[] memory);
    function parseJsonBytes32(string calldata, string calldata) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata, string calldata) external pure returns (bytes32[] memory);
    function parseJsonBytes(string calldata, string calldata) external pure returns (bytes memory);
    function parseJsonAddress(string calldata, string calldata) external pure returns (address);
    function keyExistsJson(string calldata, string calldata) external view returns (bool);
    function snapshotGasLastCall(string calldata, string calldata) external returns (uint256);
    function snapshotValue(string calldata, string calldata, uint256) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256) external returns (bool);
    function addr(uint256) external pure returns (address);
    function sign(uint256, bytes32) external pure returns (uint8, bytes32, bytes32);
    function etch(address, bytes calldata) external;
    function store(address, bytes32, bytes32) external;
    function label(address, string calldata) external;
    function blobhashes(bytes32[] calldata) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function toString(uint256) external pure returns (string memory);
}

/// What forge itself asks of a test contract: IS_TEST, assertions that revert, and the
/// invariant fuzzer's target lists. Enough to need no forge-std.
abstract contract Test {
    bool public constant IS_TEST = true;
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    address[] private _targets;
    FuzzSelector[] private _selectors;
    address[] private _senders;

    event log_named_uint(string key, uint256 val);

    function targetContract(address a) internal {
        _targets.push(a);
    }

    function targetSelector(FuzzSelector memory s) internal {
        _selectors.push(s);
    }

    function targetContracts() public view returns (address[] memory) {
        return _targets;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory) {
        return _selectors;
    }

    function assertEq(uint256 a, uint256 b, string memory why) internal pure {
        require(a == b, string.concat(why, ": ", vm.toString(a), " != ", vm.toString(b)));
    }

    function assertEq(bytes32 a, bytes32 b, string memory why) internal pure {
        require(a == b, why);
    }

    function assertEq(address a, address b, string memory why) internal pure {
        require(a == b, why);
    }

    function assertTrue(bool ok, string memory why) internal pure {
        require(ok, why);
    }

    /// Not by `new`: what is tested is what the profile `deployed` compiles, not what the tests' fast one does.
    function deployBuilt(string memory name, bytes memory arguments) internal returns (address created) {
        string memory artifact = string.concat("out/deployed/", name, ".sol/", name, ".json");
        bytes memory code = abi.encodePacked(vm.getCode(artifact), arguments);
        assembly {
            created := create(0, add(code, 32), mload(code))
            if iszero(created) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function bound(uint256 x, uint256 lo, uint256 hi) internal pure returns (uint256) {
        if (x >= lo && x <= hi) return x;
        unchecked {
            uint256 n = hi - lo + 1;
            return n == 0 ? x : lo + (x % n);
        }
    }
}
