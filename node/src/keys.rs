//! Ed25519 keys in files: `lakh keygen`, and reading what it wrote.
//!
//! The file is PKCS #8 in PEM, which stock clients read as it is. A secret is never printed unless asked for.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;

/// DER in front of the 32 bytes of an Ed25519 seed (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Makes a key and writes it to a new file.
#[derive(Debug, clap::Args)]
pub(crate) struct KeygenArguments {
    /// Where the secret key goes, as PKCS #8 PEM with mode 0600; the file must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `lakh keygen`.
pub(crate) fn keygen(arguments: &KeygenArguments) -> Result<()> {
    let public = hex(&new_key(&arguments.out)?.verifying_key().to_bytes());
    if arguments.json {
        println!("{}", serde_json::json!({ "public_key": public, "file": arguments.out }));
    } else {
        println!("public key  {public}\nsecret key  {} (keep it; it is not shown)", arguments.out.display());
        println!("api key     the venue's tag (32 hex digits, printed by `lakh run`) in front of the public key");
    }
    Ok(())
}

/// Makes a key and writes it to a file that does not exist yet.
pub(crate) fn new_key(path: &Path) -> Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system gave no random bytes")?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be created", path.display()))?;
    file.write_all(to_pem(&seed).as_bytes())?;
    file.sync_all()?;
    Ok(SigningKey::from_bytes(&seed))
}

/// PKCS #8 PEM of a seed.
pub(crate) fn to_pem(seed: &[u8; 32]) -> String {
    let der = [PKCS8_PREFIX.as_slice(), seed].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der))
}

/// Reads a key that `lakh keygen` or a stock tool wrote.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64.decode(base64.trim()).with_context(|| format!("{} is not PEM", path.display()))?;
    match der.strip_prefix(PKCS8_PREFIX.as_slice()).map(<[u8; 32]>::try_from) {
        Some(Ok(seed)) => Ok(SigningKey::from_bytes(&seed)),
        _ => bail!("{} is no Ed25519 key in PKCS #8", path.display()),
    }
}

/// Reads a file that holds a secret and that nobody but its owner may read.
pub(crate) fn read_private(path: &Path) -> Result<String> {
    let cannot = || format!("{} cannot be read", path.display());
    let mode = std::fs::metadata(path).with_context(cannot)?.permissions().mode();
    ensure!(mode & 0o077 == 0, "{} holds a secret and may be read by others: chmod 600", path.display());
    std::fs::read_to_string(path).with_context(cannot)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes of hexadecimal.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("key.pem");
        keygen(&KeygenArguments { out: out.clone(), json: true }).unwrap();
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let key = read_key(&out).unwrap();
        assert_eq!(to_pem(&key.to_bytes()), std::fs::read_to_string(&out).unwrap());
        assert!(read_private(&out).is_ok());
        std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read_private(&out).unwrap_err().to_string().contains("may be read by others"));
        assert!(keygen(&KeygenArguments { out, json: true }).is_err(), "a key is never overwritten");
    }

    #[test]
    fn hexadecimal_is_exact() {
        assert_eq!(unhex::<2>("00ff"), Some([0, 255]));
        assert_eq!(unhex::<2>("00f"), None);
        assert_eq!(unhex::<2>("00fg"), None);
        assert_eq!(unhex::<1>("é"), None);
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
