//! Sockets with large buffers, CPU time and memory.

use crate::Result;
use std::{
    mem::size_of,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

/// The size of the socket buffers of all stacks, in bytes.
const SOCKET_BUFFER: libc::c_int = 7 << 20;

/// A UDP socket.
pub struct Socket {
    pub udp: UdpSocket,
    pub addr: SocketAddr,
}

impl Socket {
    /// Opens a socket on a local address. The kernel chooses a port that is 0.
    pub fn new(local: SocketAddr) -> Result<Socket> {
        let udp = UdpSocket::bind(local)?;
        udp.set_nonblocking(true)?;
        let socket = Socket {
            addr: udp.local_addr()?,
            udp,
        };
        // Beyond the system's limit if this process may do that.
        for (force, limited) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            if !socket.set(force) && !socket.set(limited) {
                return Err(std::io::Error::last_os_error().into());
            }
        }
        Ok(socket)
    }

    fn set(&self, option: libc::c_int) -> bool {
        let value = SOCKET_BUFFER;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the pointer is to a local variable of the given size.
        unsafe {
            libc::setsockopt(
                self.udp.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const value).cast(),
                size,
            ) == 0
        }
    }

    fn get(&self, option: libc::c_int) -> libc::c_int {
        let mut value: libc::c_int = 0;
        let mut size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: both pointers are to local variables, and size is that of value.
        unsafe {
            libc::getsockopt(
                self.udp.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw mut value).cast(),
                &raw mut size,
            )
        };
        value
    }

    /// Returns the sizes of the buffers that the kernel reports, for the line that says that the driver is ready.
    pub fn buffers(&self) -> String {
        format!(
            "rcvbuf={} sndbuf={}",
            self.get(libc::SO_RCVBUF),
            self.get(libc::SO_SNDBUF)
        )
    }
}

/// Returns the user and system time of this process.
pub fn cpu_time() -> Duration {
    // SAFETY: a rusage may consist of zeros, and getrusage writes to nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|t| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64))
        .sum()
}

/// Returns the size of the resident set of this process in bytes, or 0 if it is unknown.
pub fn resident_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok())
        .unwrap_or_default();
    // SAFETY: sysconf has no preconditions.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}

/// Returns unused memory to the system, if the C library can do that.
pub fn free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}
