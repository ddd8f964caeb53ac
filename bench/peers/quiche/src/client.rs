//! The client and its workloads.

use crate::{
    Result, SERVER_NAME,
    server::{BYTES_PATH, SMALL_PATH, SMALL_SIZE},
};
use quiche_endpoint::{Endpoint, client, tls};
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

/// What the connections of a client have received.
#[derive(Default)]
pub struct Progress {
    /// The times of small responses that are complete.
    times: RefCell<Vec<Duration>>,
    /// The connections of these, as the driver counts them.
    complete: RefCell<Vec<usize>>,
    downloads: Cell<u64>,  // that are complete
    downloaded: Cell<u64>, // bytes
}

/// What to request on a connection: downloads, and small responses, some of them at a time.
pub struct Requests {
    connection: usize, // as the driver counts them
    downloads: u64,
    download_size: u64,
    small: u64,
    at_a_time: u64,
    small_running: u64,
    exchanges: Vec<Exchange>,
    unused: Vec<usize>, // indices of exchanges
    progress: Rc<Progress>,
}

/// A request and its response.
struct Exchange {
    is_small: bool,
    began: Instant,
    received: u64,
    size: u64,
}

impl client::Requests for Requests {
    fn next(&mut self) -> Option<(usize, String)> {
        let is_small = self.downloads == 0;
        let (path, size) = if !is_small {
            self.downloads -= 1;
            let size = self.download_size;
            (format!("{BYTES_PATH}{size}"), size)
        } else if self.small > 0 && self.small_running < self.at_a_time {
            self.small -= 1;
            self.small_running += 1;
            (SMALL_PATH.to_string(), SMALL_SIZE)
        } else {
            return None;
        };
        let exchange = Exchange {
            is_small,
            began: Instant::now(),
            received: 0,
            size,
        };
        let index = match self.unused.pop() {
            Some(index) => {
                self.exchanges[index] = exchange;
                index
            }
            None => {
                self.exchanges.push(exchange);
                self.exchanges.len() - 1
            }
        };
        Some((index, path))
    }

    fn content(&mut self, request: usize, part: &[u8]) {
        let exchange = &mut self.exchanges[request];
        exchange.received += part.len() as u64;
        if !exchange.is_small {
            let sum = self.progress.downloaded.get() + part.len() as u64;
            self.progress.downloaded.set(sum);
        }
    }

    fn finished(&mut self, request: usize) -> quiche_endpoint::Result<()> {
        let exchange = &self.exchanges[request];
        let (got, size) = (exchange.received, exchange.size);
        if got != size {
            return Err(format!("a response has {got} of {size} bytes").into());
        }
        self.unused.push(request);
        let progress = &self.progress;
        if exchange.is_small {
            self.small_running -= 1;
            progress.times.borrow_mut().push(exchange.began.elapsed());
            progress.complete.borrow_mut().push(self.connection);
        } else {
            progress.downloads.set(progress.downloads.get() + 1);
        }
        Ok(())
    }
}

pub type Connections = Endpoint<client::Client<Requests>>;

/// Carries out the workloads.
pub struct Client {
    server: SocketAddr,
    progress: Rc<Progress>,
    numbers: Vec<u64>, // of the endpoint's connections, as the driver counts them
    open: Vec<usize>,  // connections of get
    closed: HashSet<u64>,
}

/// A client's answer to a workload.
#[derive(Default)]
struct Done {
    amount: u64,
    elapsed: Duration,
    p50: Duration,
    p99: Duration,
}

impl Client {
    pub fn new(server: SocketAddr) -> Client {
        Client {
            server,
            progress: Rc::default(),
            numbers: Vec::new(),
            open: Vec::new(),
            closed: HashSet::new(),
        }
    }

    /// Begins a connection with one small request, so that both sides know each other's settings.
    fn begin(&mut self, e: &mut Connections) -> Result<usize> {
        let connection = self.numbers.len();
        let requests = Requests {
            connection,
            downloads: 0,
            download_size: 0,
            small: 1,
            at_a_time: 1,
            small_running: 0,
            exchanges: Vec::new(),
            unused: Vec::new(),
            progress: self.progress.clone(),
        };
        let client = client::Client::new(SERVER_NAME, requests);
        self.numbers
            .push(e.connect(self.server, SERVER_NAME, client)?);
        Ok(connection)
    }

    /// Runs the endpoint until something is true. A connection that ends before it is closed is an error.
    fn run(&mut self, e: &mut Connections, mut until: impl FnMut(&Progress) -> bool) -> Result<()> {
        while !until(&self.progress) {
            e.turn(None)?;
            for ended in e.take_ended() {
                if !self.closed.remove(&ended.number) {
                    return Err(format!("a connection has ended: {}", ended.why).into());
                }
            }
        }
        Ok(())
    }

    /// Waits for some small responses, and forgets them. It returns their times.
    fn small(&mut self, e: &mut Connections, n: u64) -> Result<Vec<Duration>> {
        self.run(e, |p| p.times.borrow().len() as u64 == n)?;
        self.progress.complete.borrow_mut().clear();
        Ok(self.progress.times.take())
    }

    fn dial(&mut self, e: &mut Connections) -> Result<usize> {
        let connection = self.begin(e)?;
        self.small(e, 1)?;
        Ok(connection)
    }

    fn close(&mut self, e: &mut Connections, connection: usize) {
        let number = self.numbers[connection];
        e.close(number);
        self.closed.insert(number);
    }

    /// Changes what is requested on a connection.
    fn request(
        &self,
        e: &mut Connections,
        connection: usize,
        f: impl FnOnce(&mut Requests),
    ) -> Result<()> {
        let (_, client) = e
            .get(self.numbers[connection])
            .ok_or("a connection has ended")?;
        f(&mut client.requests);
        Ok(())
    }

    /// Makes one connection and returns what it negotiated.
    pub fn check(&mut self, e: &mut Connections) -> Result<(String, String)> {
        let connection = self.dial(e)?;
        let (quic, _) = e
            .get(self.numbers[connection])
            .ok_or("the connection has ended")?;
        let negotiated = tls::negotiated(quic);
        self.close(e, connection);
        Ok(negotiated)
    }

    /// Carries out a workload and returns the answer.
    pub fn handle(&mut self, e: &mut Connections, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<u64> = words
            .iter()
            .skip(1)
            .map(|word| word.parse())
            .collect::<std::result::Result<_, _>>()?;
        let done = match (words.first().copied().unwrap_or_default(), &numbers[..]) {
            ("connect", &[n, concurrent]) => self.connections(e, n, concurrent, false),
            ("hold", &[n, concurrent]) => self.connections(e, n, concurrent, true),
            ("get", &[n, connections, concurrent]) => self.gets(e, n, connections, concurrent),
            ("download", &[streams, size]) => self.download(e, streams, size),
            ("alone", &[n]) => self.one(e, n, false),
            ("beside", &[n]) => self.one(e, n, true),
            _ => Err(format!("unknown request {line:?}").into()),
        }?;
        let [elapsed, p50, p99] = [done.elapsed, done.p50, done.p99].map(|d| d.as_nanos());
        Ok(format!("done {} {elapsed} {p50} {p99} 0 0 0", done.amount))
    }

    /// Makes n connections with one request each, some of them at a time, and keeps them open or closes them.
    fn connections(
        &mut self,
        e: &mut Connections,
        n: u64,
        concurrent: u64,
        keep: bool,
    ) -> Result<Done> {
        let began = Instant::now();
        let (mut begun, mut complete) = (0, 0);
        while complete < n {
            while begun < n && begun < complete + concurrent {
                self.begin(e)?;
                begun += 1;
            }
            self.run(e, |p| !p.complete.borrow().is_empty())?;
            self.progress.times.take();
            for connection in self.progress.complete.take() {
                complete += 1;
                if !keep {
                    self.close(e, connection);
                }
            }
        }
        Ok(Done {
            amount: n,
            elapsed: began.elapsed(),
            ..Done::default()
        })
    }

    /// Sends n requests, on each of some connections a number of them at a time. The connections stay open for the next
    /// call.
    fn gets(
        &mut self,
        e: &mut Connections,
        n: u64,
        connections: u64,
        at_a_time: u64,
    ) -> Result<Done> {
        while (self.open.len() as u64) < connections {
            let connection = self.dial(e)?;
            self.open.push(connection);
        }
        let began = Instant::now();
        for i in 0..connections {
            let share = n / connections + u64::from(i < n % connections);
            self.request(e, self.open[i as usize], |r| {
                (r.small, r.at_a_time) = (share, at_a_time);
            })?;
        }
        self.small(e, n)?;
        Ok(Done {
            amount: n,
            elapsed: began.elapsed(),
            ..Done::default()
        })
    }

    /// Gets size bytes with each of several requests on a new connection.
    fn download(&mut self, e: &mut Connections, streams: u64, size: u64) -> Result<Done> {
        let connection = self.dial(e)?;
        self.progress.downloads.set(0);
        let began = Instant::now();
        self.request(e, connection, |r| {
            (r.downloads, r.download_size) = (streams, size);
        })?;
        self.run(e, |p| p.downloads.get() == streams)?;
        let elapsed = began.elapsed();
        self.close(e, connection);
        Ok(Done {
            amount: streams * size,
            elapsed,
            ..Done::default()
        })
    }

    /// Sends n requests on a new connection, each after the response to the one before, alone or beside a download that does
    /// not end before them.
    fn one(&mut self, e: &mut Connections, n: u64, beside: bool) -> Result<Done> {
        const ENDLESS: u64 = 1 << 40;
        let connection = self.dial(e)?;
        self.progress.downloads.set(0);
        self.progress.downloaded.set(0);
        if beside {
            self.request(e, connection, |r| {
                (r.downloads, r.download_size) = (1, ENDLESS);
            })?;
            self.run(e, |p| p.downloaded.get() >= 1 << 20)?;
        }
        let began = Instant::now();
        self.request(e, connection, |r| r.small = n)?;
        let mut times = self.small(e, n)?;
        let elapsed = began.elapsed();
        if self.progress.downloads.get() > 0 {
            return Err("the download ended before the requests".into());
        }
        self.close(e, connection);
        times.sort();
        Ok(Done {
            amount: n,
            elapsed,
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
        })
    }
}

/// Returns a percentile of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get(sorted.len().saturating_sub(1) * percent / 100)
        .copied()
        .unwrap_or_default()
}
