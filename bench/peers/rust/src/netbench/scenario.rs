//! The scenarios of netbench, as far as these drivers run them.

use crate::Result;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

pub type Ops = Arc<[Op]>;

/// An operation of a connection. The numbers of streams are the logical ones of the scenario.
pub enum Op {
    Sleep(Duration),
    Open(u64),
    Send {
        stream: u64,
        bytes: u64,
    },
    SendFinish(u64),
    Receive {
        stream: u64,
        bytes: u64,
    },
    ReceiveAll(u64),
    ReceiveFinish(u64),
    Trace,
    Profile {
        trace: u64,
        ops: Ops,
    },
    Iterate {
        limit: Limit,
        trace: Option<u64>,
        ops: Ops,
    },
    Scope(Vec<Ops>),
}

/// When an iteration ends.
pub enum Limit {
    Time(Duration),
    Count(u64),
}

/// An operation of a client.
pub enum ClientOp {
    Sleep(Duration),
    Scope(Vec<Arc<[ClientOp]>>),
    Connect {
        server: usize,
        server_connection: u64,
        client_connection: usize,
    },
}

/// The script of one side of a connection.
pub struct Connection {
    pub ops: Ops,
    pub peer_streams: Vec<Ops>,
}

pub struct Client {
    pub ops: Arc<[ClientOp]>,
    pub connections: Vec<Connection>,
    /// The certificates that the client trusts, in PEM.
    pub authorities: String,
}

pub struct Server {
    pub connections: Vec<Connection>,
    /// The certificate chain and the key, in PEM.
    pub chain: String,
    pub key: String,
    authority: String,
}

pub struct Scenario {
    pub id: String,
    pub traces: Vec<String>,
    pub clients: Vec<Client>,
    pub servers: Vec<Server>,
}

impl Scenario {
    /// Reads a file. Operations that these drivers do not support are an error.
    pub fn load(file: &str) -> Result<Scenario> {
        let text = std::fs::read_to_string(file).map_err(|err| format!("{file}: {err}"))?;
        let root: Value = serde_json::from_str(&text).map_err(|err| format!("{file}: {err}"))?;
        parse(&root).map_err(|err| format!("{file}: {err}").into())
    }
}

fn parse(root: &Value) -> Result<Scenario> {
    let certificates = &root["certificates"];
    let pem = |index: &Value| -> Result<String> {
        let index = index.as_u64().ok_or("a certificate's number is missing")? as usize;
        let text = certificates[index]["pem"].as_str();
        Ok(text
            .ok_or_else(|| format!("certificate {index} is missing"))?
            .to_string())
    };
    let mut servers = Vec::new();
    for server in list(&root["servers"]) {
        servers.push(Server {
            connections: connections(server)?,
            chain: pem(&server["certificate"])?,
            key: pem(&server["private_key"])?,
            authority: pem(&server["certificate_authority"])?,
        });
    }
    let mut clients = Vec::new();
    for client in list(&root["clients"]) {
        let mut authorities = String::new();
        for index in list(&client["certificate_authorities"]) {
            authorities += &pem(index)?;
        }
        if authorities.is_empty() {
            authorities = servers
                .iter()
                .map(|server| server.authority.as_str())
                .collect();
        }
        clients.push(Client {
            ops: client_ops(&client["scenario"])?,
            connections: connections(client)?,
            authorities,
        });
    }
    Ok(Scenario {
        id: root["id"].as_str().ok_or("\"id\" is missing")?.to_string(),
        traces: list(&root["traces"])
            .iter()
            .filter_map(|name| name.as_str())
            .map(String::from)
            .collect(),
        clients,
        servers,
    })
}

/// Returns the values of a list. One that is missing is empty.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn connections(end: &Value) -> Result<Vec<Connection>> {
    let mut out = Vec::new();
    for connection in list(&end["connections"]) {
        out.push(Connection {
            ops: ops(&connection["ops"])?,
            peer_streams: threads(&connection["peer_streams"])?,
        });
    }
    Ok(out)
}

fn threads(value: &Value) -> Result<Vec<Ops>> {
    list(value).iter().map(ops).collect()
}

fn ops(value: &Value) -> Result<Ops> {
    list(value).iter().map(op).collect()
}

/// Splits an operation into its name and its fields.
fn named(value: &Value) -> Result<(&str, &Value)> {
    let entry = value.as_object().and_then(|object| object.iter().next());
    let (name, fields) = entry.ok_or_else(|| format!("{value} is not an operation"))?;
    Ok((name, fields))
}

fn number(fields: &Value, name: &str) -> Result<u64> {
    Ok(fields[name]
        .as_u64()
        .ok_or_else(|| format!("{name:?} is missing in {fields}"))?)
}

fn millis(fields: &Value, name: &str) -> Result<Duration> {
    Ok(Duration::from_millis(number(fields, name)?))
}

fn op(value: &Value) -> Result<Op> {
    let (name, fields) = named(value)?;
    let stream = || number(fields, "stream_id");
    let bytes = || number(fields, "bytes");
    Ok(match name {
        "sleep" => Op::Sleep(millis(fields, "amount_ms")?),
        "open_bidirectional_stream" => Op::Open(stream()?),
        "send" => Op::Send {
            stream: stream()?,
            bytes: bytes()?,
        },
        "send_finish" => Op::SendFinish(stream()?),
        "receive" => Op::Receive {
            stream: stream()?,
            bytes: bytes()?,
        },
        "receive_all" => Op::ReceiveAll(stream()?),
        "receive_finish" => Op::ReceiveFinish(stream()?),
        "trace" => Op::Trace,
        "profile" => Op::Profile {
            trace: number(fields, "trace_id")?,
            ops: ops(&fields["operations"])?,
        },
        "iterate" => {
            let value = &fields["value"];
            let limit = match value["time"].is_null() {
                true => Limit::Count(number(&value["count"], "amount")?),
                false => Limit::Time(millis(&value["time"], "amount_ms")?),
            };
            Op::Iterate {
                limit,
                trace: fields["trace_id"].as_u64(),
                ops: ops(&fields["operations"])?,
            }
        }
        "scope" => Op::Scope(threads(&fields["threads"])?),
        _ => {
            return Err(
                format!("the drivers on s2n-quic and quinn do not support {name:?}").into(),
            );
        }
    })
}

fn client_ops(value: &Value) -> Result<Arc<[ClientOp]>> {
    list(value).iter().map(client_op).collect()
}

fn client_op(value: &Value) -> Result<ClientOp> {
    let (name, fields) = named(value)?;
    Ok(match name {
        "sleep" => ClientOp::Sleep(millis(fields, "timeout_ms")?),
        "scope" => {
            let threads = list(&fields["threads"]).iter().map(client_ops);
            ClientOp::Scope(threads.collect::<Result<_>>()?)
        }
        "connect" if fields["router_id"].is_null() => ClientOp::Connect {
            server: number(fields, "server_id")? as usize,
            server_connection: number(fields, "server_connection_id")?,
            client_connection: number(fields, "client_connection_id")? as usize,
        },
        "connect" => return Err("the drivers on s2n-quic and quinn do not support routers".into()),
        _ => {
            return Err(
                format!("the drivers on s2n-quic and quinn do not support {name:?}").into(),
            );
        }
    })
}
