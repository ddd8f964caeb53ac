//! HTTP/0.9: requests, and the files that answer them.

use crate::Result;
use std::path::{Component, Path, PathBuf};

const WWW: &str = "/www";
const DOWNLOADS: &str = "/downloads";

/// A URL of the variable REQUESTS.
#[derive(Clone)]
pub struct Request {
    pub host: String,
    pub port: u16,
    pub path: String,
}

/// Parses REQUESTS.
pub fn parse(requests: &str) -> Result<Vec<Request>> {
    let parsed: Option<Vec<Request>> = requests.split_whitespace().map(parse_one).collect();
    match parsed {
        Some(list) if !list.is_empty() => Ok(list),
        _ => Err(
            format!("REQUESTS has no URLs of the form https://host:port/path: {requests:?}").into(),
        ),
    }
}

fn parse_one(url: &str) -> Option<Request> {
    let (authority, path) = url.strip_prefix("https://")?.split_once('/')?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    Some(Request {
        host: host.into(),
        port: port.parse().ok()?,
        path: path.into(),
    })
}

impl Request {
    /// Returns what the client sends.
    pub fn line(&self) -> Vec<u8> {
        format!("GET /{}\r\n", self.path).into_bytes()
    }

    /// Writes the downloaded file.
    pub async fn save(&self, content: &[u8]) -> Result<()> {
        Ok(tokio::fs::write(Path::new(DOWNLOADS).join(relative(&self.path)?), content).await?)
    }
}

/// Returns the file that a request asks for.
pub async fn answer(request: &[u8]) -> Result<Vec<u8>> {
    let path = std::str::from_utf8(request)?
        .strip_prefix("GET /")
        .ok_or("a request does not begin with GET /")?
        .trim_end();
    Ok(tokio::fs::read(Path::new(WWW).join(relative(path)?)).await?)
}

/// Returns a path that stays below the directory with which it is joined.
fn relative(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    let plain = |c: Component| matches!(c, Component::Normal(_));
    if path.components().all(plain) {
        Ok(path)
    } else {
        Err(format!("the path {path:?} is not below the directory").into())
    }
}

/// The longest request that a server reads.
pub const MAX_REQUEST: usize = 4096;
