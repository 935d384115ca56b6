//! A client of etcd: puts, gets and ranges on one connection, and a watch that goes on.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use tonic::codegen::Bytes;
use tonic::transport::Endpoint;

use super::steady::{follow, persist};
use crate::role::steady::{Common, Counts, Pace};

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// So many keys there are.
const KEYS: u64 = 200;
const PREFIX: &[u8] = b"app/";
/// The first key that does not begin so.
const PREFIX_END: &[u8] = b"app0";

/// Flags of the client.
#[derive(Args)]
pub struct Keys {
    /// etcd
    #[arg(long)]
    target: SocketAddr,
    #[command(flatten)]
    common: Common,
}

impl Keys {
    /// Reads and writes until it is killed.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(self.calls())
    }

    async fn calls(&self) -> Result<()> {
        let counts = Counts::written_to(&self.common.count)?;
        let channel = Endpoint::from_shared(format!("http://{}", self.target))?.connect_lazy();
        // In a WatchRequest, field 1 is a WatchCreateRequest with the key and the end of the range.
        let watched = message(&[(1, Field::Bytes(&prefix()))]);
        let (watching, events) = (channel.clone(), Arc::new(counts.clone()));
        tokio::spawn(async move {
            let ended = follow(watching, WATCH, watched, Arc::clone(&events)).await;
            events.add("the watch", &ended.map_err(anyhow::Error::from));
        });
        let mut pace = Pace::new(self.common.rate, self.common.seed);
        loop {
            let (wait, random) = pace.step();
            tokio::time::sleep(wait).await;
            let (channel, counts) = (channel.clone(), counts.clone());
            tokio::spawn(async move {
                let (path, message) = call(random);
                let outcome = persist(&channel, path, message, &counts).await;
                counts.add("a call of etcd", &outcome.map_err(anyhow::Error::from));
            });
        }
    }
}

/// A put, a read that every member agrees on, one that only the asked member knows of, or a range.
fn call(random: u64) -> (&'static str, Bytes) {
    let key = format!("app/{:03}", random / 100 % KEYS);
    let (key, serializable) = (Field::Bytes(key.as_bytes()), Field::Number(1));
    match random % 100 {
        0..30 => (PUT, message(&[(1, key), (2, Field::Bytes(&[b'v'; 300]))])),
        30..70 => (RANGE, message(&[(1, key)])),
        70..95 => (RANGE, message(&[(1, key), (7, serializable)])),
        _ => (RANGE, prefix()),
    }
}

/// The fields of a request for every key.
fn prefix() -> Bytes {
    message(&[(1, Field::Bytes(PREFIX)), (2, Field::Bytes(PREFIX_END))])
}

/// What a field of a protobuf message holds.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A protobuf message.
fn message(fields: &[(u64, Field<'_>)]) -> Bytes {
    let mut encoded = Vec::new();
    for (number, field) in fields {
        match field {
            Field::Number(value) => {
                varint(&mut encoded, number << 3);
                varint(&mut encoded, *value);
            }
            Field::Bytes(bytes) => {
                varint(&mut encoded, number << 3 | 2);
                varint(&mut encoded, bytes.len() as u64);
                encoded.extend(*bytes);
            }
        }
    }
    encoded.into()
}

fn varint(encoded: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        encoded.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    encoded.push((number & 127) as u8);
}

#[cfg(test)]
mod tests {
    use super::{Field, message};

    #[test]
    fn a_message_is_encoded_as_protobuf_says() {
        let encoded = message(&[(1, Field::Number(150)), (2, Field::Bytes(b"testing"))]);
        assert_eq!(&encoded[..], b"\x08\x96\x01\x12\x07testing");
    }
}
