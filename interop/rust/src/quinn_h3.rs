//! HTTP/3 over quinn, by the crate h3.

use crate::{
    Result,
    files::{self, Request},
};
use bytes::{Buf, Bytes, BytesMut};
use h3::server::RequestResolver;
use quinn::Connection;
use std::future;
use tokio::task::JoinSet;

/// Answers the requests of a connection with files.
pub async fn serve(connection: Connection) -> Result<()> {
    let mut http = h3::server::Connection::new(h3_quinn::Connection::new(connection)).await?;
    // The end of the connection is not an error.
    while let Ok(Some(resolver)) = http.accept().await {
        tokio::spawn(async move {
            if let Err(err) = answer(resolver).await {
                eprintln!("interop-endpoint: a request failed: {err}");
            }
        });
    }
    Ok(())
}

async fn answer(resolver: RequestResolver<h3_quinn::Connection, Bytes>) -> Result<()> {
    let (request, mut stream) = resolver.resolve_request().await?;
    // A stream that is dropped before the end of the request asks the client to stop sending.
    while stream.recv_data().await?.is_some() {}
    let line = format!("GET {}", request.uri().path());
    let (status, content) = match files::answer(line.as_bytes()).await {
        Ok(content) => (200, content),
        Err(_) => (404, Vec::new()),
    };
    let response = http::Response::builder().status(status).body(())?;
    stream.send_response(response).await?;
    stream.send_data(content.into()).await?;
    Ok(stream.finish().await?)
}

/// Downloads files at the same time.
pub async fn get_all(connection: Connection, requests: &[Request]) -> Result<()> {
    let (mut driver, send) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    let drive = tokio::spawn(async move { future::poll_fn(|cx| driver.poll_close(cx)).await });
    let mut tasks = JoinSet::new();
    for request in requests {
        let (mut send, request) = (send.clone(), request.clone());
        tasks.spawn(async move {
            let uri = format!("https://{}:{}/{}", request.host, request.port, request.path);
            let mut stream = send.send_request(http::Request::get(uri).body(())?).await?;
            stream.finish().await?;
            let response = stream.recv_response().await?;
            if response.status() != http::StatusCode::OK {
                return Err(
                    format!("{}: the status is {}", request.path, response.status()).into(),
                );
            }
            let mut content = BytesMut::new();
            while let Some(mut part) = stream.recv_data().await? {
                content.extend_from_slice(&part.copy_to_bytes(part.remaining()));
            }
            request.save(&content).await
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    drive.abort();
    Result::Ok(())
}
