//! The decoder: what it remembers between packets.
//!
//! Link types: Ethernet, raw IP, BSD loopback, Linux cooked captures, netfilter's log, PPP, Cisco HDLC, FDDI. In them
//! VLANs, MPLS, PPP over Ethernet, provider bridges (802.1ah); tunnels over IP and GRE; over UDP VXLAN, Geneve, GTP-U,
//! Teredo, AYIYA, GRE and MPLS; 802.11 in GRE. Not: 802.1AE, ESP, L2TP, compressed headers.

use super::{
    Packet, Skipped,
    fragment::{Fragments, Whole},
    walk::{Layer, Walk},
};

/// Datagrams in fragments whose inside is a datagram in fragments, and so on: how deep that is read.
const WHOLE_DEPTH: u32 = 4;

/// Reads packets of one capture, in its order.
#[derive(Debug, Default)]
pub struct Decoder {
    fragments: Fragments,
    /// The last datagram that came in fragments.
    whole: Option<Whole>,
    /// By [`Skipped::ALL`].
    skipped: [u64; Skipped::ALL.len()],
}

impl Decoder {
    /// Reads a packet: `link` is its link type (`LINKTYPE_…`), `time` in nanoseconds, `original_length` what it had
    /// on the wire. `None` is a packet that is in order and has neither TCP nor UDP, or a fragment whose datagram is
    /// not complete yet; the packet that completes it stands for all of it.
    ///
    /// # Errors
    /// When a header does not fit the packet; it was counted.
    pub fn decode<'a>(
        &'a mut self,
        link: u16,
        time: u64,
        bytes: &'a [u8],
        original_length: u32,
    ) -> Result<Option<Packet<'a>>, Skipped> {
        let length = usize::try_from(original_length).unwrap_or(usize::MAX);
        match Walk::new(bytes, length).link(link, time, &mut self.fragments) {
            Ok(None) => self.read_whole(time),
            Ok(packet) => Ok(packet),
            Err(skipped) => Err(self.count(skipped)),
        }
    }

    /// How many packets were skipped, by [`Skipped::name`]; and how many datagrams, because their fragments were
    /// too many to hold or are missing.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let packets = Skipped::ALL.iter().zip(self.skipped).map(|(reason, count)| (reason.name(), count));
        packets.chain([
            ("datagrams_evicted", self.fragments.evicted()),
            ("datagrams_incomplete", self.fragments.incomplete()),
        ])
    }

    /// Reads the datagram that this packet's fragment completed, if it did.
    fn read_whole(&mut self, time: u64) -> Result<Option<Packet<'_>>, Skipped> {
        for _ in 0..WHOLE_DEPTH {
            let Some(whole) = self.fragments.take_whole() else { return Ok(None) };
            let walk = Walk::whole(&whole);
            match walk.run(Layer::Payload(whole.protocol), time, &mut self.fragments) {
                Ok(None) => {}
                Ok(Some(_)) => return self.keep_whole(time, whole),
                Err(skipped) => return Err(self.count(skipped)),
            }
        }
        Err(self.count(Skipped::Nested))
    }

    /// Reads it again where it stays: what was found in it could not outlive the loop that found it.
    fn keep_whole(&mut self, time: u64, whole: Whole) -> Result<Option<Packet<'_>>, Skipped> {
        let whole = self.whole.insert(whole);
        Walk::whole(whole).run(Layer::Payload(whole.protocol), time, &mut self.fragments)
    }

    #[cold]
    fn count(&mut self, reason: Skipped) -> Skipped {
        if let Some(counter) = self.skipped.get_mut(reason as usize) {
            *counter += 1;
        }
        reason
    }
}
