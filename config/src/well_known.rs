//! Ed25519 keys whose secrets are printed in RFC 8032, for demonstrations and tests. On a real venue they are refused.

/// A key pair that everybody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WellKnownKey {
    /// The RFC's name of the test vector.
    pub name: &'static str,
    /// The 32-byte secret as the RFC prints it, in hexadecimal.
    pub secret_key_hex: &'static str,
    /// The public key, in hexadecimal.
    pub public_key_hex: &'static str,
}

/// The key pairs of RFC 8032, sections 7.1 to 7.3. The first four own the accounts of `config/dev.toml`, in this order.
pub const KEYS: [WellKnownKey; 7] = [
    WellKnownKey {
        name: "RFC 8032 TEST 1",
        secret_key_hex: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        public_key_hex: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    },
    WellKnownKey {
        name: "RFC 8032 TEST 2",
        secret_key_hex: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        public_key_hex: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    },
    WellKnownKey {
        name: "RFC 8032 TEST 3",
        secret_key_hex: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        public_key_hex: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    },
    WellKnownKey {
        name: "RFC 8032 TEST 1024",
        secret_key_hex: "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        public_key_hex: "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    },
    WellKnownKey {
        name: "RFC 8032 TEST SHA(abc)",
        secret_key_hex: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        public_key_hex: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    },
    WellKnownKey {
        name: "RFC 8032 Ed25519ctx foo",
        secret_key_hex: "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
        public_key_hex: "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
    },
    WellKnownKey {
        name: "RFC 8032 Ed25519ctx foo4",
        secret_key_hex: "ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560",
        public_key_hex: "0f1d1274943b91415889152e893d80e93275a1fc0b65fd71b4b0dda10ad7d772",
    },
];

/// The key whose public half is `public_key`, if its secret is known to everybody.
pub fn find(public_key: &[u8; 32]) -> Option<&'static WellKnownKey> {
    KEYS.iter().find(|key| crate::hex::parse(key.public_key_hex).as_ref() == Ok(public_key))
}
