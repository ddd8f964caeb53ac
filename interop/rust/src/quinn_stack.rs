//! quinn.

use crate::{
    Case, Download, Result, connections,
    files::{self, Request},
    quinn_h3, tls,
};
use quinn::{
    ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// The application error code of a connection that ends as planned.
const DONE: VarInt = VarInt::from_u32(0);

/// The largest file of a test case.
const MAX_FILE: usize = 32 << 20;

fn transport(case: &Case) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    if case.is("zerortt") {
        // The runner counts the bytes of 1-RTT packets, and so those of probes.
        config.mtu_discovery_config(None);
    }
    Arc::new(config)
}

pub async fn serve(case: &Case) -> Result<()> {
    let crypto =
        QuicServerConfig::with_initial(Arc::new(tls::server(case)?), tls::initial_suite()?)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport(case));
    let endpoint = Endpoint::server(config, (Ipv6Addr::UNSPECIFIED, 443).into())?;
    let is_http3 = case.is("http3");
    while let Some(incoming) = endpoint.accept().await {
        if case.is("retry") && !incoming.remote_address_validated() {
            incoming.retry()?;
            continue;
        }
        tokio::spawn(async move {
            if let Err(err) = serve_connection(incoming, is_http3).await {
                eprintln!("interop-endpoint: a connection failed: {err}");
            }
        });
    }
    Ok(())
}

async fn serve_connection(incoming: quinn::Incoming, is_http3: bool) -> Result<()> {
    if is_http3 {
        // A stream that quinn opens before it knows the client's limits waits forever.
        return quinn_h3::serve(incoming.accept()?.await?).await;
    }
    // A connection that is not complete yet may have early data.
    let connection = match incoming.accept()?.into_0rtt() {
        Ok((connection, _)) => connection,
        Err(connecting) => connecting.await?,
    };
    // The end of the connection is not an error.
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        tokio::spawn(async move {
            let answered = async {
                let request = receive.read_to_end(files::MAX_REQUEST).await?;
                send.write_all(&files::answer(&request).await?).await?;
                send.finish()?;
                Result::Ok(())
            };
            if let Err(err) = answered.await {
                eprintln!("interop-endpoint: a request failed: {err}");
            }
        });
    }
    Ok(())
}

pub async fn download(case: &Case, server: SocketAddr, requests: &[Request]) -> Result<()> {
    let crypto =
        QuicClientConfig::with_initial(Arc::new(tls::client(case)?), tls::initial_suite()?)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(case));
    let local: IpAddr = match server {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut endpoint = Endpoint::client((local, 0).into())?;
    endpoint.set_default_client_config(config);
    for (i, part) in connections(case.download, requests).into_iter().enumerate() {
        let connecting = endpoint.connect(server, &requests[0].host)?;
        let connection = if case.download == Download::Early && i > 0 {
            let (connection, accepted) = connecting
                .into_0rtt()
                .map_err(|_| "there is no session for early data")?;
            get_all(&connection, part, case).await?;
            if !accepted.await {
                return Err("the server rejected the early data".into());
            }
            connection
        } else {
            let connection = connecting.await?;
            get_all(&connection, part, case).await?;
            connection
        };
        if matches!(case.download, Download::Resumed | Download::Early) && i == 0 {
            wait_for_ticket().await;
        }
        connection.close(DONE, b"");
    }
    endpoint.wait_idle().await;
    Ok(())
}

/// Waits until a session ticket has probably arrived. rustls does not report it.
pub async fn wait_for_ticket() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Downloads files at the same time.
async fn get_all(connection: &Connection, requests: &[Request], case: &Case) -> Result<()> {
    if case.is("http3") {
        return quinn_h3::get_all(connection.clone(), requests).await;
    }
    let mut tasks = JoinSet::new();
    for request in requests {
        let (connection, request) = (connection.clone(), request.clone());
        tasks.spawn(async move {
            let (mut send, mut receive) = connection.open_bi().await?;
            send.write_all(&request.line()).await?;
            send.finish()?;
            request.save(&receive.read_to_end(MAX_FILE).await?).await
        });
    }
    if case.is("keyupdate") {
        connection.force_key_update();
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}
