//! The stacks as the scripts use them.

use crate::{
    Result, Settings,
    quinn_stack::{self, QuinnClient, QuinnServer},
    s2n_quic_stack::{self, S2nClient, S2nServer},
    system::Socket,
    tls,
    workloads::Client as _,
};
use bytes::Bytes;
use std::{io::Write, net::SocketAddr};

/// The peer wants no more of a stream or sends no more on it, without an error.
#[derive(Debug)]
pub struct PeerDone;

impl std::fmt::Display for PeerDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the peer has ended the stream")
    }
}

impl std::error::Error for PeerDone {}

pub enum Client {
    S2n(S2nClient),
    Quinn(QuinnClient),
}

pub enum Server {
    S2n(S2nServer),
    Quinn(QuinnServer),
}

pub enum Connection {
    S2n(s2n_quic::Connection),
    Quinn(quinn::Connection),
}

/// Opens streams on a connection.
#[derive(Clone)]
pub enum Opener {
    S2n(s2n_quic::connection::Handle),
    Quinn(quinn::Connection),
}

/// A connection whose handshake may not be complete.
pub enum Accepted {
    S2n(s2n_quic::Connection),
    Quinn(quinn::Connecting),
}

pub enum Sender {
    S2n(s2n_quic::stream::SendStream),
    Quinn(quinn::SendStream),
}

pub enum Receiver {
    S2n(s2n_quic::stream::ReceiveStream),
    Quinn(quinn::RecvStream),
}

/// Returns what the statistics name as the TLS implementation.
pub fn provider(stack: &str) -> &'static str {
    match stack {
        "s2n-quic" => "s2n-tls",
        _ => "rustls",
    }
}

impl Client {
    pub fn new(stack: &str, socket: Socket, server: SocketAddr, s: &Settings) -> Result<Client> {
        Ok(match stack {
            "s2n-quic" => Client::S2n(s2n_quic_stack::client(
                tls::s2n_client(s)?,
                socket,
                server,
                s,
            )?),
            "s2n-quic-rustls" => {
                let tls = tls::s2n_quic_rustls_client(s)?;
                Client::S2n(s2n_quic_stack::client(tls, socket, server, s)?)
            }
            _ => Client::Quinn(quinn_stack::client(socket, server, s)?),
        })
    }

    pub async fn dial(&self, server: SocketAddr, name: &str) -> Result<Connection> {
        Ok(match self {
            Client::S2n(client) => Connection::S2n(client.connect_to(server, name).await?),
            Client::Quinn(client) => Connection::Quinn(client.connect_to(server, name).await?),
        })
    }

    /// Returns the names of the group and the cipher suite of a connection.
    pub fn negotiated(&self, connection: &Connection) -> Result<(String, String)> {
        match (self, connection) {
            (Client::S2n(client), Connection::S2n(connection)) => client.negotiated(connection),
            (Client::Quinn(client), _) => Ok(client.only()),
            _ => unreachable!("a client's connections are of its stack"),
        }
    }

    /// Waits until all connections have closed.
    pub async fn wait_idle(&self) {
        match self {
            Client::S2n(client) => client.wait_idle().await,
            Client::Quinn(client) => client.wait_idle().await,
        }
    }
}

impl Server {
    pub fn new(stack: &str, socket: Socket, s: &Settings) -> Result<Server> {
        Ok(match stack {
            "s2n-quic" => Server::S2n(s2n_quic_stack::server(tls::s2n_server(s)?, socket, s)?),
            "s2n-quic-rustls" => Server::S2n(s2n_quic_stack::server(
                tls::s2n_quic_rustls_server(s)?,
                socket,
                s,
            )?),
            _ => Server::Quinn(quinn_stack::server(socket, s)?),
        })
    }

    pub async fn accept(&mut self) -> Option<Accepted> {
        match self {
            Server::S2n(server) => server.0.accept().await.map(Accepted::S2n),
            Server::Quinn(server) => server.accept_connecting().await.map(Accepted::Quinn),
        }
    }
}

impl Accepted {
    /// Completes the handshake and returns the connection with the name that the client asked for.
    pub async fn complete(self) -> Result<(Connection, String)> {
        match self {
            Accepted::S2n(connection) => {
                let name = connection
                    .server_name()?
                    .ok_or("the client sent no server name")?;
                Ok((Connection::S2n(connection), name.to_string()))
            }
            Accepted::Quinn(connecting) => {
                let connection = connecting.await?;
                let data = connection.handshake_data();
                let data =
                    data.and_then(|d| d.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
                let name = data
                    .and_then(|d| d.server_name)
                    .ok_or("the client sent no server name")?;
                Ok((Connection::Quinn(connection), name))
            }
        }
    }
}

impl Connection {
    pub fn opener(&self) -> Opener {
        match self {
            Connection::S2n(connection) => Opener::S2n(connection.handle()),
            Connection::Quinn(connection) => Opener::Quinn(connection.clone()),
        }
    }

    /// Waits for a stream that the peer opens. It returns None when the peer has closed the connection.
    pub async fn accept(&mut self) -> Result<Option<(Sender, Receiver)>> {
        match self {
            Connection::S2n(connection) => {
                let stream = connection.accept_bidirectional_stream().await?;
                Ok(stream.map(|stream| {
                    let (receiver, sender) = stream.split();
                    (Sender::S2n(sender), Receiver::S2n(receiver))
                }))
            }
            Connection::Quinn(connection) => match connection.accept_bi().await {
                Ok((sender, receiver)) => {
                    Ok(Some((Sender::Quinn(sender), Receiver::Quinn(receiver))))
                }
                Err(quinn::ConnectionError::ApplicationClosed(close))
                    if close.error_code == 0u32.into() =>
                {
                    Ok(None)
                }
                Err(err) => Err(err.into()),
            },
        }
    }

    /// Closes the connection with an error code.
    pub fn abort(&self) {
        match self {
            Connection::S2n(connection) => connection.close(1u32.into()),
            Connection::Quinn(connection) => connection.close(1u32.into(), b"the script failed"),
        }
    }
}

impl Opener {
    pub async fn open(&mut self) -> Result<(Sender, Receiver)> {
        match self {
            Opener::S2n(handle) => {
                let (receiver, sender) = handle.open_bidirectional_stream().await?.split();
                Ok((Sender::S2n(sender), Receiver::S2n(receiver)))
            }
            Opener::Quinn(connection) => {
                let (sender, receiver) = connection.open_bi().await?;
                Ok((Sender::Quinn(sender), Receiver::Quinn(receiver)))
            }
        }
    }
}

/// Turns the end of a stream with code 0 into PeerDone.
fn s2n_error(err: s2n_quic::stream::Error) -> crate::Error {
    match err {
        s2n_quic::stream::Error::StreamReset { error, .. } if error == 0u32.into() => {
            PeerDone.into()
        }
        _ => err.into(),
    }
}

impl Sender {
    pub async fn send(&mut self, data: Bytes) -> Result<()> {
        match self {
            Sender::S2n(stream) => stream.send(data).await.map_err(s2n_error),
            Sender::Quinn(stream) => match stream.write_chunk(data).await {
                Err(quinn::WriteError::Stopped(code)) if code == 0u32.into() => {
                    Err(PeerDone.into())
                }
                result => Ok(result?),
            },
        }
    }

    /// Ends the stream. It is not an error if the peer wants no more of it.
    pub fn finish(&mut self) {
        match self {
            Sender::S2n(stream) => drop(stream.finish()),
            Sender::Quinn(stream) => drop(stream.finish()),
        }
    }

    /// Waits until the peer has acknowledged a finished stream or wants no more of it. s2n-quic does that itself when
    /// the connection is dropped.
    pub async fn delivered(&mut self) {
        if let Sender::Quinn(stream) = self {
            drop(stream.stopped().await);
        }
    }
}

impl Receiver {
    /// Returns the next bytes, or None at the end.
    pub async fn receive(&mut self) -> Result<Option<Bytes>> {
        match self {
            Receiver::S2n(stream) => stream.receive().await.map_err(s2n_error),
            Receiver::Quinn(stream) => match stream.read_chunk(usize::MAX, true).await {
                Err(quinn::ReadError::Reset(code)) if code == 0u32.into() => Err(PeerDone.into()),
                result => Ok(result?.map(|chunk| chunk.bytes)),
            },
        }
    }

    /// Asks the peer to send no more.
    pub fn stop(&mut self) {
        match self {
            Receiver::S2n(stream) => drop(stream.stop_sending(0u32.into())),
            Receiver::Quinn(stream) => drop(stream.stop(0u32.into())),
        }
    }
}

/// Prints the line that tells netbench that a server is listening.
pub fn print_ready(addr: SocketAddr) {
    // netbench reads the line; without it nothing can be done about an error.
    let _ = writeln!(std::io::stderr(), "netbench: ready on {addr}");
}
