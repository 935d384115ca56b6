use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use etherparse::PacketBuilder;
use pcap_file::pcapng::{Block, PcapNgReader};
use tracer_ebpf::record::kind;

use super::*;
use crate::export::{fixture, mask::mask};

const START: u64 = 1_760_000_000_000_000_000;

fn head(direction: Direction, length: usize) -> PacketHead {
    let length = u32::try_from(length).unwrap();
    PacketHead {
        kind: kind::PACKET,
        direction: direction as u8,
        first: 1,
        response: 0,
        exchange: 1,
        flow: 7,
        cgroup: 9,
        time: 0,
        length,
        captured: length,
    }
}

fn segment(from: u16, to: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder =
        PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 0, 1], 64).tcp(from, to, sequence, 64_000).ack(1);
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// Two pods, one packet each, two comments on the first.
fn capture() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, START).unwrap();
    let mut request = segment(50_123, 8_080, 1, b"GET /v1/items/17?key=s3cr3t HTTP/1.1\r\nHost: a\r\n\r\n");
    mask(&mut request, true, &[]);
    let comments = ["tracer: one".to_owned(), "tracer: two".to_owned()];
    let packet = Packet {
        pod: &fixture::pod(),
        head: &head(Direction::Ingress, request.len()),
        bytes: &request,
        unix_ns: START + 123_456_789,
        comments: &comments,
    };
    writer.packet(&packet).unwrap();
    let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ns3cr3\r\n0\r\n\r\n";
    let mut response = segment(8_080, 50_123, 1, response);
    mask(&mut response, true, &[]);
    let packet = Packet {
        pod: &fixture::unnamed_pod("cafe"),
        head: &head(Direction::Egress, response.len() + 1_000),
        bytes: &response,
        unix_ns: START + 223_456_789,
        comments: &[],
    };
    writer.packet(&packet).unwrap();
    let written = writer.finish(START + 300_000_000, Losses { kernel: 3, early: 0 }).unwrap();
    assert_eq!(written, Written { bytes: file.len() as u64, packets: 2 });
    file
}

fn blocks(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().0.into_owned());
    }
    blocks
}

/// The file under a name of its own, gone with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tracer-{}-{number}.pcapng", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Fields of each packet as tshark reads them; `None` where there is no tshark.
fn tshark(file: &[u8], fields: &[&str]) -> Option<String> {
    let file = Temporary::new(file);
    let mut command = Command::new("tshark");
    // Names from the file alone.
    command.args(["-N", "n", "-r"]).arg(&file.0).args([
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "aggregator=;",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            None
        }
    }
}

#[test]
fn tshark_reads_interfaces_comments_directions_and_times() {
    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.comment",
        "frame.time_epoch",
        "frame.len",
        "http.request.uri",
        "http.response.code",
        "http.file_data",
    ];
    if let Some(text) = tshark(&capture(), &fields) {
        assert_eq!(
            text,
            "shop/backend-0|0x00000001|tracer: one;tracer: two|1760000000.123456789|103|/v1/items/17?xxxxxxxxxx||\n\
             cafe|0x00000002||1760000000.223456789|1116||200|xxxxx\n"
        );
    }
}

#[test]
fn tshark_knows_the_pods_addresses_by_name() {
    if let Some(text) = tshark(&capture(), &["ip.src_host", "ip.dst_host"]) {
        // tshark reads once: an address has its name from the pod's first packet on.
        assert_eq!(text, "10.0.0.7|shop/backend-0\ncafe|shop/backend-0\n");
    }
}

#[test]
fn tshark_takes_the_newest_name_of_an_address() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, START).unwrap();
    let bytes = segment(1, 2, 1, b"x");
    let head = head(Direction::Egress, bytes.len());
    for pod in [fixture::pod(), fixture::unnamed_pod("cafe")] {
        let packet = Packet { pod: &pod, head: &head, bytes: &bytes, unix_ns: START, comments: &[] };
        writer.packet(&packet).unwrap();
    }
    writer.finish(START, Losses::default()).unwrap();
    if let Some(text) = tshark(&file, &["ip.src_host"]) {
        assert_eq!(text, "shop/backend-0\nshop/backend-0 and others\n");
    }
}

#[test]
fn nothing_comes_before_the_first_interface() {
    let kinds: Vec<_> = blocks(&capture())
        .iter()
        .map(|block| match block {
            Block::InterfaceDescription(_) => "interface",
            Block::NameResolution(_) => "names",
            Block::EnhancedPacket(_) => "packet",
            Block::InterfaceStatistics(_) => "statistics",
            _ => "other",
        })
        .collect();
    let expected =
        ["interface", "names", "packet", "interface", "names", "packet", "statistics", "statistics"];
    assert_eq!(kinds[kinds.len() - expected.len()..], expected);
}

#[test]
fn a_reader_finds_the_losses() {
    let blocks = blocks(&capture());
    let statistics: Vec<_> = blocks.iter().filter_map(Block::as_interface_statistics).collect();
    assert_eq!(statistics.len(), 2);
    assert!(statistics[0].options.contains(&InterfaceStatisticsOption::IsbIfDrop(3)));
    assert!(
        statistics[0].options.contains(&InterfaceStatisticsOption::IsbStartTime(Duration::from_nanos(START)))
    );
    assert!(!statistics[1].options.iter().any(|o| matches!(o, InterfaceStatisticsOption::IsbIfDrop(_))));
}

#[test]
fn all_interfaces_share_type_snap_length_and_resolution() {
    let blocks = blocks(&capture());
    let interfaces: Vec<_> = blocks.iter().filter_map(Block::as_interface_description).collect();
    assert_eq!(interfaces.len(), 2);
    for interface in interfaces {
        assert_eq!((interface.linktype, interface.snaplen), (DataLink::ETHERNET, 262_144));
        assert_eq!(interface.ts_resolution(), InterfaceTsResolution::NANO);
    }
}

#[test]
fn long_comments_and_super_packets_fit() {
    let bytes = vec![0x45; 300_000];
    let comments = ["ä".repeat(COMMENT_LIMIT)];
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, START).unwrap();
    let head = head(Direction::Egress, bytes.len());
    let packet =
        Packet { pod: &fixture::pod(), head: &head, bytes: &bytes, unix_ns: START, comments: &comments };
    writer.packet(&packet).unwrap();
    writer.finish(START, Losses::default()).unwrap();
    let blocks = blocks(&file);
    let packet = blocks.iter().find_map(Block::as_enhanced_packet).unwrap();
    assert_eq!((packet.data.len(), packet.original_len), (262_144, 300_014));
}

#[test]
fn an_empty_packet_is_written_too() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, START).unwrap();
    let head = head(Direction::Ingress, 0);
    let packet = Packet { pod: &fixture::pod(), head: &head, bytes: &[], unix_ns: START, comments: &[] };
    writer.packet(&packet).unwrap();
    assert_eq!(writer.finish(START, Losses::default()).unwrap().packets, 1);
    assert!(tshark(&file, &["frame.len"]).is_none_or(|text| text == "14\n"));
}

#[test]
fn a_capture_without_packets_is_a_file() {
    let mut file = Vec::new();
    let written =
        Writer::new(&mut file, START).unwrap().finish(START, Losses { kernel: 5, early: 0 }).unwrap();
    assert_eq!(written, Written { bytes: file.len() as u64, packets: 0 });
    assert!(tshark(&file, &["frame.len"]).is_none_or(|text| text.is_empty()));
}

#[test]
fn a_flushed_file_is_readable_before_it_ends() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, START).unwrap();
    let bytes = segment(1, 2, 1, b"x");
    let head = head(Direction::Egress, bytes.len());
    let packet = Packet { pod: &fixture::pod(), head: &head, bytes: &bytes, unix_ns: START, comments: &[] };
    writer.packet(&packet).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.written().packets, 1);
    drop(writer);
    assert_eq!(blocks(&file).iter().filter_map(Block::as_enhanced_packet).count(), 1);
}

/// An output with room for some bytes.
struct Full {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room - self.bytes.len());
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_says_what_is_complete() {
    let mut output = Full { bytes: Vec::new(), room: 100_000 };
    let mut writer = Writer::new(&mut output, START).unwrap();
    let bytes = segment(1, 2, 1, &[b'x'; 1_000]);
    let head = head(Direction::Egress, bytes.len());
    let packet = Packet { pod: &fixture::pod(), head: &head, bytes: &bytes, unix_ns: START, comments: &[] };
    let error = (0..1_000).find_map(|_| writer.packet(&packet).err()).unwrap();
    drop(writer);
    assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("writing the capture: "), "{error}");
    let complete = usize::try_from(error.written.bytes).unwrap();
    let packets = blocks(&output.bytes[..complete]).iter().filter_map(Block::as_enhanced_packet).count();
    assert_eq!(packets as u64, error.written.packets);
    assert!(output.bytes.len() - complete < 1_100, "not more than one block is torn");
}
