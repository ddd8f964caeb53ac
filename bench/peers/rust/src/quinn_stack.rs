//! quinn.

use crate::{
    IDLE_TIMEOUT, Refusals, Result, Settings, quinn_h3,
    system::Socket,
    tls,
    workloads::{Client, Connection, Server, Stream},
};
use bytes::Bytes;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use std::{net::SocketAddr, sync::Arc};

pub struct QuinnServer(Endpoint);

pub struct QuinnClient {
    endpoint: Endpoint,
    server: SocketAddr,
    group: tls::Group,
}

pub struct QuinnStream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
}

fn transport(s: &Settings) -> Result<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    if s.datagram > 0 {
        config.initial_mtu(s.datagram).mtu_discovery_config(None);
    }
    config.max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?));
    if s.alpn == quinn_h3::ALPN {
        config.max_concurrent_bidi_streams(quinn_h3::MAX_REQUESTS.into());
    }
    Ok(Arc::new(config))
}

pub fn server(socket: Socket, s: &Settings) -> Result<QuinnServer> {
    let crypto = QuicServerConfig::try_from(tls::rustls_server(s)?)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport(s)?);
    let endpoint = Endpoint::new(
        EndpointConfig::default(),
        Some(config),
        socket.udp,
        Arc::new(TokioRuntime),
    )?;
    let counted = endpoint.clone();
    crate::count_refusals(move || Refusals {
        refused: counted.stats().refused_handshakes as i64,
        validated: 0, // the driver accepts all
    });
    Ok(QuinnServer(endpoint))
}

pub fn client(socket: Socket, server: SocketAddr, s: &Settings) -> Result<QuinnClient> {
    let crypto = QuicClientConfig::try_from(tls::rustls_client(s)?)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(s)?);
    let mut endpoint = Endpoint::new(
        EndpointConfig::default(),
        None,
        socket.udp,
        Arc::new(TokioRuntime),
    )?;
    endpoint.set_default_client_config(config);
    Ok(QuinnClient {
        endpoint,
        server,
        group: s.group,
    })
}

impl QuinnServer {
    /// Waits for a client whose handshake has begun.
    pub async fn accept_connecting(&self) -> Option<quinn::Connecting> {
        loop {
            // An error is about this client alone.
            if let Ok(connecting) = self.0.accept().await?.accept() {
                return Some(connecting);
            }
        }
    }
}

impl QuinnClient {
    /// Connects to the server of the driver's arguments.
    pub async fn dial(&self) -> Result<quinn::Connection> {
        self.connect_to(self.server, tls::SERVER_NAME).await
    }

    pub async fn connect_to(&self, server: SocketAddr, name: &str) -> Result<quinn::Connection> {
        Ok(self.endpoint.connect(server, name)?.await?)
    }

    /// Returns the names of the group and the cipher suite. quinn does not report them, but nothing else was offered.
    pub fn only(&self) -> (String, String) {
        tls::only(self.group)
    }

    /// Waits until all connections have closed.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

impl Server for QuinnServer {
    type Connection = PendingConnection;

    async fn accept(&mut self) -> Option<PendingConnection> {
        let connecting = self.accept_connecting().await?;
        Some(PendingConnection::Connecting(Some(connecting)))
    }
}

impl Client for QuinnClient {
    type Connection = PendingConnection;

    async fn connect(&self) -> Result<PendingConnection> {
        let connection = self.dial().await?;
        Ok(PendingConnection::Connected(connection))
    }

    fn negotiated(&self, _: &PendingConnection) -> Result<(String, String)> {
        Ok(self.only())
    }
}

/// A connection. The server completes the handshake when it waits for the first stream, so that it does not keep
/// others waiting.
pub enum PendingConnection {
    Connecting(Option<quinn::Connecting>),
    Connected(quinn::Connection),
}

impl PendingConnection {
    fn connected(&self) -> Result<&quinn::Connection> {
        match self {
            PendingConnection::Connected(connection) => Ok(connection),
            PendingConnection::Connecting(_) => Err("the handshake is not complete".into()),
        }
    }
}

impl Connection for PendingConnection {
    type Stream = QuinnStream;

    async fn accept_stream(&mut self) -> Option<QuinnStream> {
        if let PendingConnection::Connecting(connecting) = self {
            *self = PendingConnection::Connected(connecting.take()?.await.ok()?);
        }
        let (send, receive) = self.connected().ok()?.accept_bi().await.ok()?;
        Some(QuinnStream { send, receive })
    }

    async fn open_stream(&self) -> Result<QuinnStream> {
        let (send, receive) = self.connected()?.open_bi().await?;
        Ok(QuinnStream { send, receive })
    }

    fn abort(self) {
        if let PendingConnection::Connected(connection) = self {
            connection.close(0u32.into(), b"");
        }
    }
}

impl Stream for QuinnStream {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(self
            .receive
            .read_chunk(usize::MAX, true)
            .await?
            .map(|chunk| chunk.bytes))
    }

    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.send.write_chunk(data).await?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.send.finish()?)
    }
}
