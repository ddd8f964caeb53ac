//! Connections of a socket.

use crate::{Connection, Result, socket::Socket};
use quiche::{ConnectionId, Header, RecvInfo, Type};
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    net::{SocketAddr, UdpSocket},
    os::fd::RawFd,
    path::PathBuf,
    time::Instant,
};

/// The length of our connection IDs.
const ID_LENGTH: usize = 16;

/// The code with which a connection ends as planned: H3_NO_ERROR.
const DONE: u64 = 0x100;

/// The code with which a connection ends after an error of the application: H3_INTERNAL_ERROR.
const FAILED: u64 = 0x102;

/// What uses a connection.
pub trait Application {
    /// Uses a connection after its handshake, when its state may have changed. An error closes the connection. The buffer
    /// is for any data.
    fn advance(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<()>;
}

struct Entry<A> {
    connection: Connection,
    application: A,
    ids: Vec<Vec<u8>>,
    timer: Option<Instant>,
    /// Why the application has closed the connection.
    error: Option<String>,
    touched: bool,
}

/// A connection that has ended.
pub struct Ended<A> {
    pub number: u64,
    pub application: A,
    pub why: String,
}

/// A socket with its connections. They have numbers.
pub struct Endpoint<A> {
    socket: Socket,
    local: SocketAddr,
    config: quiche::Config,
    /// Returns the application of a new connection of a server.
    accept: Option<fn() -> A>,
    /// Where the TLS secrets of new connections go.
    pub key_log: Option<PathBuf>,
    entries: HashMap<u64, Entry<A>>,
    numbers: HashMap<Vec<u8>, u64>, // by connection ID
    timers: BTreeSet<(Instant, u64)>,
    touched: Vec<u64>,
    ended: Vec<Ended<A>>,
    next: u64,
    output: Vec<u8>,
    buffer: Vec<u8>,
}

impl<A: Application> Endpoint<A> {
    pub fn new(udp: UdpSocket, config: quiche::Config, accept: Option<fn() -> A>) -> Result<Self> {
        let socket = Socket::new(udp)?;
        Ok(Endpoint {
            local: socket.local()?,
            socket,
            config,
            accept,
            key_log: None,
            entries: HashMap::new(),
            numbers: HashMap::new(),
            timers: BTreeSet::new(),
            touched: Vec::new(),
            ended: Vec::new(),
            next: 0,
            output: vec![0; 1 << 16],
            buffer: vec![0; 1 << 16],
        })
    }

    /// Begins a connection and returns its number.
    pub fn connect(&mut self, to: SocketAddr, name: &str, application: A) -> Result<u64> {
        let id = new_id()?;
        let connection = quiche::connect_with_buffer_factory(
            Some(name),
            &ConnectionId::from_ref(&id),
            self.local,
            to,
            &mut self.config,
        )?;
        self.add(connection, application, vec![id])
    }

    fn add(
        &mut self,
        mut connection: Connection,
        application: A,
        ids: Vec<Vec<u8>>,
    ) -> Result<u64> {
        if let Some(path) = &self.key_log {
            let file = File::options().append(true).create(true).open(path)?;
            connection.set_keylog(Box::new(file));
        }
        let number = self.next;
        self.next += 1;
        for id in &ids {
            self.numbers.insert(id.clone(), number);
        }
        let entry = Entry {
            connection,
            application,
            ids,
            timer: None,
            error: None,
            touched: false,
        };
        self.entries.insert(number, entry);
        self.touch(number);
        Ok(number)
    }

    /// Has the application of a connection, and what it sends, looked at in the next turn.
    fn touch(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number).filter(|e| !e.touched) {
            entry.touched = true;
            self.touched.push(number);
        }
    }

    /// Returns a connection and its application, which may now use it in another way.
    pub fn get(&mut self, number: u64) -> Option<(&mut Connection, &mut A)> {
        self.touch(number);
        let entry = self.entries.get_mut(&number)?;
        Some((&mut entry.connection, &mut entry.application))
    }

    /// Closes a connection.
    pub fn close(&mut self, number: u64) {
        if let Some((connection, _)) = self.get(number) {
            // An error says that it is closed already.
            let _ = connection.close(true, DONE, b"");
        }
    }

    /// Returns the connections that have ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Ended<A>> {
        std::mem::take(&mut self.ended)
    }

    /// Waits for datagrams, timers, or input of another file, and handles the first two. It reports whether the other file
    /// has input.
    pub fn turn(&mut self, other: Option<RawFd>) -> Result<bool> {
        self.flush()?;
        let now = Instant::now();
        let limit = self
            .timers
            .first()
            .map(|(at, _)| at.saturating_duration_since(now));
        let has_input = self.socket.wait(other, limit)?;
        while self.receive()? {
            self.flush()?;
        }
        self.expire();
        self.flush()?;
        Ok(has_input)
    }

    /// Receives a batch of datagrams. It returns false if there is none.
    fn receive(&mut self) -> Result<bool> {
        // The socket is borrowed while its datagrams are used.
        let mut arrived = Vec::new();
        let mut strangers = Vec::new();
        let (numbers, entries, local) = (&self.numbers, &mut self.entries, self.local);
        let any = self.socket.receive(|datagram| {
            let id = destination(datagram.payload);
            let Some((&number, entry)) = id
                .and_then(|id| numbers.get(id))
                .and_then(|number| Some((number, entries.get_mut(number)?)))
            else {
                strangers.push((datagram.from, datagram.payload.to_vec()));
                return;
            };
            let info = RecvInfo {
                from: datagram.from,
                to: local,
            };
            // quiche closes the connection if that is the answer to an error.
            let _ = entry.connection.recv(datagram.payload, info);
            if !entry.touched {
                entry.touched = true;
                arrived.push(number);
            }
        })?;
        self.touched.append(&mut arrived);
        for (from, mut payload) in strangers {
            self.accept(from, &mut payload)?;
        }
        Ok(any)
    }

    /// Handles a datagram that belongs to no connection: a server makes one for an Initial packet.
    fn accept(&mut self, from: SocketAddr, payload: &mut [u8]) -> Result<()> {
        let Some(application) = self.accept else {
            return Ok(());
        };
        let Ok(header) = Header::from_slice(payload, ID_LENGTH) else {
            return Ok(());
        };
        if header.ty == Type::Short {
            return Ok(());
        }
        if !quiche::version_is_supported(header.version) {
            if payload.len() >= 1200 {
                let n = quiche::negotiate_version(&header.scid, &header.dcid, &mut self.output)?;
                self.socket.send(&self.output[..n], n, from)?;
            }
            return Ok(());
        }
        // A further datagram of a new connection in the same batch.
        let known = self.numbers.get(header.dcid.as_ref()).copied();
        let number = match known {
            Some(number) => number,
            None if header.ty == Type::Initial => {
                let id = new_id()?;
                let connection = quiche::accept_with_buf_factory(
                    &ConnectionId::from_ref(&id),
                    None,
                    self.local,
                    from,
                    &mut self.config,
                )?;
                self.add(connection, application(), vec![id, header.dcid.to_vec()])?
            }
            None => return Ok(()),
        };
        let to = self.local;
        if let Some((connection, _)) = self.get(number) {
            let _ = connection.recv(payload, RecvInfo { from, to });
        }
        Ok(())
    }

    /// Handles the timers that have expired.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(at, number)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, number));
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.timer = None;
                entry.connection.on_timeout();
            }
            self.touch(number);
        }
    }

    /// Advances the applications whose connections may have changed, and sends what there is to send.
    fn flush(&mut self) -> Result<()> {
        while let Some(number) = self.touched.pop() {
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            entry.touched = false;
            let connection = &mut entry.connection;
            if connection.is_established() && !connection.is_draining() && !connection.is_closed() {
                if let Err(err) = entry.application.advance(connection, &mut self.buffer) {
                    let _ = connection.close(true, FAILED, err.to_string().as_bytes());
                    entry.error.get_or_insert(err.to_string());
                }
            }
            send_all(&self.socket, connection, &mut self.output)?;
            let timer = connection.timeout_instant();
            if timer != entry.timer {
                if let Some(at) = entry.timer {
                    self.timers.remove(&(at, number));
                }
                self.timers.extend(timer.map(|at| (at, number)));
                entry.timer = timer;
            }
            if connection.is_closed() {
                self.remove(number);
            }
        }
        Ok(())
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.entries.remove(&number) else {
            return;
        };
        for id in &entry.ids {
            self.numbers.remove(id);
        }
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, number));
        }
        if self.accept.is_none() {
            let c = &entry.connection;
            let why = entry
                .error
                .or_else(|| {
                    c.peer_error()
                        .map(|e| format!("the peer has closed it: {e:?}"))
                })
                .or_else(|| c.local_error().map(|e| format!("it has failed: {e:?}")))
                .unwrap_or_else(|| "it has timed out".into());
            self.ended.push(Ended {
                number,
                application: entry.application,
                why,
            });
        }
    }
}

/// Sends all packets that a connection may send now, without pacing. Packets of one size leave in one system call.
fn send_all(socket: &Socket, connection: &mut Connection, output: &mut [u8]) -> Result<()> {
    let most = socket.most_segments();
    loop {
        let (mut end, mut size, mut count) = (0, 0, 0);
        let mut to = None;
        let mut done = false;
        while count < most {
            let room = output.len() - end;
            // Each datagram of a batch but the last has the size of the first.
            let limit = if size == 0 { room } else { size.min(room) };
            if limit < size || room < connection.max_send_udp_payload_size() {
                break;
            }
            let (n, info) = match connection.send(&mut output[end..end + limit]) {
                Ok(sent) => sent,
                // An error closes the connection, whose last packet comes in the next call.
                Err(quiche::Error::Done) => {
                    done = true;
                    break;
                }
                Err(err) => {
                    let _ = connection.close(false, 1, err.to_string().as_bytes());
                    break;
                }
            };
            end += n;
            count += 1;
            to = Some(info.to);
            if size == 0 {
                size = n;
            } else if n < size {
                break;
            }
        }
        if let Some(to) = to {
            socket.send(&output[..end], size, to)?;
        }
        if done || to.is_none() {
            return Ok(());
        }
    }
}

/// Returns the destination connection ID of a packet.
fn destination(packet: &[u8]) -> Option<&[u8]> {
    let long = packet.first()? & 0x80 != 0;
    if !long {
        return packet.get(1..1 + ID_LENGTH);
    }
    let length = usize::from(*packet.get(5)?);
    packet.get(6..6 + length)
}

fn new_id() -> Result<Vec<u8>> {
    let mut id = vec![0; ID_LENGTH];
    boring::rand::rand_bytes(&mut id)?;
    Ok(id)
}
