//! Runs one of a scenario's clients.

use crate::{
    Result,
    netbench::{
        HANDSHAKE_TIMEOUT, Options, Outcome, interrupted, new_script,
        recorder::Recorder,
        scenario::{ClientOp, Scenario},
        script,
        stacks::Client,
        write_samples,
    },
    system,
};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::task::JoinSet;

/// A run of a client.
struct Dialer {
    scenario: Arc<Scenario>,
    id: usize,
    client: Client,
    servers: Vec<SocketAddr>,
    recorder: Arc<Recorder>,
    verify: bool,
}

/// Runs a client and returns what failed.
pub async fn dial_all(options: &Options, scenario: Arc<Scenario>) -> Result<Option<String>> {
    let id = options.number("client-id", 0)? as usize;
    let materials = scenario
        .clients
        .get(id)
        .ok_or_else(|| format!("--client-id {id} does not exist"))?;
    let settings = options.settings(&materials.authorities, "")?;
    let servers = (0..scenario.servers.len())
        .map(address)
        .collect::<Result<Vec<_>>>()?;
    let any = match servers.first().is_some_and(SocketAddr::is_ipv4) {
        true => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let local: IpAddr = options
        .text("local-ip", &any.to_string())
        .trim_matches(['[', ']'])
        .parse()?;
    let socket = system::Socket::new(SocketAddr::new(local, 0))?;
    let first = *servers.first().ok_or("the scenario has no servers")?;
    let concurrency = options.number("concurrency", 0)? as usize;
    let dialer = Arc::new(Dialer {
        id,
        client: Client::new(&options.stack, socket, first, &settings)?,
        servers,
        recorder: options.recorder("client", &scenario)?,
        verify: options.flags.contains_key("verify"),
        scenario: scenario.clone(),
    });
    tokio::spawn(write_samples(dialer.recorder.clone()));
    let ops = &scenario.clients[id].ops;
    let result = tokio::select! {
        result = dialer.clone().run(ops, concurrency) => result,
        result = interrupted() => result.and(Err("interrupted".into())),
    };
    dialer.recorder.write(true);
    if options.flags.contains_key("summary") {
        println!("{}", dialer.recorder.summary());
    }
    match result {
        Ok(()) => Ok(dialer.recorder.failures()),
        Err(err) => Ok(Some(err.to_string())),
    }
}

/// Returns the address of a server from the environment.
fn address(server: usize) -> Result<SocketAddr> {
    let name = format!("SERVER_{server}");
    let text = std::env::var(&name).unwrap_or_default();
    let found = text
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next());
    Ok(found.ok_or_else(|| format!("{name}={text} is not an address: set {name}=HOST:PORT"))?)
}

impl Dialer {
    async fn run(self: Arc<Self>, ops: &Arc<[ClientOp]>, concurrency: usize) -> Result<()> {
        if concurrency > 1 {
            self.clone().pool(ops, concurrency).await?;
        } else {
            self.clone().in_order(ops.clone()).await?;
        }
        self.client.wait_idle().await;
        Ok(())
    }

    /// Carries out operations one after another.
    fn in_order(
        self: Arc<Self>,
        ops: Arc<[ClientOp]>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        Box::pin(async move {
            for op in ops.iter() {
                match op {
                    ClientOp::Sleep(time) => tokio::time::sleep(*time).await,
                    ClientOp::Connect { .. } => self.connect(op).await,
                    ClientOp::Scope(threads) => {
                        let mut tasks = JoinSet::new();
                        for ops in threads {
                            tasks.spawn(self.clone().in_order(ops.clone()));
                        }
                        while let Some(ended) = tasks.join_next().await {
                            ended??;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Makes the connections of a client with some at a time.
    async fn pool(self: Arc<Self>, ops: &Arc<[ClientOp]>, concurrency: usize) -> Result<()> {
        if !ops.iter().all(|op| matches!(op, ClientOp::Connect { .. })) {
            return Err("--concurrency needs a client whose only operation is connect".into());
        }
        let queue: Arc<Mutex<VecDeque<usize>>> = Arc::new(Mutex::new((0..ops.len()).collect()));
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let (dialer, ops, queue) = (self.clone(), ops.clone(), queue.clone());
            let next = move || {
                queue
                    .lock()
                    .expect("no worker panics with this lock")
                    .pop_front()
            };
            workers.spawn(async move {
                while let Some(i) = next() {
                    dialer.connect(&ops[i]).await;
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended?;
        }
        Ok(())
    }

    async fn connect(&self, op: &ClientOp) {
        self.recorder.begin();
        match self.connection(op).await {
            Ok(()) => self.recorder.completed(),
            Err((class, err)) => self.recorder.failed(class, &err),
        }
    }

    /// Dials a connection and runs its script.
    async fn connection(&self, op: &ClientOp) -> Outcome {
        let &ClientOp::Connect {
            server,
            server_connection,
            client_connection,
        } = op
        else {
            return Ok(());
        };
        let connections = &self.scenario.clients[self.id].connections;
        let (Some(ops), Some(&addr)) =
            (connections.get(client_connection), self.servers.get(server))
        else {
            return Err(("script", "the scenario lacks what it connects".into()));
        };
        let began = Instant::now();
        let name = format!("{server_connection}.{}.net", self.scenario.id);
        let mut connection = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.client.dial(addr, &name))
            .await
            .map_err(|err| ("handshake timeout", err.into()))?
            .map_err(|err| ("dial", err))?;
        let took = began.elapsed();
        let negotiated = match self.recorder.curious() {
            true => self.client.negotiated(&connection).ok(),
            false => None,
        };
        self.recorder.connected(Some(took), negotiated);
        let script = new_script(
            &connection,
            client_connection as u64,
            self.recorder.clone(),
            Some(began),
            self.verify,
        );
        if let Err(err) = script::run(script.clone(), &mut connection, ops).await {
            connection.abort();
            return Err(("script", err));
        }
        // The next connection does not wait until this one has closed.
        tokio::spawn(async move {
            script.delivered().await;
            drop(connection);
        });
        Ok(())
    }
}
