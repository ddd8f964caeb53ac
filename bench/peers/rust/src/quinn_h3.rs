//! HTTP/3 over quinn, by the crate h3.

use crate::{
    Result,
    quinn_stack::{QuinnClient, QuinnServer},
    tls,
    workloads::{self, Done, ZEROS, percentile},
};
use bytes::{Buf, Bytes};
use h3::{client::SendRequest, server::RequestResolver};
use h3_quinn::OpenStreams;
use http::{Request, Response, StatusCode, Uri};
use std::{
    future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

pub const ALPN: &str = "h3";

/// The number of requests at a time that a server permits, which is the default of pqquic's http3.Server.
pub const MAX_REQUESTS: u32 = 256;

const SMALL_PATH: &str = "/small"; // with a response of SMALL_SIZE bytes
const BYTES_PATH: &str = "/bytes/"; // with as many bytes as the number that follows
const SMALL_SIZE: u64 = 1000;

/// Answers the requests on all connections.
pub async fn serve(server: QuinnServer) {
    while let Some(connecting) = server.accept_connecting().await {
        tokio::spawn(async move {
            // The client reports what fails.
            let Ok(connection) = connecting.await else {
                return;
            };
            let connection = h3_quinn::Connection::new(connection);
            let Ok(mut http) = h3::server::Connection::new(connection).await else {
                return;
            };
            while let Ok(Some(resolver)) = http.accept().await {
                tokio::spawn(async move {
                    let _ = answer(resolver).await;
                });
            }
        });
    }
}

async fn answer(resolver: RequestResolver<h3_quinn::Connection, Bytes>) -> Result<()> {
    let (request, mut stream) = resolver.resolve_request().await?;
    // A stream that is dropped before the end of the request asks the client to stop sending.
    while stream.recv_data().await?.is_some() {}
    let path = request.uri().path();
    let (status, mut size) = match path.strip_prefix(BYTES_PATH).map(str::parse::<u64>) {
        Some(Ok(size)) => (StatusCode::OK, size),
        _ if path == SMALL_PATH => (StatusCode::OK, SMALL_SIZE),
        _ => (StatusCode::NOT_FOUND, 0),
    };
    // What net/http sends.
    let response = Response::builder()
        .status(status)
        .header("content-type", "text/plain")
        .header("content-length", size)
        .header("date", "Sun, 29 Nov 2026 12:00:00 GMT")
        .body(())?;
    stream.send_response(response).await?;
    while size > 0 {
        let n = size.min(ZEROS.len() as u64);
        let part = Bytes::from_static(&ZEROS[..n as usize]);
        stream.send_data(part).await?;
        size -= n;
    }
    Ok(stream.finish().await?)
}

/// A connection to the server.
#[derive(Clone)]
struct Connection {
    quic: quinn::Connection,
    send: SendRequest<OpenStreams, Bytes>,
}

/// Carries out the workloads of HTTP.
pub struct Client {
    quinn: QuinnClient,
    open: Mutex<Vec<Connection>>, // of get
    held: Mutex<Vec<Connection>>, // of hold
}

/// What to request, and the size of the response.
#[derive(Clone)]
struct Get {
    uri: Uri,
    size: u64,
}

impl Get {
    fn small() -> Result<Get> {
        Get::new(SMALL_PATH, SMALL_SIZE)
    }

    fn bytes(size: u64) -> Result<Get> {
        Get::new(&format!("{BYTES_PATH}{size}"), size)
    }

    fn new(path: &str, size: u64) -> Result<Get> {
        let uri = format!("https://{}{path}", tls::SERVER_NAME).parse()?;
        Ok(Get { uri, size })
    }

    /// Sends the request and reads the response. It calls progress with the number of bytes until now.
    async fn run(&self, c: &Connection, mut progress: impl FnMut(u64)) -> Result<()> {
        let mut send = c.send.clone();
        let request = Request::get(self.uri.clone()).body(())?;
        let mut stream = send.send_request(request).await?;
        stream.finish().await?;
        let response = stream.recv_response().await?;
        if response.status() != StatusCode::OK {
            return Err(format!("{}: the status is {}", self.uri, response.status()).into());
        }
        let mut got = 0;
        while let Some(part) = stream.recv_data().await? {
            got += part.remaining() as u64;
            progress(got);
        }
        if got != self.size {
            let (uri, size) = (&self.uri, self.size);
            return Err(format!("{uri}: the response has {got} of {size} bytes").into());
        }
        Ok(())
    }

    async fn all(&self, c: &Connection) -> Result<()> {
        self.run(c, |_| {}).await
    }
}

impl Connection {
    fn abort(self) {
        self.quic.close(0u32.into(), b"");
    }
}

impl Client {
    pub fn new(quinn: QuinnClient) -> Client {
        Client {
            quinn,
            open: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Makes a connection and a request on it, so that both sides know each other's settings.
    async fn dial(&self) -> Result<Connection> {
        let quic = self.quinn.dial().await?;
        let (mut driver, send) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await?;
        tokio::spawn(async move { future::poll_fn(|cx| driver.poll_close(cx)).await });
        let connection = Connection { quic, send };
        Get::small()?.all(&connection).await?;
        Ok(connection)
    }

    /// Makes one connection and returns what it negotiated.
    pub async fn check(&self) -> Result<(String, String)> {
        self.dial().await?.abort();
        Ok(self.quinn.only())
    }

    /// Carries out a workload.
    pub async fn handle(self: Arc<Client>, line: &str) -> Result<Done> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<u64> = words
            .iter()
            .skip(1)
            .map(|word| word.parse())
            .collect::<std::result::Result<_, _>>()?;
        match (words.first().copied().unwrap_or_default(), &numbers[..]) {
            ("connect", &[n, concurrent]) => self.connections(n, concurrent, false).await,
            ("hold", &[n, concurrent]) => self.connections(n, concurrent, true).await,
            ("get", &[n, connections, concurrent]) => self.gets(n, connections, concurrent).await,
            ("download", &[streams, size]) => self.download(streams, size).await,
            ("alone", &[n]) => self.alone(n).await,
            ("beside", &[n]) => self.beside(n).await,
            _ => Err(format!("unknown request {line:?}").into()),
        }
    }

    /// Makes n connections with one request each, some of them at a time, and keeps them open or closes them.
    async fn connections(self: Arc<Client>, n: u64, concurrent: u64, keep: bool) -> Result<Done> {
        workloads::repeat(n as usize, concurrent as usize, move || {
            let client = self.clone();
            async move {
                let connection = client.dial().await?;
                if keep {
                    client.held.lock().unwrap().push(connection);
                } else {
                    connection.abort();
                }
                Ok(())
            }
        })
        .await
    }

    /// Sends n requests, on each of some connections a number of them at a time. The connections stay open for the next
    /// call.
    async fn gets(&self, n: u64, connections: u64, concurrent: u64) -> Result<Done> {
        let mut open = std::mem::take(&mut *self.open.lock().unwrap());
        while (open.len() as u64) < connections {
            open.push(self.dial().await?);
        }
        let get = Get::small()?;
        let began = Instant::now();
        let mut tasks = Vec::new();
        for (i, connection) in open.iter().take(connections as usize).enumerate() {
            let share = n / connections + u64::from((i as u64) < n % connections);
            let (connection, get) = (connection.clone(), get.clone());
            tasks.push(tokio::spawn(workloads::repeat(
                share as usize,
                concurrent as usize,
                move || {
                    let (connection, get) = (connection.clone(), get.clone());
                    async move { get.all(&connection).await }
                },
            )));
        }
        for task in tasks {
            task.await??;
        }
        let elapsed = began.elapsed();
        *self.open.lock().unwrap() = open;
        Ok(Done {
            amount: n,
            elapsed,
            ..Done::default()
        })
    }

    /// Gets size bytes with each of several requests on a new connection.
    async fn download(&self, streams: u64, size: u64) -> Result<Done> {
        let connection = self.dial().await?;
        let get = Get::bytes(size)?;
        let shared = connection.clone();
        let mut done = workloads::repeat(streams as usize, streams as usize, move || {
            let (connection, get) = (shared.clone(), get.clone());
            async move { get.all(&connection).await }
        })
        .await?;
        connection.abort();
        done.amount *= size;
        Ok(done)
    }

    /// Sends n requests on a new connection, each after the response to the one before.
    async fn alone(&self, n: u64) -> Result<Done> {
        let connection = self.dial().await?;
        let done = timed(&connection, n).await?;
        connection.abort();
        Ok(done)
    }

    /// Does the same beside a download that does not end before them.
    async fn beside(&self, n: u64) -> Result<Done> {
        const ENDLESS: u64 = 1 << 40;
        let connection = self.dial().await?;
        let download = connection.clone();
        let get = Get::bytes(ENDLESS)?;
        let (begun, begins) = oneshot::channel();
        let mut begun = Some(begun);
        let task = tokio::spawn(async move {
            get.run(&download, |got| {
                if got >= 1 << 20 {
                    // The receiver waits for the first message only.
                    let _ = begun.take().map(|begun| begun.send(()));
                }
            })
            .await
        });
        begins.await.map_err(|_| "the download does not begin")?;
        let done = timed(&connection, n).await?;
        if task.is_finished() {
            return Err("the download ended before the requests".into());
        }
        connection.abort();
        Ok(done)
    }
}

/// Sends n requests one after another and returns percentiles of the times that they take.
async fn timed(connection: &Connection, n: u64) -> Result<Done> {
    let get = Get::small()?;
    let mut times: Vec<Duration> = Vec::with_capacity(n as usize);
    let began = Instant::now();
    for _ in 0..n {
        let start = Instant::now();
        get.all(connection).await?;
        times.push(start.elapsed());
    }
    let elapsed = began.elapsed();
    times.sort();
    Ok(Done {
        amount: n,
        elapsed,
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        ..Done::default()
    })
}
