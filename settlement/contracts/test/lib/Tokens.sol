// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {DemoToken} from "../../src/dev/DemoToken.sol";

/// Keeps one percent of every transfer, as some tokens do.
contract FeeToken is DemoToken {
    address public constant COLLECTOR = address(0xfee);

    constructor() DemoToken("Fee", "FEE", 6) {}

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) ? 0 : value / 100;
        if (fee != 0) super._update(from, COLLECTOR, fee);
        super._update(from, to, value - fee);
    }
}

/// Calls back in the middle of every transfer, and remembers what came of it.
contract ReentrantToken is DemoToken {
    address public target;
    bytes public call;
    bool public succeeded;
    bytes public answer;

    constructor() DemoToken("Reentrant", "RE", 6) {}

    function arm(address target_, bytes memory call_) external {
        target = target_;
        call = call_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target == address(0)) return;
        (succeeded, answer) = target.call(call);
    }
}

/// Refuses to pay those who are barred, as some tokens can; also loses balances on command, as no token should.
contract MoodyToken is DemoToken {
    mapping(address => bool) public barred;

    constructor() DemoToken("Moody", "MOOD", 6) {}

    function bar(address owner, bool isBarred) external {
        barred[owner] = isBarred;
    }

    function burn(address owner, uint256 amount) external {
        _burn(owner, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        require(from == address(0) || !barred[to], "barred");
        super._update(from, to, value);
    }
}
