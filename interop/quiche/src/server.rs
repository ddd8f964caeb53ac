//! A server of HTTP/3.

use crate::{Application, Connection, Result, field};
use bytes::Bytes;
use quiche::h3::{self, Event, Header};
use std::collections::HashMap;

/// The content of a response: a block that is repeated.
pub struct Body {
    pub block: Bytes,
    pub size: u64,
}

/// Returns the header fields and the content of the response for a path.
pub type Handler = fn(path: &str) -> (Vec<Header>, Body);

/// Answers GET requests.
pub struct Server {
    handler: Handler,
    http: Option<h3::Connection>,
    responses: HashMap<u64, Response>, // by stream
}

/// What is left of a response.
struct Response {
    header: Option<Vec<Header>>,
    body: Body,
}

impl Server {
    pub fn new(handler: Handler) -> Server {
        Server {
            handler,
            http: None,
            responses: HashMap::new(),
        }
    }
}

impl Application for Server {
    fn advance(&mut self, connection: &mut Connection, _: &mut [u8]) -> Result<()> {
        let http = match &mut self.http {
            Some(http) => http,
            None => self.http.insert(h3::Connection::with_transport(
                connection,
                &h3::Config::new()?,
            )?),
        };
        if !self.responses.is_empty() {
            for stream in connection.writable() {
                if let Some(response) = self.responses.get_mut(&stream) {
                    if response.send(http, connection, stream)? {
                        self.responses.remove(&stream);
                    }
                }
            }
        }
        loop {
            match http.poll(connection) {
                Ok((stream, Event::Headers { list, .. })) => {
                    let (header, body) = (self.handler)(field(&list, b":path"));
                    let mut response = Response {
                        header: Some(header),
                        body,
                    };
                    if !response.send(http, connection, stream)? {
                        self.responses.insert(stream, response);
                    }
                }
                Ok((stream, Event::Reset(_))) => {
                    self.responses.remove(&stream);
                }
                // A request without content ends with its header.
                Ok(_) => {}
                Err(h3::Error::Done) => return Ok(()),
                Err(err) => return Err(err.into()),
            }
        }
    }
}

impl Response {
    /// Sends as much as the stream takes. It returns true at the end.
    fn send(&mut self, http: &mut h3::Connection, c: &mut Connection, stream: u64) -> Result<bool> {
        if let Some(header) = &self.header {
            match http.send_response(c, stream, header, self.body.size == 0) {
                Ok(()) => self.header = None,
                Err(h3::Error::StreamBlocked) => return Ok(false),
                // The client no longer wants it.
                Err(h3::Error::TransportError(quiche::Error::StreamStopped(_))) => return Ok(true),
                Err(err) => return Err(err.into()),
            }
        }
        let length = self.body.block.len() as u64;
        while self.body.size > 0 {
            let from = ((length - self.body.size % length) % length) as usize;
            let n = self.body.size.min(length - from as u64) as usize;
            let mut part = self.body.block.slice(from..from + n);
            match http.send_body_zc(c, stream, &mut part, n as u64 == self.body.size) {
                Ok(n) => self.body.size -= n as u64,
                Err(h3::Error::Done) => return Ok(false),
                Err(h3::Error::TransportError(quiche::Error::StreamStopped(_))) => return Ok(true),
                Err(err) => return Err(err.into()),
            }
        }
        Ok(true)
    }
}
