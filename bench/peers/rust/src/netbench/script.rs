//! Runs one side of a connection as a scenario describes it.

use crate::{
    Result,
    netbench::{
        recorder::Recorder,
        scenario::{self, Limit, Op, Ops},
        stacks::{Connection, Opener, PeerDone, Receiver, Sender},
    },
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::{sync::Mutex, task::JoinSet};

/// The most that one call sends.
const CHUNK: usize = 64 << 10;

/// The payload: byte k of a stream is k mod 256. Every chunk begins within the first 256 bytes.
static PATTERN: [u8; CHUNK + 256] = {
    let mut pattern = [0; CHUNK + 256];
    let mut i = 0;
    while i < pattern.len() {
        pattern[i] = i as u8;
        i += 1;
    }
    pattern
};

/// A stream of a script. Its directions are used at the same time.
pub struct Stream {
    id: u64,
    opened: Instant,
    send: Mutex<SendHalf>,
    receive: Mutex<ReceiveHalf>,
}

struct SendHalf {
    sender: Sender,
    /// The stream's number, which goes before the first bytes of a stream that we open.
    unsent: Option<[u8; 8]>,
    position: u64,
    finished: bool,
}

struct ReceiveHalf {
    receiver: Receiver,
    /// Bytes that no operation has asked for yet.
    rest: Bytes,
    position: u64,
}

pub struct Script {
    /// The index of the connection in its list.
    pub index: u64,
    pub recorder: Arc<Recorder>,
    /// When a client began to dial; None on a server.
    pub dialed: Option<Instant>,
    pub verify: bool,
    pub answered: AtomicBool,
    pub opener: Opener,
    pub streams: StdMutex<HashMap<u64, Arc<Stream>>>,
}

/// A sequence of operations that runs beside others of its connection.
#[derive(Clone)]
struct Thread {
    script: Arc<Script>,
    /// The stream whose script this is; None for the connection's own operations.
    peer: Option<Arc<Stream>>,
    /// A stream whose number is sent with its first bytes, which may follow.
    unsent: Option<Arc<Stream>>,
    /// Whether an iteration with a time limit surrounds the operations.
    timed: bool,
}

type Step<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Runs the operations of a connection, and those for the streams that the peer opens, each of which must arrive.
pub async fn run(
    script: Arc<Script>,
    connection: &mut Connection,
    ops: &scenario::Connection,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    let thread = Thread {
        script: script.clone(),
        peer: None,
        unsent: None,
        timed: false,
    };
    let own = ops.ops.clone();
    tasks.spawn(async move { thread.start(own).await });
    let mut missing: HashMap<u64, Ops> = (0..).zip(ops.peer_streams.iter().cloned()).collect();
    while !missing.is_empty() {
        let stream = tokio::select! {
            stream = connection.accept() => stream?.ok_or("the peer closed before it opened all streams")?,
            Some(ended) = tasks.join_next() => {
                ended??;
                continue;
            }
        };
        let stream = identify(stream).await?;
        let ops = missing
            .remove(&stream.id)
            .ok_or_else(|| format!("the peer opened stream {}", stream.id))?;
        script.recorder.accepted();
        let thread = Thread {
            script: script.clone(),
            peer: Some(stream),
            unsent: None,
            timed: false,
        };
        tasks.spawn(async move { thread.start(ops).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Reads the number of a stream that the peer opened.
async fn identify((sender, receiver): (Sender, Receiver)) -> Result<Arc<Stream>> {
    let mut receive = ReceiveHalf {
        receiver,
        rest: Bytes::new(),
        position: 0,
    };
    let mut id = [0; 8];
    let mut have = 0;
    while have < id.len() {
        let data = receive
            .next(id.len() - have)
            .await?
            .ok_or("a stream ended before its number")?;
        id[have..have + data.len()].copy_from_slice(&data);
        have += data.len();
    }
    Ok(Arc::new(Stream {
        id: u64::from_be_bytes(id),
        opened: Instant::now(),
        send: Mutex::new(SendHalf {
            sender,
            unsent: None,
            position: 0,
            finished: false,
        }),
        receive: Mutex::new(receive),
    }))
}

impl ReceiveHalf {
    /// Returns at most the given number of bytes, or None at the end.
    async fn next(&mut self, most: usize) -> Result<Option<Bytes>> {
        while self.rest.is_empty() {
            match self.receiver.receive().await? {
                Some(data) => self.rest = data,
                None => return Ok(None),
            }
        }
        Ok(Some(self.rest.split_to(most.min(self.rest.len()))))
    }
}

impl SendHalf {
    /// Sends bytes of the pattern, after the number if it has not been sent.
    async fn send(&mut self, n: usize) -> Result<()> {
        let from = (self.position % 256) as usize;
        let data = &PATTERN[from..from + n];
        let data = match self.unsent.take() {
            Some(id) => [&id[..], data].concat().into(),
            None => Bytes::from_static(data),
        };
        self.position += n as u64;
        self.sender.send(data).await
    }

    async fn flush(&mut self) -> Result<()> {
        match self.unsent {
            Some(_) => self.send(0).await,
            None => Ok(()),
        }
    }
}

impl Script {
    /// Waits until what was sent on our streams has arrived.
    pub async fn delivered(&self) {
        let streams: Vec<_> = self
            .streams
            .lock()
            .expect("no thread panics with this lock")
            .drain()
            .collect();
        for (_, stream) in streams {
            let mut half = stream.send.lock().await;
            if half.finished {
                half.sender.delivered().await;
            }
        }
    }
}

impl Thread {
    async fn start(mut self, ops: Ops) -> Result<()> {
        match self.all(&ops).await {
            Err(err) if err.is::<PeerDone>() => Ok(()),
            result => result,
        }
    }

    /// Carries out operations in order.
    fn all<'a>(&'a mut self, ops: &'a Ops) -> Step<'a> {
        Box::pin(async move {
            for op in ops.iter() {
                if !matches!(
                    op,
                    Op::Send { .. } | Op::Trace | Op::Profile { .. } | Op::Iterate { .. }
                ) {
                    self.flush().await?;
                }
                self.one(op).await?;
            }
            self.flush().await
        })
    }

    /// Announces a stream that waits for its first bytes.
    async fn flush(&mut self) -> Result<()> {
        match self.unsent.take() {
            Some(stream) => stream.send.lock().await.flush().await,
            None => Ok(()),
        }
    }

    fn one<'a>(&'a mut self, op: &'a Op) -> Step<'a> {
        Box::pin(async move {
            match op {
                Op::Trace => Ok(()),
                Op::Sleep(time) => {
                    tokio::time::sleep(*time).await;
                    Ok(())
                }
                Op::Open(id) => self.open(*id).await,
                Op::Send { stream, bytes } => self.send(*stream, *bytes).await,
                Op::Receive { stream, bytes } => self.receive(*stream, *bytes, false).await,
                Op::ReceiveAll(stream) => self.receive(*stream, u64::MAX, true).await,
                Op::SendFinish(stream) => {
                    let stream = self.stream(*stream)?;
                    let mut half = stream.send.lock().await;
                    half.sender.finish();
                    half.finished = true;
                    Ok(())
                }
                Op::ReceiveFinish(stream) => {
                    let stream = self.stream(*stream)?;
                    if self.peer.is_none() {
                        self.script
                            .recorder
                            .latency("request", stream.opened.elapsed());
                    }
                    stream.receive.lock().await.receiver.stop();
                    Ok(())
                }
                Op::Profile { trace, ops } => {
                    let began = Instant::now();
                    self.all(ops).await?;
                    self.script.recorder.profile(*trace, began.elapsed());
                    Ok(())
                }
                Op::Iterate { limit, trace, ops } => self.iterate(limit, *trace, ops).await,
                Op::Scope(threads) => self.scope(threads).await,
            }
        })
    }

    async fn open(&mut self, id: u64) -> Result<()> {
        let opened = Instant::now();
        let (sender, receiver) = self.script.opener.clone().open().await?;
        let unsent = Some(id.to_be_bytes());
        let stream = Arc::new(Stream {
            id,
            opened,
            send: Mutex::new(SendHalf {
                sender,
                unsent,
                position: 0,
                finished: false,
            }),
            receive: Mutex::new(ReceiveHalf {
                receiver,
                rest: Bytes::new(),
                position: 0,
            }),
        });
        self.unsent = Some(stream.clone());
        self.script
            .streams
            .lock()
            .expect("no thread panics with this lock")
            .insert(id, stream);
        Ok(())
    }

    /// Returns the stream of an operation.
    fn stream(&self, id: u64) -> Result<Arc<Stream>> {
        let stream = match &self.peer {
            Some(stream) => Some(stream.clone()).filter(|stream| stream.id == id),
            None => self
                .script
                .streams
                .lock()
                .expect("no thread panics with this lock")
                .get(&id)
                .cloned(),
        };
        Ok(stream.ok_or_else(|| format!("stream {id} is not open"))?)
    }

    async fn send(&mut self, id: u64, mut n: u64) -> Result<()> {
        let stream = self.stream(id)?;
        let mut half = stream.send.lock().await;
        while n > 0 {
            let size = n.min(CHUNK as u64);
            half.send(size as usize).await?;
            self.script
                .recorder
                .sent(self.script.index, id, size as usize);
            n -= size;
        }
        self.unsent.take_if(|unsent| unsent.id == id);
        Ok(())
    }

    /// Receives n bytes, or everything up to the end of the stream.
    async fn receive(&mut self, id: u64, mut n: u64, all: bool) -> Result<()> {
        let stream = self.stream(id)?;
        let mut half = stream.receive.lock().await;
        let want = n;
        while n > 0 {
            let most = n.min(CHUNK as u64) as usize;
            let Some(data) = half.next(most).await? else {
                return match (all, self.timed, self.script.verify) {
                    (false, true, _) if n == want => Err(PeerDone.into()),
                    (false, false, true) => {
                        Err(format!("stream {id} ended {n} bytes early").into())
                    }
                    _ => Ok(()),
                };
            };
            self.script.answered();
            if self.script.verify {
                check(id, half.position, &data)?;
            }
            half.position += data.len() as u64;
            self.script
                .recorder
                .received(self.script.index, id, data.len());
            n -= data.len() as u64;
        }
        Ok(())
    }

    /// Repeats operations. When the time is over, those that run are abandoned.
    async fn iterate(&mut self, limit: &Limit, trace: Option<u64>, ops: &Ops) -> Result<()> {
        match *limit {
            Limit::Count(n) => self.repeat(n, trace, ops).await,
            Limit::Time(time) => {
                let outer = std::mem::replace(&mut self.timed, true);
                let result = tokio::time::timeout(time, self.repeat(u64::MAX, trace, ops)).await;
                self.timed = outer;
                match result {
                    Err(_) => Ok(()),
                    Ok(Err(err)) if err.is::<PeerDone>() => Ok(()),
                    Ok(result) => result,
                }
            }
        }
    }

    async fn repeat(&mut self, n: u64, trace: Option<u64>, ops: &Ops) -> Result<()> {
        for _ in 0..n {
            let began = Instant::now();
            self.all(ops).await?;
            if let Some(trace) = trace {
                self.script.recorder.profile(trace, began.elapsed());
            }
        }
        Ok(())
    }

    async fn scope(&self, threads: &[Ops]) -> Result<()> {
        let mut tasks = JoinSet::new();
        for ops in threads {
            let (mut thread, ops) = (
                Thread {
                    unsent: None,
                    ..self.clone()
                },
                ops.clone(),
            );
            tasks.spawn(async move { thread.all(&ops).await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Script {
    /// Records the time to the first byte of an answer, on a client.
    fn answered(&self) {
        if let (Some(dialed), false) = (self.dialed, self.answered.swap(true, Ordering::Relaxed)) {
            self.recorder.latency("ttfb", dialed.elapsed());
        }
    }
}

/// Compares received bytes with the pattern.
fn check(id: u64, position: u64, data: &[u8]) -> Result<()> {
    for (i, &got) in (position..).zip(data) {
        if got != i as u8 {
            return Err(format!("byte {i} of stream {id} is {got:#x}, not {:#x}", i as u8).into());
        }
    }
    Ok(())
}
