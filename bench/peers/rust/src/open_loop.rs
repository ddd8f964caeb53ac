//! Workloads whose rate does not depend on how fast the server answers.

use crate::{
    Result,
    workloads::{Client, Connection, Done, exchange_byte, exchange_request, percentile},
};
use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time};

/// The connection of probe, which later calls use again.
pub struct Probe<C: Client>(Mutex<Option<Arc<C::Connection>>>);

impl<C: Client> Default for Probe<C> {
    fn default() -> Self {
        Probe(Mutex::new(None))
    }
}

/// The error of a connection that the server has refused.
#[derive(Debug)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server refuses the connection")
    }
}

impl std::error::Error for Refused {}

/// The code of CONNECTION_REFUSED.
pub const CONNECTION_REFUSED: u64 = 2;

/// Starts count calls of f, one after each interval, however long they take. A call that is not done when limit has
/// passed since it was due is late. The time that a call takes counts from when it was due, so that a delay of this
/// process does not hide that of the server.
async fn offer<F, R>(count: u64, interval: Duration, limit: Duration, f: F) -> Result<Done>
where
    F: Fn() -> R,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let mut calls = JoinSet::new();
    let began = Instant::now();
    for i in 0..count {
        let due = began + interval.mul_f64(i as f64);
        if due > Instant::now() {
            time::sleep_until(due.into()).await;
        }
        let call = f();
        calls.spawn(async move {
            let result = time::timeout_at((due + limit).into(), call).await;
            result.map(|result| result.map(|()| due.elapsed()))
        });
    }
    let mut done = Done {
        elapsed: began.elapsed(),
        ..Done::default()
    };
    let mut times = Vec::new();
    while let Some(result) = calls.join_next().await {
        match result? {
            Ok(Ok(time)) => times.push(time),
            Ok(Err(err)) if err.is::<Refused>() => done.refused += 1,
            Ok(Err(_)) => done.failed += 1,
            Err(_) => done.late += 1,
        }
    }
    times.sort();
    done.amount = times.len() as u64;
    done.p50 = percentile(&times, 50);
    done.p99 = percentile(&times, 99);
    Ok(done)
}

/// Makes count connections, one after each interval. Each moves one byte in each direction of one stream.
pub async fn connections<C: Client>(
    client: Arc<C>,
    count: u64,
    interval: Duration,
    limit: Duration,
) -> Result<Done> {
    offer(count, interval, limit, || {
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

/// Sends count requests on one connection, one after each interval.
pub async fn probe<C: Client>(
    client: Arc<C>,
    probe: &Probe<C>,
    count: u64,
    interval: Duration,
    limit: Duration,
) -> Result<Done> {
    let open = probe.0.lock().map_err(|err| err.to_string())?.clone();
    let connection = match open {
        Some(connection) => connection,
        None => {
            let connection = Arc::new(client.connect().await?);
            *probe.0.lock().map_err(|err| err.to_string())? = Some(connection.clone());
            connection
        }
    };
    offer(count, interval, limit, || {
        let connection = connection.clone();
        async move { exchange_request(connection.as_ref()).await }
    })
    .await
}
