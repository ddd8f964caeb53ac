//! The server.

use bytes::Bytes;
use quiche::h3::Header;
use quiche_endpoint::server::{Body, Server};

pub const SMALL_PATH: &str = "/small"; // with a response of SMALL_SIZE bytes
pub const BYTES_PATH: &str = "/bytes/"; // with as many bytes as the number that follows
pub const SMALL_SIZE: u64 = 1000;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

pub fn new() -> Server {
    Server::new(answer)
}

fn answer(path: &str) -> (Vec<Header>, Body) {
    let (status, size) = match path.strip_prefix(BYTES_PATH).map(str::parse::<u64>) {
        Some(Ok(size)) => ("200", size),
        _ if path == SMALL_PATH => ("200", SMALL_SIZE),
        _ => ("404", 0),
    };
    // What net/http sends.
    let header = vec![
        Header::new(b":status", status.as_bytes()),
        Header::new(b"content-type", b"text/plain"),
        Header::new(b"content-length", size.to_string().as_bytes()),
        Header::new(b"date", b"Sun, 29 Nov 2026 12:00:00 GMT"),
    ];
    let block = Bytes::from_static(&ZEROS);
    (header, Body { block, size })
}
