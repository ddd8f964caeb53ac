//! A client of HTTP/3.

use crate::{Application, Connection, Result, field};
use quiche::h3::{self, Event, Header};
use std::collections::HashMap;

/// What a client requests on a connection. It gives a number to each request.
pub trait Requests {
    /// Returns the next request and its path, or None if there is none now.
    fn next(&mut self) -> Option<(usize, String)>;
    /// Takes a part of the content of a response.
    fn content(&mut self, request: usize, part: &[u8]);
    /// Takes the end of a response.
    fn finished(&mut self, request: usize) -> Result<()>;
}

/// Sends GET requests. A response whose status is not 200 is an error.
pub struct Client<R> {
    pub requests: R,
    authority: String,
    http: Option<h3::Connection>,
    streams: HashMap<u64, usize>, // the requests by stream
    blocked: Option<(usize, String)>,
}

impl<R> Client<R> {
    pub fn new(authority: &str, requests: R) -> Client<R> {
        Client {
            requests,
            authority: authority.into(),
            http: None,
            streams: HashMap::new(),
            blocked: None,
        }
    }
}

impl<R: Requests> Application for Client<R> {
    fn advance(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<()> {
        if self.http.is_none() {
            let http = h3::Connection::with_transport(connection, &h3::Config::new()?)?;
            self.http = Some(http);
        }
        self.receive(connection, buffer)?;
        self.send(connection)
    }
}

impl<R: Requests> Client<R> {
    fn receive(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<()> {
        let Some(http) = &mut self.http else {
            return Ok(());
        };
        loop {
            let (stream, event) = match http.poll(connection) {
                Ok(event) => event,
                Err(h3::Error::Done) => return Ok(()),
                Err(err) => return Err(err.into()),
            };
            let Some(&request) = self.streams.get(&stream) else {
                continue;
            };
            match event {
                Event::Headers { list, .. } => match field(&list, b":status") {
                    "200" => {}
                    status => return Err(format!("the status is {status:?}").into()),
                },
                Event::Data => {
                    while let Ok(n) = http.recv_body(connection, stream, buffer) {
                        self.requests.content(request, &buffer[..n]);
                    }
                }
                Event::Finished => {
                    self.streams.remove(&stream);
                    self.requests.finished(request)?;
                }
                Event::Reset(code) => {
                    return Err(format!("the server has reset a response with {code:#x}").into());
                }
                Event::PriorityUpdate | Event::GoAway => {}
            }
        }
    }

    fn send(&mut self, connection: &mut Connection) -> Result<()> {
        let Some(http) = &mut self.http else {
            return Ok(());
        };
        while let Some((request, path)) = self.blocked.take().or_else(|| self.requests.next()) {
            let header = [
                Header::new(b":method", b"GET"),
                Header::new(b":scheme", b"https"),
                Header::new(b":authority", self.authority.as_bytes()),
                Header::new(b":path", path.as_bytes()),
            ];
            match http.send_request(connection, &header, true) {
                Ok(stream) => {
                    self.streams.insert(stream, request);
                }
                Err(
                    h3::Error::StreamBlocked
                    | h3::Error::TransportError(quiche::Error::StreamLimit),
                ) => {
                    self.blocked = Some((request, path));
                    return Ok(());
                }
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }
}
