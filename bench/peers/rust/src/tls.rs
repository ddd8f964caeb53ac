//! TLS configurations: one group and TLS_AES_128_GCM_SHA256, no tickets.

use crate::{Result, Settings};
use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use s2n_quic::provider::tls as s2n_quic_tls;
use s2n_tls::security::Policy;
use std::sync::Arc;

pub const ALPN: &str = "bench";
pub const SERVER_NAME: &str = "server.test";

/// A key exchange group that the runner can ask for.
#[derive(Clone, Copy)]
pub enum Group {
    X25519MLKEM768,
    X25519,
}

impl Group {
    pub fn from_name(name: &str) -> Result<Group> {
        match name {
            "" | "X25519MLKEM768" => Ok(Group::X25519MLKEM768),
            "X25519" => Ok(Group::X25519),
            _ => Err(format!("there is no group {name:?}").into()),
        }
    }

    /// Returns a policy of s2n-tls that prefers the group and AES-128-GCM. s2n-tls has no policies with these alone, so
    /// that the runner compares what was negotiated. "default_pq" is the policy of the s2n provider of pqquic, and
    /// "20240603" a classical one that prefers X25519 to P-256.
    pub fn policy(self) -> Result<Policy> {
        Ok(Policy::from_version(match self {
            Group::X25519MLKEM768 => "default_pq",
            Group::X25519 => "20240603",
        })?)
    }

    fn rustls(self) -> &'static dyn SupportedKxGroup {
        match self {
            Group::X25519MLKEM768 => aws_lc_rs::kx_group::X25519MLKEM768,
            Group::X25519 => aws_lc_rs::kx_group::X25519,
        }
    }
}

pub fn s2n_server(s: &Settings) -> Result<s2n_quic_tls::s2n_tls::Server> {
    let mut builder = s2n_quic_tls::s2n_tls::Server::builder()
        .with_certificate(s.cert.as_str(), s.key.as_str())?
        .with_application_protocols([s.alpn])?;
    builder
        .config_mut()
        .set_security_policy(&s.group.policy()?)?;
    builder.build().map_err(|err| err.to_string().into())
}

pub fn s2n_client(s: &Settings) -> Result<s2n_quic_tls::s2n_tls::Client> {
    let mut builder = s2n_quic_tls::s2n_tls::Client::builder()
        .with_empty_trust_store()?
        .with_certificate(s.cert.as_str())?
        .with_application_protocols([s.alpn])?;
    builder
        .config_mut()
        .set_security_policy(&s.group.policy()?)?;
    builder.build().map_err(|err| err.to_string().into())
}

#[allow(deprecated)] // the builders of s2n-quic do not let a server send no tickets
pub fn s2n_quic_rustls_server(s: &Settings) -> Result<s2n_quic_tls::rustls::Server> {
    Ok(rustls_server(s)?.into())
}

#[allow(deprecated)]
pub fn s2n_quic_rustls_client(s: &Settings) -> Result<s2n_quic_tls::rustls::Client> {
    Ok(rustls_client(s)?.into())
}

/// Returns a provider of the group and the cipher suite alone, so that a handshake negotiates them or fails.
fn provider(group: Group) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![group.rustls()],
        ..aws_lc_rs::default_provider()
    })
}

/// Returns the names of what provider offers.
pub fn only(group: Group) -> (String, String) {
    let p = provider(group);
    let suite = format!("{:?}", p.cipher_suites[0].suite()).replace("TLS13_", "TLS_");
    (format!("{:?}", p.kx_groups[0].name()), suite)
}

pub fn rustls_server(s: &Settings) -> Result<rustls::ServerConfig> {
    let chain =
        CertificateDer::pem_slice_iter(s.cert.as_bytes()).collect::<std::result::Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(s.key.as_bytes())?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider(s.group))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![s.alpn.into()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub fn rustls_client(s: &Settings) -> Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(s.cert.as_bytes()) {
        roots.add(cert?)?;
    }
    let mut config = rustls::ClientConfig::builder_with_provider(provider(s.group))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![s.alpn.into()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
