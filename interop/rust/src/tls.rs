//! TLS configurations of rustls, which both stacks use.

use crate::{Case, Result};
use rustls::{
    ClientConfig, KeyLogFile, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::sync::Arc;

/// Returns the application protocols of a case.
fn protocols(case: &Case) -> Vec<Vec<u8>> {
    let name: &[u8] = if case.is("http3") {
        b"h3"
    } else {
        b"hq-interop"
    };
    vec![name.into()]
}

/// Returns the algorithms of a case.
fn provider(case: &Case) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if case.is("chacha20") {
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    }
    Arc::new(provider)
}

/// Returns the suite of Initial packets, which quinn takes from the list of a case unless it is named.
pub fn initial_suite() -> Result<rustls::quic::Suite> {
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .ok_or_else(|| "rustls has no suite for Initial packets".into())
}

pub fn server(case: &Case) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter("/certs/cert.pem")?
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file("/certs/priv.key")?;
    let mut config = ServerConfig::builder_with_provider(provider(case))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = protocols(case);
    config.key_log = Arc::new(KeyLogFile::new());
    if case.is("zerortt") {
        config.max_early_data_size = u32::MAX;
    }
    Ok(config)
}

pub fn client(case: &Case) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter("/certs/ca.pem")? {
        roots.add(cert?)?;
    }
    let mut config = ClientConfig::builder_with_provider(provider(case))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols(case);
    config.key_log = Arc::new(KeyLogFile::new());
    config.enable_early_data = case.is("zerortt");
    Ok(config)
}
