//! A UDP socket that sends and receives many datagrams in a system call.

use crate::Result;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

/// The size of a buffer for received datagrams, which the system joins if they come from the same address.
const BUFFER: usize = 1 << 16;

pub(crate) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    buffers: Vec<u8>,
}

/// A received datagram.
pub(crate) struct Datagram<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) payload: &'a mut [u8],
}

impl Socket {
    pub(crate) fn new(udp: UdpSocket) -> Result<Socket> {
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        Ok(Socket {
            udp,
            state,
            buffers: vec![0; BATCH_SIZE * BUFFER],
        })
    }

    pub(crate) fn local(&self) -> Result<SocketAddr> {
        Ok(self.udp.local_addr()?)
    }

    /// Returns the largest number of datagrams that can be sent at once.
    pub(crate) fn most_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Passes a batch of datagrams to a function. It returns false if there is none.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(Datagram)) -> Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut chunks = self.buffers.chunks_exact_mut(BUFFER);
        let mut slices: [IoSliceMut; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let n = match self
            .state
            .recv(UdpSockRef::from(&self.udp), &mut slices, &mut metas)
        {
            Ok(n) => n,
            Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(err) => return Err(err.into()),
        };
        for (buffer, meta) in self.buffers.chunks_exact_mut(BUFFER).zip(&metas[..n]) {
            for payload in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                each(Datagram {
                    from: meta.addr,
                    payload,
                });
            }
        }
        Ok(true)
    }

    /// Sends datagrams of a size, of which the last may be smaller.
    pub(crate) fn send(&self, datagrams: &[u8], size: usize, to: SocketAddr) -> Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: datagrams,
            segment_size: Some(size).filter(|&size| size < datagrams.len()),
            src_ip: None,
        };
        loop {
            match self.state.send(UdpSockRef::from(&self.udp), &transmit) {
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [watched(self.udp.as_raw_fd(), libc::POLLOUT)], None)?;
                }
                sent => return Ok(sent?),
            }
        }
    }

    /// Waits for a datagram, for input of another file, or for the end of a time. It reports whether the other file has
    /// input.
    pub(crate) fn wait(&self, other: Option<RawFd>, limit: Option<Duration>) -> Result<bool> {
        // The system ignores a negative number.
        let mut files = [self.udp.as_raw_fd(), other.unwrap_or(-1)];
        let mut files = files.each_mut().map(|fd| watched(*fd, libc::POLLIN));
        poll(&mut files, limit)?;
        Ok(files[1].revents != 0)
    }
}

fn watched(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

fn poll(files: &mut [libc::pollfd], limit: Option<Duration>) -> Result<()> {
    let limit = limit.map(|d| libc::timespec {
        tv_sec: d.as_secs() as libc::time_t,
        tv_nsec: d.subsec_nanos().into(),
    });
    let timeout = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the pointers are to the slice with its length and to a local variable or null.
    let n = unsafe {
        libc::ppoll(
            files.as_mut_ptr(),
            files.len() as libc::nfds_t,
            timeout,
            std::ptr::null(),
        )
    };
    let err = io::Error::last_os_error();
    if n < 0 && err.kind() != ErrorKind::Interrupted {
        return Err(err.into());
    }
    Ok(())
}
