//! Knows which node of a cluster holds which keys.
//!
//! A cluster has 16,384 slots; the slot of a key follows from its name, and `CLUSTER SLOTS` says which node has which.

use redis::Value;

use super::connection::Address;

/// How many slots there are.
const SLOTS: u16 = 16_384;

/// The map of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    /// First slot, last slot and the master that has them; sorted.
    ranges: Vec<(u16, u16, Address)>,
    /// Every node, masters and replicas, each once.
    pub(super) nodes: Vec<Address>,
}

impl Slots {
    /// Reads what the node at `asked` said to `CLUSTER SLOTS`; none if that is no map.
    pub(super) fn parse(said: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(entries) = said else { return None };
        let (mut ranges, mut nodes) = (Vec::new(), Vec::new());
        for entry in entries {
            let Value::Array(fields) = entry else { return None };
            let [Value::Int(first), Value::Int(last), members @ ..] = fields.as_slice() else { return None };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            if first > last || last >= SLOTS {
                return None;
            }
            let members: Vec<Member> = members.iter().map(|said| member(said, asked)).collect::<Option<_>>()?;
            if let Some(Member::At(master)) = members.first() {
                ranges.push((first, last, master.clone()));
            }
            nodes.extend(members.into_iter().filter_map(|member| match member {
                Member::At(address) => Some(address),
                Member::Hidden => None,
            }));
        }
        ranges.sort();
        nodes.sort();
        nodes.dedup();
        Some(Self { ranges, nodes })
    }

    /// The master that has the slot; none if nobody has it, or nobody knows where.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let behind = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, owner) = self.ranges.get(behind.checked_sub(1)?)?;
        (slot <= *last).then_some(owner)
    }

    /// Whether no slot has a node.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// One node of a range.
enum Member {
    At(Address),
    /// It does not tell where it is.
    Hidden,
}

/// Reads one node of a range; none if that is no node.
fn member(said: &Value, asked: &Address) -> Option<Member> {
    let Value::Array(fields) = said else { return None };
    let [host, Value::Int(port), ..] = fields.as_slice() else { return None };
    let port = u16::try_from(*port).ok()?;
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    Some(match host.as_str() {
        // Port 0 is that of a node which listens in another way than the cluster was told.
        "?" => Member::Hidden,
        _ if port == 0 => Member::Hidden,
        // A node that does not know its own name is found where it was asked.
        "" => Member::At(Address::new(&asked.host, port)),
        host => Member::At(Address::new(host, port)),
    })
}

/// The slot of a key. Of a name with `{...}` in it, only what stands between the first braces counts.
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16 with the polynomial 0x1021, from 0, as the specification of Redis Cluster asks for (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    let step = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    bytes.iter().fold(0, |crc: u16, byte| (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| step(crc)))
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
