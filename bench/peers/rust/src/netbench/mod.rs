//! The drivers of netbench on s2n-quic and quinn: "server FILE" and "client FILE", with the flags of netbench's Go
//! drivers that apply to these stacks. docs/netbench.md describes the scenarios, and the Go packages in cmd/internal
//! what a driver prints.

mod client;
mod recorder;
mod scenario;
mod script;
mod server;
mod stacks;

use crate::{Result, Settings, tls};
use recorder::Recorder;
use scenario::Scenario;
use script::Script;
use serde_json::json;
use std::{
    collections::HashMap,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

const ALPN: &str = "netbench";

/// How long a dial may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the stack that a program's name asks for, or None if the program is not one of netbench's drivers.
pub fn stack_of(program: &str) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let stack = name.strip_prefix("netbench-driver-")?;
    ["s2n-quic", "s2n-quic-rustls", "quinn"]
        .contains(&stack)
        .then(|| stack.to_string())
}

/// Runs a driver. The exit status is 1 if connections failed, and 2 if the command line or the file is invalid.
pub fn main(stack: &str, args: &[String]) -> ExitCode {
    match run(stack, args) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failures)) => {
            eprintln!("netbench-driver-{stack}: {failures}");
            ExitCode::from(1)
        }
        Err(err) => {
            eprintln!("netbench-driver-{stack}: {err}");
            ExitCode::from(2)
        }
    }
}

/// The flags that have a value.
const VALUES: [&str; 10] = [
    "ip",
    "port",
    "server-id",
    "local-ip",
    "client-id",
    "concurrency",
    "groups",
    "provider",
    "trace",
    "max-mtu",
];

/// The flags that have none.
const SWITCHES: [&str; 2] = ["summary", "verify"];

struct Options {
    stack: String,
    file: String,
    flags: HashMap<String, String>,
}

impl Options {
    fn parse(stack: &str, args: &[String]) -> Result<Options> {
        let mut flags = HashMap::new();
        let mut file = std::env::var("SCENARIO").unwrap_or_default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix("--") else {
                file = arg.clone();
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (flag, None),
            };
            let value = match value {
                _ if SWITCHES.contains(&name) => "true".to_string(),
                _ if !VALUES.contains(&name) => {
                    return Err(
                        format!("--{name} is not supported by the driver on {stack}").into(),
                    );
                }
                Some(value) => value,
                None => args
                    .next()
                    .ok_or_else(|| format!("--{name} needs a value"))?
                    .clone(),
            };
            flags.insert(name.to_string(), value);
        }
        if file.is_empty() {
            return Err("no scenario: give a file or set SCENARIO".into());
        }
        let options = Options {
            stack: stack.to_string(),
            file,
            flags,
        };
        let provider = stacks::provider(stack);
        let given = options.text("provider", provider);
        if given != provider {
            return Err(format!(
                "--provider {given} is not supported by the driver on {stack}: it uses {provider}"
            )
            .into());
        }
        if options.text("trace", "disabled") != "disabled" {
            return Err(format!("--trace is not supported by the driver on {stack}").into());
        }
        Ok(options)
    }

    fn text(&self, name: &str, or: &str) -> String {
        self.flags
            .get(name)
            .cloned()
            .unwrap_or_else(|| or.to_string())
    }

    fn number(&self, name: &str, or: u64) -> Result<u64> {
        let text = self.text(name, &or.to_string());
        text.parse()
            .map_err(|_| format!("--{name} {text} is not a number").into())
    }

    fn settings(&self, cert: &str, key: &str) -> Result<Settings> {
        Ok(Settings {
            cert: cert.to_string(),
            key: key.to_string(),
            datagram: self.number("max-mtu", 0)? as u16,
            group: tls::Group::from_name(&self.text("groups", ""))?,
            alpn: ALPN,
        })
    }

    fn recorder(&self, role: &str, scenario: &Scenario) -> Result<Arc<Recorder>> {
        let provider = stacks::provider(&self.stack);
        let read = |file: &str| {
            std::fs::read_to_string(file)
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        let mut provenance = json!({
            "version": "development", "transport": self.stack, "provider": provider, "library": provider,
            "os": "linux", "kernel": read("/proc/sys/kernel/osrelease"),
            "cpus": std::thread::available_parallelism().map_or(0, usize::from),
            "flags": std::env::args().skip(1).collect::<Vec<_>>(),
        });
        if let Some(name) = read("/proc/cpuinfo")
            .lines()
            .find(|line| line.starts_with("model name"))
        {
            provenance["cpu"] = name
                .split_once(':')
                .map_or("", |(_, name)| name.trim())
                .into();
        }
        Ok(Arc::new(Recorder::new(
            role,
            &self.file,
            &scenario.traces,
            provenance,
        )?))
    }
}

fn run(stack: &str, args: &[String]) -> Result<Option<String>> {
    let role = args
        .first()
        .ok_or("the first argument must be server or client")?;
    let options = Options::parse(stack, &args[1..])?;
    let scenario = Arc::new(Scenario::load(&options.file)?);
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    match role.as_str() {
        "server" => runtime
            .block_on(server::serve(&options, scenario))
            .map(|()| None),
        "client" => runtime.block_on(client::dial_all(&options, scenario)),
        _ => Err(format!("{role:?} is neither server nor client").into()),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Writes a line of statistics in each interval.
async fn write_samples(recorder: Arc<Recorder>) {
    let millis = std::env::var("NETBENCH_STATS_INTERVAL")
        .ok()
        .and_then(|text| parse_duration(&text));
    let mut ticks = tokio::time::interval(millis.unwrap_or(Duration::from_secs(1)));
    ticks.tick().await; // the first one is at once
    loop {
        ticks.tick().await;
        recorder.write(false);
    }
}

/// Parses a duration of one unit as Go prints it.
fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let unit = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)]
        .into_iter()
        .find(|(name, _)| *name == unit)?
        .1;
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

/// How a connection ended. A failure has a class.
type Outcome = std::result::Result<(), (&'static str, crate::Error)>;

fn new_script(
    connection: &stacks::Connection,
    index: u64,
    recorder: Arc<Recorder>,
    dialed: Option<Instant>,
    verify: bool,
) -> Arc<Script> {
    Arc::new(Script {
        index,
        recorder,
        dialed,
        verify,
        answered: false.into(),
        opener: connection.opener(),
        streams: Mutex::default(),
    })
}
