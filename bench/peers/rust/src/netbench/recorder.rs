//! Counts what a driver does, and writes the lines and the summary that netbench's Go package stats defines.

use crate::{Result, system};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::fd::FromRawFd,
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A distribution of microseconds, precise to one percent.
#[derive(Clone, Default)]
pub struct Histogram {
    /// The number of values by the lower bound of their bucket.
    buckets: BTreeMap<u64, u64>,
    count: u64,
    total: u64,
    max: u64,
}

/// The number of leading bits that values of a bucket share.
const PRECISION: u32 = 8;

/// Returns the bounds of the bucket of a value: the lower one, and the upper one, which is outside of it.
fn bucket(value: u64) -> (u64, u64) {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION);
    let lower = value >> shift << shift;
    (lower, lower + (1 << shift))
}

impl Histogram {
    pub fn add(&mut self, took: Duration) {
        let value = took.as_micros() as u64;
        *self.buckets.entry(bucket(value).0).or_default() += 1;
        self.count += 1;
        self.total += value;
        self.max = self.max.max(value);
    }

    fn profile(&self) -> Value {
        let buckets = self.buckets.iter().map(
            |(&lower, &count)| json!({"lower": lower, "upper": bucket(lower).1, "count": count}),
        );
        json!({"stat": {"count": self.count, "total": self.total}, "buckets": buckets.collect::<Vec<_>>()})
    }

    /// Returns the largest value of the bucket at a quantile.
    fn quantile(&self, quantile: f64) -> u64 {
        let rank = (self.count as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (&lower, &count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return self.max.min(bucket(lower).1 - 1);
            }
        }
        self.max
    }

    fn percentiles(&self) -> Value {
        json!({
            "count": self.count, "mean": self.total / self.count.max(1), "max": self.max,
            "p50": self.quantile(0.5), "p90": self.quantile(0.9), "p99": self.quantile(0.99),
            "p99_9": self.quantile(0.999),
        })
    }
}

/// A number of calls and of bytes.
#[derive(Default)]
struct Stat {
    count: u64,
    total: u64,
}

type Streams = BTreeMap<String, Stat>;

/// What happened since the last line.
#[derive(Default)]
struct Sample {
    connections: u64,
    accept: u64,
    completed: u64,
    connect_time: Histogram,
    failed: BTreeMap<&'static str, u64>,
    send: Streams,
    receive: Streams,
    latency: BTreeMap<&'static str, Histogram>,
    profiles: BTreeMap<u64, Histogram>,
    provenance: Option<Value>,
}

struct State {
    now: Sample,
    out: Option<File>,
    /// The CPU time at the last line.
    cpu: Duration,
    latency: BTreeMap<&'static str, Histogram>,
    completed: u64,
    failed: BTreeMap<&'static str, u64>,
    rates: Vec<u64>,
    began: Option<(Instant, Duration)>,
    ended: Option<Instant>,
    sent: u64,
    received: u64,
    provenance: Value,
}

pub struct Recorder {
    start: Instant,
    state: Mutex<State>,
}

/// How many failures of a class are printed. The others are only counted.
const REPORTED: u64 = 10;

fn since_epoch() -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    json!({"secs_since_epoch": now.as_secs(), "nanos_since_epoch": now.subsec_nanos()})
}

impl Recorder {
    /// Returns a recorder that writes to the descriptor in NETBENCH_STATS_FD, if that is set.
    pub fn new(role: &str, file: &str, traces: &[String], provenance: Value) -> Result<Recorder> {
        let mut out = match std::env::var("NETBENCH_STATS_FD") {
            // SAFETY: netbench opened the descriptor for this process, and nothing else uses it.
            Ok(fd) => Some(unsafe { File::from_raw_fd(fd.parse()?) }),
            Err(_) => None,
        };
        if let Some(out) = &mut out {
            let program = std::env::args().next().unwrap_or_default();
            let header = json!({
                "pid": std::process::id(), "driver": program, "scenario": file, "start_time": since_epoch(),
                "traces": traces, "role": role, "provenance": provenance,
            });
            writeln!(out, "{header}")?;
        }
        let state = State {
            now: Sample::default(),
            out,
            cpu: Duration::ZERO,
            latency: BTreeMap::new(),
            completed: 0,
            failed: BTreeMap::new(),
            rates: Vec::new(),
            began: None,
            ended: None,
            sent: 0,
            received: 0,
            provenance,
        };
        Ok(Recorder {
            start: Instant::now(),
            state: Mutex::new(state),
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self
            .state
            .lock()
            .expect("no thread panics while it holds the lock"))
    }

    /// Marks the start of the time that the summary covers, at the first call.
    pub fn begin(&self) {
        self.with(|s| {
            s.began
                .get_or_insert_with(|| (Instant::now(), system::cpu_time()));
        });
    }

    /// Records a handshake. The group and the suite of the first one become part of the provenance.
    pub fn connected(&self, took: Option<Duration>, negotiated: Option<(String, String)>) {
        self.with(|s| {
            s.now.connections += 1;
            if let Some(took) = took {
                s.now.connect_time.add(took);
                s.latency("connect", took);
            }
            if let (Some((group, suite)), true) = (negotiated, s.provenance["group"].is_null()) {
                s.provenance["group"] = group.into();
                s.provenance["cipher_suite"] = suite.into();
                s.now.provenance = Some(s.provenance.clone());
            }
        });
    }

    /// Reports whether connected still wants to know what a handshake negotiated.
    pub fn curious(&self) -> bool {
        self.with(|s| s.provenance["group"].is_null())
    }

    pub fn accepted(&self) {
        self.with(|s| s.now.accept += 1);
    }

    pub fn latency(&self, name: &'static str, took: Duration) {
        self.with(|s| s.latency(name, took));
    }

    pub fn profile(&self, trace: u64, took: Duration) {
        self.with(|s| s.now.profiles.entry(trace).or_default().add(took));
    }

    pub fn sent(&self, connection: u64, stream: u64, bytes: usize) {
        self.with(|s| {
            s.sent += bytes as u64;
            count(&mut s.now.send, connection, stream, bytes);
        });
    }

    pub fn received(&self, connection: u64, stream: u64, bytes: usize) {
        self.with(|s| {
            s.received += bytes as u64;
            count(&mut s.now.receive, connection, stream, bytes);
        });
    }

    pub fn completed(&self) {
        self.with(|s| {
            let now = Instant::now();
            s.now.completed += 1;
            s.completed += 1;
            s.ended = Some(now);
            if let Some((began, _)) = s.began {
                let second = (now - began).as_secs() as usize;
                s.rates.resize(s.rates.len().max(second + 1), 0);
                s.rates[second] += 1;
            }
        });
    }

    /// Counts a connection that did not complete its script, and prints why.
    pub fn failed(&self, class: &'static str, err: &crate::Error) {
        let n = self.with(|s| {
            s.ended = Some(Instant::now());
            *s.now.failed.entry(class).or_default() += 1;
            let n = s.failed.entry(class).or_default();
            *n += 1;
            *n
        });
        match n {
            ..=REPORTED => eprintln!("error: {class}: {err}"),
            n if n == REPORTED + 1 => {
                eprintln!("error: {class}: further errors of this class are only counted")
            }
            _ => {}
        }
    }

    /// Returns the number of failures and their classes, in words.
    pub fn failures(&self) -> Option<String> {
        self.with(|s| {
            let classes: Vec<_> = s
                .failed
                .iter()
                .map(|(class, n)| format!("{n} {class}"))
                .collect();
            let total: u64 = s.failed.values().sum();
            (total > 0).then(|| format!("{total} connections failed: {}", classes.join(", ")))
        })
    }

    /// Writes a line with what happened since the last one.
    pub fn write(&self, last: bool) {
        self.with(|s| {
            let now = std::mem::take(&mut s.now);
            let cpu = system::cpu_time();
            let used = cpu.saturating_sub(std::mem::replace(&mut s.cpu, cpu));
            let Some(out) = &mut s.out else { return };
            let profiles = |map: &BTreeMap<&str, Histogram>| -> Value {
                map.iter().map(|(name, h)| (name.to_string(), h.profile())).collect::<serde_json::Map<_, _>>().into()
            };
            let traces: serde_json::Map<_, _> =
                now.profiles.iter().map(|(id, h)| (id.to_string(), h.profile())).collect();
            let mut line = json!({
                "t": self.start.elapsed().as_millis() as u64, "cpu_time_us": used.as_micros() as u64,
                "connections": now.connections, "accept": now.accept, "completed": now.completed,
                "connect_time": {"count": now.connect_time.count, "total": now.connect_time.total},
                "send": streams(&now.send), "receive": streams(&now.receive), "failed": now.failed,
                "latency": profiles(&now.latency), "profiles": traces, "final": last,
            });
            if let Some(provenance) = now.provenance {
                line["provenance"] = provenance;
            }
            if let Err(err) = writeln!(out, "{line}") {
                eprintln!("writing statistics: {err}");
                s.out = None;
            }
        });
    }

    /// Returns the totals of the run.
    pub fn summary(&self) -> Value {
        self.with(|s| {
            let (seconds, cpu) = match (s.began, s.ended) {
                (Some((began, cpu)), Some(ended)) => {
                    ((ended - began).as_secs_f64(), system::cpu_time().saturating_sub(cpu).as_secs_f64())
                }
                _ => (0.0, 0.0),
            };
            // Only complete seconds count.
            s.rates.truncate(seconds as usize);
            let latency: serde_json::Map<_, _> =
                s.latency.iter().map(|(name, h)| (name.to_string(), h.percentiles())).collect();
            json!({
                "connections": s.completed, "failed": s.failed, "seconds": seconds, "cpu_seconds": cpu,
                "rates": s.rates, "bytes_sent": s.sent, "bytes_received": s.received, "latency": latency,
                "provenance": s.provenance,
            })
        })
    }
}

impl State {
    fn latency(&mut self, name: &'static str, took: Duration) {
        self.now.latency.entry(name).or_default().add(took);
        self.latency.entry(name).or_default().add(took);
    }
}

fn count(streams: &mut Streams, connection: u64, stream: u64, bytes: usize) {
    let stat = streams.entry(format!("{connection}:{stream}")).or_default();
    stat.count += 1;
    stat.total += bytes as u64;
}

fn streams(streams: &Streams) -> Value {
    let entry = |(name, stat): (&String, &Stat)| {
        (
            name.clone(),
            json!({"count": stat.count, "total": stat.total}),
        )
    };
    streams
        .iter()
        .map(entry)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_precise_to_one_percent() {
        for value in [
            0,
            1,
            127,
            128,
            255,
            256,
            257,
            1000,
            123_456_789,
            u64::MAX >> 1,
        ] {
            let (lower, upper) = bucket(value);
            assert!(lower <= value && value < upper, "{lower} {value} {upper}");
            assert!(upper - lower <= 1 + value / 100, "{lower} {value} {upper}");
            assert_eq!(bucket(upper - 1), (lower, upper));
        }
    }

    #[test]
    fn quantiles() {
        let mut h = Histogram::default();
        (1..=1000).for_each(|ms| h.add(Duration::from_millis(ms)));
        let p = h.percentiles();
        for (name, want) in [
            ("p50", 500_000.0),
            ("p90", 900_000.0),
            ("p99", 990_000.0),
            ("max", 1_000_000.0),
        ] {
            let got = p[name].as_u64().unwrap() as f64;
            assert!((got / want - 1.0).abs() < 0.01, "{name} is {got}");
        }
        assert_eq!(p["mean"], 500_500);
    }
}
