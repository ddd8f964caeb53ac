//! A driver of s2n-quic and quinn. The runner in the folder above starts it as a server and as a client. Its
//! protocol.go describes the arguments, the requests and the messages on streams. Under the name of one of netbench's
//! drivers, such as netbench-driver-quinn, it runs netbench's scenarios.

mod netbench;
mod open_loop;
mod pairs;
mod quinn_h3;
mod quinn_stack;
mod s2n_quic_stack;
mod system;
mod tls;
mod workloads;

use std::{
    collections::HashMap,
    io::BufRead,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};
use workloads::{Client, Done};

/// The idle timeout of all stacks, which is the Go driver's.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

/// What a stack is configured with.
pub struct Settings {
    /// The certificates that a server sends or a client trusts, in PEM.
    pub cert: String,
    /// The key of a server, in PEM.
    pub key: String,
    /// The largest UDP payload; 0 for the stack's default.
    pub datagram: u16,
    pub group: tls::Group,
    /// The application protocol.
    pub alpn: &'static str,
}

/// How many clients a server has turned away, and how many it has asked to validate their address.
pub struct Refusals {
    pub refused: i64,
    pub validated: i64,
}

static REFUSALS: OnceLock<Box<dyn Fn() -> Refusals + Send + Sync>> = OnceLock::new();

/// Sets the function that counts the refusals of this process's server.
pub fn count_refusals(count: impl Fn() -> Refusals + Send + Sync + 'static) {
    // A process has one server.
    let _ = REFUSALS.set(Box::new(count));
}

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(stack) = std::env::args()
        .next()
        .and_then(|program| netbench::stack_of(&program))
    {
        return Ok(netbench::main(&stack, &args));
    }
    run(args)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the driver of bench/peers.
fn run(args: Vec<String>) -> Result<()> {
    let role = args
        .first()
        .ok_or("the first argument must be server or client")?
        .clone();
    let flags = parse_flags(&args[1..])?;
    let flag = |name: &str| flags.get(name).cloned().unwrap_or_default();
    let mut settings = Settings {
        cert: std::fs::read_to_string(flag("cert"))?,
        key: String::new(),
        datagram: flag("datagram").parse()?,
        group: tls::Group::from_name(&flag("group"))?,
        alpn: tls::ALPN,
    };
    let stack = flag("stack");
    let is_http = flags.contains_key("http");
    if is_http {
        settings.alpn = quinn_h3::ALPN;
        if stack != "quinn" {
            return Err(format!("the stack {stack:?} has no HTTP/3 in this driver").into());
        }
    }
    if role == "pair" {
        settings.key = std::fs::read_to_string(flag("key"))?;
        let pair = pairs::of(&stack, &settings)?;
        pair()?;
        println!("ready");
        return answer_requests(|line| match line.split_once(' ') {
            Some(("pair", n)) => pairs::repeat(n.parse()?, pair.as_ref()),
            _ => Err(format!("unknown request {line:?}").into()),
        });
    }
    let socket = system::Socket::new(SocketAddr::new(flag("bind").parse()?, 0))?;
    let buffers = socket.buffers();
    let runtime = tokio::runtime::Runtime::new()?;
    let _context = runtime.enter();
    if role == "server" {
        settings.key = std::fs::read_to_string(flag("key"))?;
        let ready = format!("ready addr={} {buffers}", socket.addr);
        match stack.as_str() {
            "s2n-quic-s2n-tls" => {
                let server =
                    s2n_quic_stack::server(tls::s2n_server(&settings)?, socket, &settings)?;
                runtime.spawn(workloads::serve(server));
            }
            "s2n-quic-rustls" => {
                let server = s2n_quic_stack::server(
                    tls::s2n_quic_rustls_server(&settings)?,
                    socket,
                    &settings,
                )?;
                runtime.spawn(workloads::serve(server));
            }
            "quinn" if is_http => {
                runtime.spawn(quinn_h3::serve(quinn_stack::server(socket, &settings)?));
            }
            "quinn" => {
                runtime.spawn(workloads::serve(quinn_stack::server(socket, &settings)?));
            }
            _ => return Err(format!("there is no stack {stack:?} in Rust").into()),
        }
        println!("{ready}");
        return answer_requests(|_| Err("a server has no workloads".into()));
    }
    let addr: SocketAddr = flag("addr").parse()?;
    match stack.as_str() {
        "s2n-quic-s2n-tls" => {
            let client =
                s2n_quic_stack::client(tls::s2n_client(&settings)?, socket, addr, &settings)?;
            run_client(&runtime, client, buffers)
        }
        "s2n-quic-rustls" => {
            let client = s2n_quic_stack::client(
                tls::s2n_quic_rustls_client(&settings)?,
                socket,
                addr,
                &settings,
            )?;
            run_client(&runtime, client, buffers)
        }
        "quinn" if is_http => run_http_client(
            &runtime,
            quinn_h3::Client::new(quinn_stack::client(socket, addr, &settings)?),
            buffers,
        ),
        "quinn" => run_client(
            &runtime,
            quinn_stack::client(socket, addr, &settings)?,
            buffers,
        ),
        _ => Err(format!("there is no stack {stack:?} in Rust").into()),
    }
}

/// Parses "-name value" pairs, and "-http", which has no value.
fn parse_flags(args: &[String]) -> Result<HashMap<String, String>> {
    let mut flags = HashMap::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let name = arg
            .strip_prefix('-')
            .ok_or_else(|| format!("{arg:?} is not a flag"))?;
        let value = match name {
            "http" => "",
            _ => rest
                .next()
                .ok_or_else(|| format!("the flag {arg:?} has no value"))?,
        };
        flags.insert(name.to_string(), value.to_string());
    }
    Ok(flags)
}

/// Answers the runner's requests until the standard input ends.
fn answer_requests(mut handle: impl FnMut(&str) -> Result<Done>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "cpu" {
            println!("cpu {}", system::cpu_time().as_nanos());
            continue;
        }
        if line == "memory" {
            let resident = system::resident_memory();
            system::free_memory();
            println!("memory {resident} {}", system::resident_memory());
            continue;
        }
        if line == "refusals" {
            let r = REFUSALS.get().map(|count| count());
            let r = r.unwrap_or(Refusals {
                refused: -1,
                validated: -1,
            });
            println!("refusals {} {}", r.refused, r.validated);
            continue;
        }
        match handle(&line) {
            Ok(done) => println!("{done}"),
            Err(err) => println!("error {}", err.to_string().replace('\n', " ")),
        }
    }
    Ok(())
}

fn run_client<C: Client>(
    runtime: &tokio::runtime::Runtime,
    client: C,
    buffers: String,
) -> Result<()> {
    let client = Arc::new(client);
    let probe = Arc::new(open_loop::Probe::default());
    let (group, suite) = runtime.block_on(workloads::check(client.as_ref()))?;
    println!("ready {buffers} group={group} suite={suite}");
    answer_requests(|line| {
        let (client, probe, line) = (client.clone(), probe.clone(), line.to_string());
        // A task runs on the runtime's threads. block_on would run the workload on this one.
        runtime.block_on(runtime.spawn(async move { handle(client, probe, &line).await }))?
    })
}

fn run_http_client(
    runtime: &tokio::runtime::Runtime,
    client: quinn_h3::Client,
    buffers: String,
) -> Result<()> {
    let client = Arc::new(client);
    let (group, suite) = runtime.block_on(client.check())?;
    println!("ready {buffers} group={group} suite={suite}");
    answer_requests(|line| {
        let (client, line) = (client.clone(), line.to_string());
        runtime.block_on(runtime.spawn(async move { client.handle(&line).await }))?
    })
}

/// Carries out a workload.
async fn handle<C: Client>(
    client: Arc<C>,
    probe: Arc<open_loop::Probe<C>>,
    line: &str,
) -> Result<Done> {
    let nanos = |text: &str| text.parse().map(Duration::from_nanos);
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["connect", n, concurrent] => {
            workloads::connections(client, n.parse()?, concurrent.parse()?).await
        }
        ["bulk", direction @ ("down" | "up"), streams, size] => {
            workloads::bulk(client, *direction == "up", streams.parse()?, size.parse()?).await
        }
        ["hold", n, concurrent] => workloads::hold(client, n.parse()?, concurrent.parse()?).await,
        ["streams", n, concurrent] => {
            workloads::streams(client, n.parse()?, concurrent.parse()?).await
        }
        ["request", n] => workloads::requests(client, n.parse()?).await,
        ["offer", n, interval, limit] => {
            open_loop::connections(client, n.parse()?, nanos(interval)?, nanos(limit)?).await
        }
        ["probe", n, interval, limit] => {
            open_loop::probe(client, &probe, n.parse()?, nanos(interval)?, nanos(limit)?).await
        }
        _ => Err(format!("unknown request {line:?}").into()),
    }
}
