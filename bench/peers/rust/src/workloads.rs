//! The workloads and the server, for any stack.

use crate::Result;
use bytes::Bytes;
use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A stack's socket, which accepts connections.
pub trait Server: Send + 'static {
    type Connection: Connection;
    fn accept(&mut self) -> impl Future<Output = Option<Self::Connection>> + Send;
}

/// A stack's socket, which makes connections to the server.
pub trait Client: Send + Sync + 'static {
    type Connection: Connection;
    fn connect(&self) -> impl Future<Output = Result<Self::Connection>> + Send;
    /// Returns the names of the key exchange group and the cipher suite of a connection.
    fn negotiated(&self, connection: &Self::Connection) -> Result<(String, String)>;
}

pub trait Connection: Send + Sync + 'static {
    type Stream: Stream;
    fn accept_stream(&mut self) -> impl Future<Output = Option<Self::Stream>> + Send;
    fn open_stream(&self) -> impl Future<Output = Result<Self::Stream>> + Send;
    /// Closes the connection at once.
    fn abort(self);
}

pub trait Stream: Send + 'static {
    /// Returns the next bytes, or None at the end.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<()>> + Send;
    fn finish(&mut self) -> Result<()>;
}

/// A client's answer to a workload.
#[derive(Default)]
pub struct Done {
    pub amount: u64,
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
    pub failed: u64,
    pub late: u64,
    pub refused: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [elapsed, p50, p99] = [self.elapsed, self.p50, self.p99].map(|d| d.as_nanos());
        write!(
            f,
            "done {} {elapsed} {p50} {p99} {} {} {}",
            self.amount, self.failed, self.late, self.refused
        )
    }
}

/// What messages consist of, apart from their first bytes. The stacks send it without a copy of their own.
pub static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

const ANSWER_BYTE: u8 = 0;
const ANSWER_RESPONSE: u8 = 1;
const ANSWER_COUNT: u8 = 2;
const MESSAGE_SIZE: usize = 100;
const HEADER_SIZE: usize = 9;

/// A request of 100 bytes.
static REQUEST: [u8; MESSAGE_SIZE] = {
    let mut message = [0; MESSAGE_SIZE];
    message[0] = ANSWER_RESPONSE;
    message
};

/// Answers all streams of all connections.
pub async fn serve<S: Server>(mut server: S) {
    while let Some(mut connection) = server.accept().await {
        tokio::spawn(async move {
            while let Some(stream) = connection.accept_stream().await {
                tokio::spawn(async move {
                    // The client reports an answer that is missing or too short.
                    let _ = answer(stream).await;
                });
            }
        });
    }
}

/// Reads a message to its end and answers it.
async fn answer<S: Stream>(mut stream: S) -> Result<()> {
    let mut header = [0; HEADER_SIZE];
    let mut total = 0;
    while let Some(data) = stream.read().await? {
        if total < HEADER_SIZE {
            let n = data.len().min(HEADER_SIZE - total);
            header[total..total + n].copy_from_slice(&data[..n]);
        }
        total += data.len();
    }
    let n = match header[0] {
        ANSWER_BYTE if total > 0 => 1,
        ANSWER_RESPONSE => MESSAGE_SIZE as u64,
        ANSWER_COUNT if total >= HEADER_SIZE => u64::from_be_bytes(header[1..].try_into()?),
        _ => return Err(format!("a message of {total} bytes asks for no answer").into()),
    };
    write_zeros(&mut stream, n).await?;
    stream.finish()
}

async fn write_zeros<S: Stream>(stream: &mut S, mut n: u64) -> Result<()> {
    while n > 0 {
        let size = n.min(ZEROS.len() as u64);
        stream
            .write(Bytes::from_static(&ZEROS[..size as usize]))
            .await?;
        n -= size;
    }
    Ok(())
}

/// Sends head and then some zeros on a new stream, and reads an answer of want bytes.
async fn exchange<C: Connection>(connection: &C, head: Bytes, zeros: u64, want: u64) -> Result<()> {
    let mut stream = connection.open_stream().await?;
    stream.write(head).await?;
    write_zeros(&mut stream, zeros).await?;
    stream.finish()?;
    let mut got = 0;
    while let Some(data) = stream.read().await? {
        got += data.len() as u64;
    }
    if got != want {
        return Err(format!("the answer has {got} of {want} bytes").into());
    }
    Ok(())
}

pub async fn exchange_byte<C: Connection>(connection: &C) -> Result<()> {
    exchange(connection, Bytes::from_static(&[ANSWER_BYTE]), 0, 1).await
}

pub async fn exchange_request<C: Connection>(connection: &C) -> Result<()> {
    let request = Bytes::from_static(&REQUEST);
    exchange(connection, request, 0, MESSAGE_SIZE as u64).await
}

/// Makes one connection and returns what it negotiated.
pub async fn check<C: Client>(client: &C) -> Result<(String, String)> {
    let connection = client.connect().await?;
    exchange_byte(&connection).await?;
    let negotiated = client.negotiated(&connection)?;
    connection.abort();
    Ok(negotiated)
}

/// Calls f n times, concurrent times at once. A task whose call fails makes no more calls.
pub async fn repeat<F, R>(n: usize, concurrent: usize, f: F) -> Result<Done>
where
    F: Fn() -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..concurrent)
        .map(|_| {
            let (f, next) = (f.clone(), next.clone());
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < n {
                    f().await?;
                }
                Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(Done {
        amount: n as u64,
        elapsed: began.elapsed(),
        ..Done::default()
    })
}

/// Makes n connections, some of them at a time. Each moves one byte in each direction of one stream.
pub async fn connections<C: Client>(client: Arc<C>, n: usize, concurrent: usize) -> Result<Done> {
    repeat(n, concurrent, move || {
        let client = client.clone();
        async move {
            let connection = client.connect().await?;
            exchange_byte(&connection).await?;
            connection.abort();
            Ok(())
        }
    })
    .await
}

/// Makes n connections, some of them at a time, and keeps them open until the process ends.
pub async fn hold<C: Client>(client: Arc<C>, n: usize, concurrent: usize) -> Result<Done> {
    repeat(n, concurrent, move || {
        let client = client.clone();
        async move {
            let connection = client.connect().await?;
            let result = exchange_byte(&connection).await;
            // Both stacks close a connection that is dropped.
            std::mem::forget(connection);
            result
        }
    })
    .await
}

/// Opens n streams on one connection, some of them at a time. Each moves one byte in each direction.
pub async fn streams<C: Client>(client: Arc<C>, n: usize, concurrent: usize) -> Result<Done> {
    let connection = Arc::new(client.connect().await?);
    let shared = connection.clone();
    let done = repeat(n, concurrent, move || {
        let connection = shared.clone();
        async move { exchange_byte(connection.as_ref()).await }
    })
    .await?;
    if let Some(connection) = Arc::into_inner(connection) {
        connection.abort();
    }
    Ok(done)
}

/// Moves size bytes on each of several streams of one connection.
pub async fn bulk<C: Client>(client: Arc<C>, up: bool, streams: u64, size: u64) -> Result<Done> {
    let connection = Arc::new(client.connect().await?);
    let (head, zeros, want) = if up {
        (Bytes::from_static(&[ANSWER_BYTE]), size - 1, 1)
    } else {
        let mut head = vec![ANSWER_COUNT];
        head.extend_from_slice(&size.to_be_bytes());
        (Bytes::from(head), 0, size)
    };
    let began = Instant::now();
    let tasks: Vec<_> = (0..streams)
        .map(|_| {
            let (connection, head) = (connection.clone(), head.clone());
            tokio::spawn(async move { exchange(connection.as_ref(), head, zeros, want).await })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let elapsed = began.elapsed();
    if let Some(connection) = Arc::into_inner(connection) {
        connection.abort();
    }
    Ok(Done {
        amount: streams * size,
        elapsed,
        ..Done::default()
    })
}

/// Sends n requests on one connection, each after the response to the one before.
pub async fn requests<C: Client>(client: Arc<C>, n: usize) -> Result<Done> {
    let connection = client.connect().await?;
    let mut times = Vec::with_capacity(n);
    let began = Instant::now();
    for _ in 0..n {
        let start = Instant::now();
        exchange_request(&connection).await?;
        times.push(start.elapsed());
    }
    let elapsed = began.elapsed();
    connection.abort();
    times.sort();
    Ok(Done {
        amount: n as u64,
        elapsed,
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        ..Done::default()
    })
}

/// Returns a percentile of sorted times.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get(sorted.len().saturating_sub(1) * percent / 100)
        .copied()
        .unwrap_or_default()
}
