//! The endpoint of quiche for the QUIC interop runner's test case http3. The environment variables are the runner's:
//! docs/interop.md describes them.

use bytes::Bytes;
use quiche::h3::Header;
use quiche_endpoint::{
    Endpoint, Result,
    client::{Client, Requests},
    server::{Body, Server},
    tls,
};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    path::{Component, Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// The exit status by which the runner recognizes a test case that an endpoint does not support.
const UNSUPPORTED: u8 = 127;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (role, case) = (variable("ROLE"), variable("TESTCASE"));
    if case != "http3" {
        eprintln!("quiche-endpoint: the test case {case:?} is not supported");
        return ExitCode::from(UNSUPPORTED);
    }
    let done = match role.as_str() {
        "server" => serve(),
        "client" => download(&variable("REQUESTS")),
        _ => Err(format!("ROLE is {role:?}, neither server nor client").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("quiche-endpoint: {err}");
            ExitCode::FAILURE
        }
    }
}

fn config(certificates: &str, key: Option<&Path>) -> Result<quiche::Config> {
    tls::config(&tls::Settings {
        certificates: Path::new(certificates),
        key,
        groups: "X25519MLKEM768:X25519",
        tickets: true,
        datagram: 1200,
        idle_timeout: Duration::from_secs(30),
    })
}

fn key_log() -> Option<PathBuf> {
    std::env::var_os("SSLKEYLOGFILE").map(PathBuf::from)
}

fn serve() -> Result<()> {
    let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 443))?;
    let config = config("/certs/cert.pem", Some(Path::new("/certs/priv.key")))?;
    let mut endpoint = Endpoint::new(udp, config, Some(|| Server::new(answer)))?;
    endpoint.key_log = key_log();
    loop {
        endpoint.turn(None)?;
    }
}

/// Answers with a file.
fn answer(path: &str) -> (Vec<Header>, Body) {
    let file = below("/www", path).and_then(|path| Ok(std::fs::read(path)?));
    let (status, content) = match file {
        Ok(content) => ("200", content),
        Err(_) => ("404", Vec::new()),
    };
    let size = content.len() as u64;
    let header = vec![
        Header::new(b":status", status.as_bytes()),
        Header::new(b"content-length", size.to_string().as_bytes()),
    ];
    let block = Bytes::from(content);
    (header, Body { block, size })
}

/// Returns the file of the path of a URL. It stays below the directory.
fn below(directory: &str, path: &str) -> Result<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = |c: Component| matches!(c, Component::Normal(_));
    if relative.components().all(plain) {
        Ok(Path::new(directory).join(relative))
    } else {
        Err(format!("the path {path:?} is not below {directory}").into())
    }
}

/// Files to download.
struct Files {
    paths: Vec<String>,
    contents: Vec<Vec<u8>>,
    requested: usize,
    saved: usize,
}

impl Requests for Files {
    fn next(&mut self) -> Option<(usize, String)> {
        let path = self.paths.get(self.requested)?.clone();
        self.requested += 1;
        Some((self.requested - 1, path))
    }

    fn content(&mut self, request: usize, part: &[u8]) {
        self.contents[request].extend_from_slice(part);
    }

    fn finished(&mut self, request: usize) -> Result<()> {
        let file = below("/downloads", &self.paths[request])?;
        std::fs::write(file, std::mem::take(&mut self.contents[request]))?;
        self.saved += 1;
        Ok(())
    }
}

/// Downloads the files of some URLs on one connection.
fn download(urls: &str) -> Result<()> {
    let mut authority = "";
    let mut paths = Vec::new();
    for url in urls.split_whitespace() {
        let (server, path) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| format!("REQUESTS has {url:?} instead of https://host:port/path"))?;
        authority = server;
        paths.push(format!("/{path}"));
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let server = (host, port.parse()?)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| format!("{host} has no address"))?;
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let udp = UdpSocket::bind(local)?;
    let mut endpoint = Endpoint::new(udp, config("/certs/ca.pem", None)?, None)?;
    endpoint.key_log = key_log();
    let wanted = paths.len();
    let files = Files {
        contents: vec![Vec::new(); wanted],
        paths,
        requested: 0,
        saved: 0,
    };
    let connection = endpoint.connect(server, host, Client::new(authority, files))?;
    loop {
        endpoint.turn(None)?;
        if let Some(ended) = endpoint.take_ended().pop() {
            let saved = ended.application.requests.saved;
            if saved == wanted {
                return Ok(());
            }
            let why = ended.why;
            return Err(
                format!("the connection has ended with {saved} of {wanted} files: {why}").into(),
            );
        }
        if let Some((_, client)) = endpoint.get(connection) {
            if client.requests.saved == wanted {
                endpoint.close(connection);
            }
        }
    }
}
