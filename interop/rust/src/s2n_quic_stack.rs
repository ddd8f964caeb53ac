//! s2n-quic, with rustls.

use crate::{
    Case, Download, Result, connections,
    files::{self, Request},
    quinn_stack::wait_for_ticket,
    tls,
};
use s2n_quic::{
    Client, Connection, Server,
    client::Connect,
    provider::{endpoint_limits, limits::Limits, tls::rustls},
    stream::BidirectionalStream,
};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::task::JoinSet;

fn limits() -> Result<Limits> {
    // Test cases with a loss of 30 % need more time than the default.
    Ok(Limits::new().with_max_handshake_duration(Duration::from_secs(120))?)
}

#[allow(deprecated)] // the builders of s2n-quic have no setting for cipher suites
pub async fn serve(case: &Case) -> Result<()> {
    let mut endpoint = endpoint_limits::Default::builder();
    if case.is("retry") {
        endpoint = endpoint.with_inflight_handshake_limit(0)?; // a Retry for each handshake beyond it
    }
    let tls: rustls::Server = tls::server(case)?.into();
    let mut server = Server::builder()
        .with_tls(tls)?
        .with_io(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 443)))?
        .with_limits(limits()?)?
        .with_endpoint_limits(endpoint.build()?)?
        .start()?;
    while let Some(connection) = server.accept().await {
        tokio::spawn(serve_connection(connection));
    }
    Ok(())
}

async fn serve_connection(mut connection: Connection) {
    // The end of the connection is not an error.
    while let Ok(Some(stream)) = connection.accept_bidirectional_stream().await {
        tokio::spawn(async move {
            if let Err(err) = answer(stream).await {
                eprintln!("interop-endpoint: a request failed: {err}");
            }
        });
    }
}

async fn answer(mut stream: BidirectionalStream) -> Result<()> {
    let request = read(&mut stream, files::MAX_REQUEST).await?;
    stream.send(files::answer(&request).await?.into()).await?;
    stream.close().await?;
    Ok(())
}

/// Reads a stream to its end.
async fn read(stream: &mut BidirectionalStream, most: usize) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(chunk) = stream.receive().await? {
        content.extend_from_slice(&chunk);
        if content.len() > most {
            return Err(format!("a stream has more than {most} bytes").into());
        }
    }
    Ok(content)
}

#[allow(deprecated)]
pub async fn download(case: &Case, server: SocketAddr, requests: &[Request]) -> Result<()> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let tls: rustls::Client = tls::client(case)?.into();
    let client = Client::builder()
        .with_tls(tls)?
        .with_io(local)?
        .with_limits(limits()?)?
        .start()?;
    for (i, part) in connections(case.download, requests).into_iter().enumerate() {
        let connect = Connect::new(server).with_server_name(requests[0].host.as_str());
        let connection = client.connect(connect).await?;
        get_all(&connection, part).await?;
        if case.download == Download::Resumed && i == 0 {
            wait_for_ticket().await;
        }
        connection.close(0u32.into());
    }
    let mut client = client;
    client.wait_idle().await?;
    Ok(())
}

/// Downloads files at the same time.
async fn get_all(connection: &Connection, requests: &[Request]) -> Result<()> {
    const MAX_FILE: usize = 32 << 20;
    let mut tasks = JoinSet::new();
    for request in requests {
        let (mut handle, request) = (connection.handle(), request.clone());
        tasks.spawn(async move {
            let mut stream = handle.open_bidirectional_stream().await?;
            stream.send(request.line().into()).await?;
            stream.finish()?;
            request.save(&read(&mut stream, MAX_FILE).await?).await
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}
