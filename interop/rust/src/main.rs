//! An endpoint of quinn and s2n-quic for the QUIC interop runner: HTTP/0.9 over QUIC, and HTTP/3 with quinn. The environment
//! variable STACK selects the stack; the others are the runner's. docs/interop.md describes them.

mod files;
mod quinn_h3;
mod quinn_stack;
mod s2n_quic_stack;
mod tls;

use files::Request;
use std::{net::SocketAddr, process::ExitCode};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

/// The exit status by which the runner recognizes a test case that an endpoint does not support.
const UNSUPPORTED: u8 = 127;

/// What a client does in a test case.
#[derive(Clone, Copy, PartialEq)]
pub enum Download {
    /// All files on one connection at the same time.
    Together,
    /// A connection for each file.
    Separately,
    /// The first file on one connection, the others on one that resumes its session.
    Resumed,
    /// Like Resumed, with the requests as early data.
    Early,
}

/// A test case of the runner.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub download: Download,
}

impl Case {
    /// Returns None for a case that no stack here supports.
    fn named(name: &str) -> Option<Case> {
        let download = match name {
            "handshake" | "transfer" | "retry" | "keyupdate" | "chacha20" | "ecn" | "http3" => {
                Download::Together
            }
            "multiconnect" => Download::Separately,
            "resumption" => Download::Resumed,
            "zerortt" => Download::Early,
            _ => return None,
        };
        Some(Case {
            name: name.into(),
            download,
        })
    }

    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (stack, role, name) = (variable("STACK"), variable("ROLE"), variable("TESTCASE"));
    // quinn's server with a preferred address goes on sending from the other one, so nothing has connectionmigration.
    let supported = Case::named(&name).filter(|_| match stack.as_str() {
        "quinn" => true,
        // s2n-quic has no resumption without its unstable feature, no early data, and no key update at the request of its
        // user.
        "s2n-quic" => !["resumption", "zerortt", "keyupdate", "http3"].contains(&name.as_str()),
        _ => false,
    });
    let Some(case) = supported else {
        eprintln!(
            "interop-endpoint: stack {stack:?} as a {role} does not support test case {name:?}"
        );
        return ExitCode::from(UNSUPPORTED);
    };
    let runtime = tokio::runtime::Runtime::new().expect("tokio has no runtime");
    match runtime.block_on(run(&stack, &role, &case, &variable("REQUESTS"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("interop-endpoint: {err}");
            ExitCode::FAILURE
        }
    }
}

async fn run(stack: &str, role: &str, case: &Case, requests: &str) -> Result<()> {
    if role == "server" {
        return match stack {
            "quinn" => quinn_stack::serve(case).await,
            _ => s2n_quic_stack::serve(case).await,
        };
    }
    let requests = files::parse(requests)?;
    let server = resolve(&requests[0]).await?;
    match stack {
        "quinn" => quinn_stack::download(case, server, &requests).await,
        _ => s2n_quic_stack::download(case, server, &requests).await,
    }
}

/// Returns the first address of the server.
async fn resolve(request: &Request) -> Result<SocketAddr> {
    let mut addrs = tokio::net::lookup_host((request.host.as_str(), request.port)).await?;
    addrs
        .next()
        .ok_or_else(|| format!("{} has no address", request.host).into())
}

/// Divides the requests among the connections of a case.
pub fn connections(download: Download, requests: &[Request]) -> Vec<&[Request]> {
    match download {
        Download::Together => vec![requests],
        Download::Separately => requests.chunks(1).collect(),
        Download::Resumed | Download::Early => vec![&requests[..1], &requests[1..]],
    }
}
