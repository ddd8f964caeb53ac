//! A driver of quiche's HTTP/3. The runner in the folder above starts it as a server and as a client. Its protocol.go
//! describes the arguments, the requests and the answers.

mod client;
mod server;
#[path = "../../rust/src/system.rs"]
mod system;

use quiche_endpoint::{Application, Endpoint, tls};
use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::Path,
    time::Duration,
};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

pub const SERVER_NAME: &str = "server.test";

/// The idle timeout of all stacks.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (role, flags) = args
        .split_first()
        .ok_or("the first argument must be server or client")?;
    let flags = parse_flags(flags)?;
    let flag = |name: &str| flags.get(name).map(String::as_str).unwrap_or_default();
    if flag("stack") != "quiche" {
        return Err(format!("there is no stack {:?} in this driver", flag("stack")).into());
    }
    let config = tls::config(&tls::Settings {
        certificates: Path::new(flag("cert")),
        key: flags.get("key").map(Path::new),
        groups: flag("group"),
        tickets: false,
        datagram: flag("datagram").parse()?,
        idle_timeout: IDLE_TIMEOUT,
    })?;
    let socket = system::Socket::new(SocketAddr::new(flag("bind").parse()?, 0))?;
    let (buffers, addr) = (socket.buffers(), socket.addr);
    match role.as_str() {
        "server" => {
            let mut endpoint = Endpoint::new(socket.udp, config, Some(server::new))?;
            println!("ready addr={addr} {buffers}");
            answer_requests(
                &mut endpoint,
                |_, _| Err("a server has no workloads".into()),
            )
        }
        "client" => {
            let mut endpoint = Endpoint::new(socket.udp, config, None)?;
            let mut client = client::Client::new(flag("addr").parse()?);
            let (group, suite) = client.check(&mut endpoint)?;
            println!("ready {buffers} group={group} suite={suite}");
            answer_requests(&mut endpoint, |endpoint, line| {
                client.handle(endpoint, line)
            })
        }
        _ => Err(format!("the role is {role:?}, neither server nor client").into()),
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

/// Runs an endpoint and answers the runner's requests until the standard input ends.
fn answer_requests<A: Application>(
    endpoint: &mut Endpoint<A>,
    mut handle: impl FnMut(&mut Endpoint<A>, &str) -> Result<String>,
) -> Result<()> {
    let mut input = Input::new()?;
    loop {
        if !endpoint.turn(Some(input.fd()))? {
            continue;
        }
        if !input.fill()? {
            return Ok(());
        }
        while let Some(line) = input.line() {
            let answer = match line.as_str() {
                "cpu" => format!("cpu {}", system::cpu_time().as_nanos()),
                "memory" => {
                    let resident = system::resident_memory();
                    system::free_memory();
                    format!("memory {resident} {}", system::resident_memory())
                }
                "refusals" => "refusals -1 -1".into(),
                _ => handle(endpoint, &line)
                    .unwrap_or_else(|err| format!("error {}", err.to_string().replace('\n', " "))),
            };
            println!("{answer}");
        }
    }
}

/// The standard input, without the buffer of the standard library, which hides from poll what it has read.
struct Input {
    file: File,
    text: Vec<u8>,
}

impl Input {
    fn new() -> Result<Input> {
        let file = std::io::stdin().as_fd().try_clone_to_owned()?.into();
        Ok(Input {
            file,
            text: Vec::new(),
        })
    }

    fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Reads what there is. It returns false at the end.
    fn fill(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        let n = self.file.read(&mut buffer)?;
        self.text.extend_from_slice(&buffer[..n]);
        Ok(n > 0)
    }

    /// Returns the next whole line.
    fn line(&mut self) -> Option<String> {
        let end = self.text.iter().position(|&b| b == b'\n')?;
        let line: Vec<u8> = self.text.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim().to_string())
    }
}
