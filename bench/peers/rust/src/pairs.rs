//! Handshakes in memory: a client and a server of the TLS libraries alone, as their QUIC stacks use them.

use crate::{Result, Settings, tls, workloads::Done};
use rustls::{
    pki_types::ServerName,
    quic::{ClientConnection, Connection as RustlsConnection, ServerConnection, Version},
};
use s2n_tls::{
    config::Config,
    connection::Connection,
    enums::{Blinding, Mode},
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    ffi::{c_int, c_void},
    sync::Arc,
    task::Poll,
    time::Instant,
};

const PARAMETERS: &[u8] = b"transport parameters of a connection";

/// Returns a function that carries out one handshake with what a stack uses.
pub fn of(stack: &str, s: &Settings) -> Result<Box<dyn Fn() -> Result<()>>> {
    match stack {
        "s2n-quic-s2n-tls" => s2n_pair(s),
        "s2n-quic-rustls" | "quinn" => rustls_pair(s),
        _ => Err(format!("there is no stack {stack:?} in Rust").into()),
    }
}

/// Carries out n handshakes.
pub fn repeat(n: u64, pair: &dyn Fn() -> Result<()>) -> Result<Done> {
    let began = Instant::now();
    for _ in 0..n {
        pair()?;
    }
    Ok(Done {
        amount: n,
        elapsed: began.elapsed(),
        ..Done::default()
    })
}

/// rustls also derives the packet keys.
fn rustls_pair(s: &Settings) -> Result<Box<dyn Fn() -> Result<()>>> {
    let client = Arc::new(tls::rustls_client(s)?);
    let server = Arc::new(tls::rustls_server(s)?);
    let name = ServerName::try_from(tls::SERVER_NAME)?;
    Ok(Box::new(move || {
        let (client, server) = (client.clone(), server.clone());
        let params = PARAMETERS.to_vec();
        let mut ends = [
            RustlsConnection::Client(ClientConnection::new(
                client,
                Version::V1,
                name.clone(),
                params.clone(),
            )?),
            RustlsConnection::Server(ServerConnection::new(server, Version::V1, params)?),
        ];
        // Messages that one end sends at one level go to the other in one call.
        while ends.iter().any(|end| end.is_handshaking()) {
            let mut moved = false;
            for from in 0..2 {
                loop {
                    let mut messages = Vec::new();
                    let keys = ends[from].write_hs(&mut messages);
                    if !messages.is_empty() {
                        ends[1 - from].read_hs(&messages)?;
                    }
                    moved |= keys.is_some() || !messages.is_empty();
                    if keys.is_none() {
                        break;
                    }
                }
            }
            if !moved {
                return Err("the handshake in memory does not complete".into());
            }
        }
        Ok(())
    }))
}

/// What one end of a connection of s2n-tls has sent.
type Pipe = RefCell<VecDeque<u8>>;

/// s2n-tls hands the traffic secrets over; s2n-quic derives the packet keys from them.
fn s2n_pair(s: &Settings) -> Result<Box<dyn Fn() -> Result<()>>> {
    let mut client = Config::builder();
    client.set_security_policy(&s.group.policy()?)?;
    client.with_system_certs(false)?;
    client.trust_pem(s.cert.as_bytes())?;
    client.set_application_protocol_preference([tls::ALPN])?;
    let client = client.build()?;
    let mut server = Config::builder();
    server.set_security_policy(&s.group.policy()?)?;
    server.load_pem(s.cert.as_bytes(), s.key.as_bytes())?;
    server.set_application_protocol_preference([tls::ALPN])?;
    let server = server.build()?;
    Ok(Box::new(move || {
        let (up, down) = (Pipe::default(), Pipe::default());
        let mut client = s2n_end(Mode::Client, client.clone(), &up, &down)?;
        client.set_server_name(tls::SERVER_NAME)?;
        let mut server = s2n_end(Mode::Server, server.clone(), &down, &up)?;
        loop {
            let polls = [client.poll_negotiate(), server.poll_negotiate()];
            let ready = polls.iter().all(|poll| poll.is_ready());
            for poll in polls {
                if let Poll::Ready(result) = poll {
                    result?;
                }
            }
            if ready {
                return Ok(());
            }
            if up.borrow().is_empty() && down.borrow().is_empty() {
                return Err("the handshake in memory does not complete".into());
            }
        }
    }))
}

/// Returns one end of a connection. The pipes must outlive it.
fn s2n_end(mode: Mode, config: Config, out: &Pipe, input: &Pipe) -> Result<Connection> {
    let mut c = Connection::new(mode);
    c.set_config(config)?;
    c.enable_quic()?;
    c.set_quic_transport_parameters(PARAMETERS)?;
    c.set_blinding(Blinding::SelfService)?;
    c.set_send_callback(Some(send))?;
    c.set_receive_callback(Some(receive))?;
    // SAFETY: the caller keeps the pipes as long as the connection. The callbacks only borrow them.
    unsafe {
        c.set_send_context(std::ptr::from_ref(out).cast_mut().cast())?;
        c.set_receive_context(std::ptr::from_ref(input).cast_mut().cast())?;
    }
    Ok(c)
}

/// Appends data to the pipe.
unsafe extern "C" fn send(context: *mut c_void, data: *const u8, len: u32) -> c_int {
    // SAFETY: context is a pipe, and s2n-tls passes len bytes.
    let (pipe, data) = unsafe {
        (
            &*context.cast::<Pipe>(),
            std::slice::from_raw_parts(data, len as usize),
        )
    };
    pipe.borrow_mut().extend(data);
    len as c_int
}

/// Takes up to len bytes from the pipe. An empty pipe blocks.
unsafe extern "C" fn receive(context: *mut c_void, data: *mut u8, len: u32) -> c_int {
    // SAFETY: context is a pipe, and s2n-tls has room for len bytes.
    let (pipe, data) = unsafe {
        (
            &*context.cast::<Pipe>(),
            std::slice::from_raw_parts_mut(data, len as usize),
        )
    };
    let mut pipe = pipe.borrow_mut();
    let n = pipe.len().min(data.len());
    if n == 0 {
        // SAFETY: errno belongs to this thread.
        unsafe { *libc::__errno_location() = libc::EWOULDBLOCK };
        return -1;
    }
    for (to, from) in data.iter_mut().zip(pipe.drain(..n)) {
        *to = from;
    }
    n as c_int
}
