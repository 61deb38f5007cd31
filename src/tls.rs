//! TLS towards others: whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Which authorities may have signed the certificate of the other side.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Those that browsers believe. They are in this program: a small container has none of its own.
    Public,
    /// Those in a PEM file, and no other.
    Only(&'a Path),
    /// The public ones, and those in a PEM file.
    PublicAnd(&'a Path),
}

/// Why nobody can be spoken to over TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    #[error("{file}: {cause}")]
    Authority { file: String, cause: pem::Error },
    #[error("{file}: {cause}")]
    Certificate { file: String, cause: rustls::Error },
    #[error("{0}")]
    Tls(#[source] rustls::Error),
}

impl<'a> Trust<'a> {
    /// The authorities of a file alone, or without one the public ones.
    pub fn in_file(file: Option<&'a Path>) -> Self {
        file.map_or(Trust::Public, Trust::Only)
    }
}

/// How to speak to those who are trusted so. The provider is named here, not looked up: it does not
/// matter what the process has installed.
///
/// # Errors
///
/// The file of authorities cannot be read, or is none.
pub fn client(trust: Trust<'_>) -> Result<ClientConfig, BadTls> {
    let mut roots = RootCertStore::empty();
    if let Trust::Public | Trust::PublicAnd(_) = trust {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Trust::Only(file) | Trust::PublicAnd(file) = trust {
        add_authorities(&mut roots, file)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(BadTls::Tls)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add_authorities(roots: &mut RootCertStore, file: &Path) -> Result<(), BadTls> {
    let named = || file.display().to_string();
    let authority = |cause| BadTls::Authority {
        file: named(),
        cause,
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(file).map_err(authority)? {
        let certificate = certificate.map_err(authority)?;
        let added = roots.add(certificate);
        added.map_err(|cause| BadTls::Certificate {
            file: named(),
            cause,
        })?;
    }
    // Whoever names a file has somebody in mind.
    match roots.len() > before {
        true => Ok(()),
        false => Err(authority(pem::Error::NoItemsFound)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&file, text).unwrap();
            for trust in [Trust::Only(&file), Trust::PublicAnd(&file)] {
                let refused = client(trust).unwrap_err().to_string();
                assert!(refused.contains("ca.pem: "), "{refused}");
            }
        }
        assert!(client(Trust::Only(&directory.path().join("no.pem"))).is_err());
        assert!(client(Trust::in_file(None)).is_ok());
    }
}
