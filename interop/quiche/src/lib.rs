//! An event loop and HTTP/3 of quiche, which has no sockets itself. The loop has one thread, and sends and receives
//! datagrams in batches by the crate quinn-udp.

pub mod client;
mod endpoint;
pub mod server;
mod socket;
pub mod tls;

use bytes::Bytes;

pub use endpoint::{Application, Endpoint};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

/// A connection whose streams send buffers without copying them.
pub type Connection = quiche::Connection<Buffers>;

/// The buffers of streams.
#[derive(Clone, Debug, Default)]
pub struct Buffers;

impl quiche::BufFactory for Buffers {
    type Buf = Bytes;
    type DgramBuf = Vec<u8>;

    fn buf_from_slice(buf: &[u8]) -> Bytes {
        Bytes::copy_from_slice(buf)
    }

    fn dgram_buf_from_slice(buf: &[u8]) -> Vec<u8> {
        buf.into()
    }
}

/// Returns the value of a header field, or an empty string.
fn field<'a>(list: &'a [quiche::h3::Header], name: &[u8]) -> &'a str {
    use quiche::h3::NameValue;
    list.iter()
        .find(|h| h.name() == name)
        .and_then(|h| std::str::from_utf8(h.value()).ok())
        .unwrap_or_default()
}
