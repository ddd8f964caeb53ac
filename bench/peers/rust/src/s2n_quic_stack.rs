//! s2n-quic, with either of its TLS implementations.

use crate::{
    IDLE_TIMEOUT, Refusals, Result, Settings,
    open_loop::{CONNECTION_REFUSED, Refused},
    system::Socket,
    tls::SERVER_NAME,
    workloads::{Client, Connection, Server, Stream},
};
use bytes::Bytes;
use s2n_quic::{
    client::Connect,
    provider::{
        event::{self, events},
        io,
        limits::Limits,
        tls,
    },
    stream::BidirectionalStream,
};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicI64, Ordering},
};

pub struct S2nServer(pub s2n_quic::Server);

pub struct S2nClient {
    client: s2n_quic::Client,
    server: SocketAddr,
}

/// The size of the IP and UDP headers, which s2n-quic counts.
const HEADERS: u16 = 28;

/// The largest MTU with which a connection starts. s2n-quic finds larger ones by probing; transfers of connections
/// that start with 9000 are 60 times slower.
const INITIAL_MTU: u16 = 1500;

fn io(socket: Socket, s: &Settings) -> Result<io::Default> {
    let builder = io::Default::builder().with_rx_socket(socket.udp)?;
    if s.datagram == 0 {
        return Ok(builder.build()?);
    }
    let mtu = s.datagram + HEADERS;
    Ok(builder
        .with_max_mtu(mtu)?
        .with_initial_mtu(mtu.min(INITIAL_MTU))?
        .build()?)
}

fn limits() -> Result<Limits> {
    Ok(Limits::new().with_max_idle_timeout(IDLE_TIMEOUT)?)
}

pub fn server<T: tls::Provider + 'static>(
    tls: T,
    socket: Socket,
    s: &Settings,
) -> Result<S2nServer> {
    let server = s2n_quic::Server::builder()
        .with_tls(tls)
        .map_err(|err| err.to_string())?
        .with_io(io(socket, s)?)?
        .with_limits(limits()?)?
        .with_event(RetryCounter)?
        .start()?;
    crate::count_refusals(|| Refusals {
        refused: 0, // its limits have Retry and Ignore alone
        validated: RETRIES.load(Ordering::Relaxed),
    });
    Ok(S2nServer(server))
}

pub fn client<T: tls::Provider + 'static>(
    tls: T,
    socket: Socket,
    server: SocketAddr,
    s: &Settings,
) -> Result<S2nClient> {
    let client = s2n_quic::Client::builder()
        .with_tls(tls)
        .map_err(|err| err.to_string())?
        .with_io(io(socket, s)?)?
        .with_limits(limits()?)?
        .with_event(Recorder)?
        .start()?;
    Ok(S2nClient { client, server })
}

/// The number of Retry packets that this process has sent.
static RETRIES: AtomicI64 = AtomicI64::new(0);

/// Counts Retry packets.
struct RetryCounter;

impl event::Subscriber for RetryCounter {
    type ConnectionContext = ();

    fn create_connection_context(
        &mut self,
        _: &events::ConnectionMeta,
        _: &events::ConnectionInfo,
    ) {
    }

    fn on_endpoint_packet_sent(
        &mut self,
        _: &events::EndpointMeta,
        event: &events::EndpointPacketSent,
    ) {
        if let events::PacketHeader::Retry { .. } = event.packet_header {
            RETRIES.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Records what each connection negotiates.
struct Recorder;

#[derive(Clone, Default)]
struct Negotiated {
    group: String,
    suite: Option<events::CipherSuite>,
}

impl event::Subscriber for Recorder {
    type ConnectionContext = Negotiated;

    fn create_connection_context(
        &mut self,
        _: &events::ConnectionMeta,
        _: &events::ConnectionInfo,
    ) -> Negotiated {
        Negotiated::default()
    }

    fn on_key_exchange_group(
        &mut self,
        context: &mut Negotiated,
        _: &events::ConnectionMeta,
        event: &events::KeyExchangeGroup,
    ) {
        context.group = event.chosen_group_name.to_string();
    }

    fn on_key_update(
        &mut self,
        context: &mut Negotiated,
        _: &events::ConnectionMeta,
        event: &events::KeyUpdate,
    ) {
        // The keys of Initial packets are for a suite that was not negotiated.
        if let events::KeyType::OneRtt { .. } = event.key_type {
            context.suite = Some(event.cipher_suite.clone());
        }
    }
}

impl S2nClient {
    pub async fn connect_to(&self, server: SocketAddr, name: &str) -> Result<s2n_quic::Connection> {
        let connect = Connect::new(server).with_server_name(name);
        use s2n_quic::connection::Error;
        match self.client.connect(connect).await {
            Err(Error::Transport { code, .. }) if code.as_u64() == CONNECTION_REFUSED => {
                Err(Box::new(Refused))
            }
            result => Ok(result?),
        }
    }

    /// Waits until all connections have closed.
    pub async fn wait_idle(&self) {
        // It fails if the endpoint has ended, and then there are no connections.
        let _ = self.client.clone().wait_idle().await;
    }
}

impl Server for S2nServer {
    type Connection = s2n_quic::Connection;

    async fn accept(&mut self) -> Option<s2n_quic::Connection> {
        self.0.accept().await
    }
}

impl Client for S2nClient {
    type Connection = s2n_quic::Connection;

    async fn connect(&self) -> Result<s2n_quic::Connection> {
        self.connect_to(self.server, SERVER_NAME).await
    }

    fn negotiated(&self, connection: &s2n_quic::Connection) -> Result<(String, String)> {
        let n = connection
            .query_event_context(|n: &Negotiated| n.clone())
            .map_err(|err| format!("{err:?}"))?;
        let suite = n
            .suite
            .map(|suite| suite.as_str().to_string())
            .unwrap_or_default();
        Ok((n.group, suite))
    }
}

impl Connection for s2n_quic::Connection {
    type Stream = BidirectionalStream;

    async fn accept_stream(&mut self) -> Option<BidirectionalStream> {
        self.accept_bidirectional_stream().await.ok()?
    }

    async fn open_stream(&self) -> Result<BidirectionalStream> {
        Ok(self.handle().open_bidirectional_stream().await?)
    }

    fn abort(self) {
        self.close(0u32.into());
    }
}

impl Stream for BidirectionalStream {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(self.receive().await?)
    }

    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.send(data).await?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(BidirectionalStream::finish(self)?)
    }
}
