//! The venue's certificate in files: read at the start, and again when somebody asks for it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lakh_config::TlsConfig;
use lakh_gateway::tls::Tls;

use crate::keys::read_private;

/// The certificate of all listeners with TLS, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct NodeTls {
    pub(crate) tls: Tls,
    certificate_file: PathBuf,
    private_key_file: PathBuf,
}

impl NodeTls {
    /// Reads the files that the configuration names.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self> {
        let TlsConfig { certificate_file, private_key_file } = config.clone();
        let (certificates, private_key) = read_files(&certificate_file, &private_key_file)?;
        let tls = Tls::from_pem(&certificates, &private_key);
        let tls = tls.with_context(|| unusable(&certificate_file, &private_key_file))?;
        Ok(Self { tls, certificate_file, private_key_file })
    }

    /// Reads them again; connections that are open keep what they began with. On an error nothing changes.
    pub(crate) fn read_again(&self) -> Result<()> {
        let (certificates, private_key) = read_files(&self.certificate_file, &self.private_key_file)?;
        let replaced = self.tls.replace(&certificates, &private_key);
        replaced.with_context(|| unusable(&self.certificate_file, &self.private_key_file))
    }
}

fn read_files(certificate_file: &Path, private_key_file: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let certificates = std::fs::read(certificate_file);
    let certificates = certificates.with_context(|| format!("{} cannot be read", certificate_file.display()))?;
    Ok((certificates, read_private(private_key_file)?.into_bytes()))
}

fn unusable(certificate_file: &Path, private_key_file: &Path) -> String {
    format!("{} and {} make no certificate", certificate_file.display(), private_key_file.display())
}
