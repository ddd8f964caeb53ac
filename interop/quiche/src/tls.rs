//! Configurations.

use crate::Result;
use boring::{
    ssl::{SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslVerifyMode},
    x509::verify::X509VerifyFlags,
};
use std::{path::Path, time::Duration};

/// What a configuration is made of.
pub struct Settings<'a> {
    /// The certificates that a server sends or a client trusts, in a PEM file.
    pub certificates: &'a Path,
    /// The key of a server, in a PEM file.
    pub key: Option<&'a Path>,
    /// The key exchange groups, as BoringSSL names them.
    pub groups: &'a str,
    pub tickets: bool,
    /// The largest UDP payload that is sent.
    pub datagram: usize,
    pub idle_timeout: Duration,
}

/// Returns a configuration for HTTP/3. The windows are those of quiche's own programs.
pub fn config(s: &Settings) -> Result<quiche::Config> {
    let mut tls = SslContextBuilder::new(SslMethod::tls())?;
    tls.set_curves_list(s.groups)?;
    if !s.tickets {
        tls.set_options(SslOptions::NO_TICKET);
    }
    match s.key {
        Some(key) => {
            tls.set_certificate_chain_file(s.certificates)?;
            tls.set_private_key_file(key, SslFiletype::PEM)?;
        }
        None => {
            tls.set_ca_file(s.certificates)?;
            // A certificate of the file need not be an authority: it may be that of the server.
            tls.cert_store_mut()
                .set_flags(X509VerifyFlags::PARTIAL_CHAIN);
            tls.set_verify(SslVerifyMode::PEER);
        }
    }
    let mut c = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls)?;
    c.set_application_protos(quiche::h3::APPLICATION_PROTOCOL)?;
    c.set_max_idle_timeout(s.idle_timeout.as_millis() as u64);
    c.set_max_send_udp_payload_size(s.datagram);
    c.set_initial_max_data(10_000_000);
    c.set_initial_max_stream_data_bidi_local(1_000_000);
    c.set_initial_max_stream_data_bidi_remote(1_000_000);
    c.set_initial_max_stream_data_uni(1_000_000);
    c.set_initial_max_streams_bidi(256); // the default of pqquic's http3.Server
    c.set_initial_max_streams_uni(100);
    c.set_disable_active_migration(true);
    c.enable_pacing(false);
    c.log_keys();
    Ok(c)
}

/// Returns the names of the key exchange group and the cipher suite of a connection.
pub fn negotiated(connection: &mut crate::Connection) -> (String, String) {
    let ssl: &mut boring::ssl::SslRef = connection.as_mut();
    let group = ssl.curve_name().unwrap_or_default().to_string();
    let suite = ssl
        .current_cipher()
        .and_then(|c| c.standard_name())
        .unwrap_or_default();
    (group, suite.to_string())
}
