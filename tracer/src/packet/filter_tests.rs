use etherparse::PacketBuilder;

use super::*;

fn tcp(source: &str, destination: &str, ports: (u16, u16)) -> Vec<u8> {
    let builder = match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 64),
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 64),
        _ => panic!("one version"),
    };
    let mut packet = Vec::new();
    builder.tcp(ports.0, ports.1, 1, 1000).write(&mut packet, b"x").unwrap();
    packet
}

fn header(packet: &[u8]) -> Header {
    Header::of(packet).unwrap()
}

#[track_caller]
fn matches(expression: &str, packet: &[u8]) -> bool {
    Filter::parse(expression).unwrap().matches(&header(packet))
}

#[test]
fn a_packet_is_chosen_by_addresses_ports_and_protocol() {
    let packet = tcp("10.0.0.1", "10.0.1.2", (40_000, 80));
    for expression in [
        "tcp",
        "ip and tcp port 80",
        "host 10.0.0.1 and dst host 10.0.1.2",
        "src net 10.0.0.0/24 and dst net 10.0.1",
        "net 10/8",
        "dst portrange 79-81",
        "src 10.0.0.1",
        "port (8080 or 80)",
        "not udp && ! ip6",
        "src or dst port 80",
    ] {
        assert!(matches(expression, &packet), "{expression}");
    }
    for expression in [
        "udp port 80",
        "src port 80",
        "src and dst port 80",
        "ip6",
        "src net 10.0.1.0/24",
        "icmp or sctp",
        "port not 80 and not 40000",
    ] {
        assert!(!matches(expression, &packet), "{expression}");
    }
    assert!(matches("ip6 host fd00::1 and net fd00::/16", &tcp("fd00::1", "fd00::2", (1, 2))));
}

#[test]
fn and_and_or_bind_equally_from_the_left() {
    let packet = tcp("10.0.0.1", "10.0.0.2", (1, 80));
    assert!(!matches("tcp or udp and port 53", &packet));
    assert!(matches("tcp or (udp and port 53)", &packet));
    assert!(!matches("not tcp or udp", &packet));
}

#[test]
fn a_bare_value_takes_the_qualifiers_before_it() {
    let packet = tcp("10.0.0.1", "10.0.0.2", (1, 443));
    assert!(matches("tcp dst port 80 or 443", &packet));
    assert!(!matches("tcp src port 80 or 443", &packet));
    assert!(matches("host 10.0.0.9 or 10.0.0.2", &packet));
    assert!(!matches("port 443 and not 1", &packet));
}

#[test]
fn fragments_have_no_ports_but_the_first() {
    let mut packet = tcp("10.0.0.1", "10.0.0.2", (1, 80));
    packet[7] = 9;
    assert!(matches("tcp and host 10.0.0.1 and not port 80", &packet));
}

#[test]
fn large_local_segments_have_their_ports() {
    let plain = tcp("fd00::1", "fd00::2", (1, 80));
    let jumbo = [6, 0, 0xc2, 4, 0, 1, 0, 0];
    let mut packet = [&plain[..40], &jumbo, &plain[40..]].concat();
    packet[6] = HOP_BY_HOP;
    assert!(matches("tcp port 80", &packet));
}

#[test]
fn cut_packets_match_what_is_left() {
    let packet = tcp("10.0.0.1", "10.0.0.2", (1, 80));
    assert!(matches("tcp and not port 80", &packet[..22]));
    for length in 0..20 {
        assert_eq!(Header::of(&packet[..length]), None);
    }
    assert_eq!(Header::of(&[0x60; 39]), None);
    assert_eq!(Header::of(&[0; 40]), None);
}

#[track_caller]
fn refused(expression: &str) -> String {
    Filter::parse(expression).unwrap_err().to_string()
}

#[test]
fn an_error_points_at_the_place() {
    assert_eq!(
        refused("tcp port htp and host 10.0.0.1"),
        "htp is not a number of a port, from 0 to 65535\n  tcp port htp and host 10.0.0.1\n           ^^^"
    );
    assert_eq!(refused("port"), "a port is missing\n  port\n      ^");
    assert_eq!(refused("port 80 or tcp or 443").lines().next().unwrap(), "say what 443 is: port 443");
    assert!(refused("(tcp").contains("a closing parenthesis is missing here\n  (tcp\n      ^"));
    assert!(refused("tcp)").contains("no parenthesis is open"));
}

#[test]
fn errors_say_what_to_write_instead() {
    for (expression, reason) in [
        ("10.0.0.1", "host 10.0.0.1"),
        ("tcp 80", "tcp needs host, net, port or portrange before 80"),
        ("host 10.0.0.0/8", "write net 10.0.0.0/8"),
        ("host example.org", "names are not resolved"),
        ("net 10.0.0.1/8", "10.0.0.0/8"),
        ("tcp[13] & 2 != 0", "bytes of headers are not looked at"),
        ("ether host 1", "ether is not known here"),
        ("tcp host 10.0.0.1", "tcp has no addresses"),
        ("ip port 80", "ip has no ports"),
        ("ip host fd00::1", "fd00::1 is no address of ip"),
        ("tcp udp", "and, or, or the end"),
        ("port 80 and", "missing here"),
        ("", "missing here"),
        ("port 080", "080 is not a number"),
        ("net 10.0.0.0/33", "from 0 to 32"),
    ] {
        let error = refused(expression);
        assert!(error.contains(reason), "{expression}: {error}");
    }
}

#[test]
fn long_and_deep_expressions_are_refused() {
    let deep = |depth| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&deep(DEPTH_LIMIT)).is_ok());
    assert!(refused(&deep(DEPTH_LIMIT + 1)).contains("at most 32 parentheses"));
    assert!(refused(&format!("port {}", "(".repeat(DEPTH_LIMIT + 1))).contains("at most 32"));
    assert!(refused(&"tcp or ".repeat(1000)).contains("at most 4096 bytes"));
}

#[test]
fn networks_contain_their_addresses() {
    let contains = |net: &str, address: &str| Net::parse(net).unwrap().contains(address.parse().unwrap());
    assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.0"));
    assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
    assert!(contains("fd00::/8", "fdff::1") && !contains("10.0.0.1", "10.0.0.2"));
    assert!(contains("::/0", "fe80::1"));
}

/// Packets of every protocol between two addresses of either version, with few ports, some fragments.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (source, destination) in [("10.0.0.1", "10.0.1.2"), ("11.1.0.1", "10.0.0.1"), ("fd00::1", "fd01::2")]
    {
        for (protocol, from, to) in
            [6, 17, 132, 1, 58, 2].into_iter().flat_map(|p| [(p, 80, 443), (p, 53, 80), (p, 7, 8)])
        {
            let ports = [u16::to_be_bytes(from), u16::to_be_bytes(to)].concat();
            // Whatever the protocol, the rest of its header is of no interest; for TCP it has a length.
            let rest = [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]].concat();
            for fragment in [0_u16, 9] {
                let mut packet = tcp(source, destination, (from, to));
                let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
                packet.truncate(header);
                if header == 20 {
                    packet[9] = protocol;
                    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
                    packet[2..4].copy_from_slice(&u16::try_from(header + rest.len()).unwrap().to_be_bytes());
                } else if fragment == 0 {
                    packet[6] = protocol;
                } else {
                    packet[6] = FRAGMENT;
                    packet.extend([protocol, 0, 0, 9, 0, 0, 0, 1]);
                }
                packet.extend(&rest);
                packets.push(packet);
            }
        }
    }
    packets
}

/// A pcap file of the packets behind Ethernet headers; the number of each is its time.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for (number, packet) in packets.iter().enumerate() {
        let length = u32::try_from(packet.len() + 14).unwrap();
        for word in [u32::try_from(number).unwrap(), 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        file.extend(if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
        file.extend(packet);
    }
    file
}

/// The numbers of the packets that tcpdump chooses; its complaint when the expression is none.
fn tcpdump(file: &std::path::Path, expression: &str) -> Result<Vec<usize>, String> {
    let mut command = std::process::Command::new("tcpdump");
    let output = command.args(["-nn", "-q", "-tt", "-r"]).arg(file).arg(expression).output();
    let output = output.expect("tcpdump is missing: cargo xtask test installs it");
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |line: &str| line.split_once('.').unwrap().0.parse().unwrap();
    Ok(text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).map(number).collect())
}

/// Expressions of all that is known, by a generator that always makes the same.
fn expressions(count: usize) -> Vec<String> {
    let mut state = 0x9e37_79b9_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let primitives = [
        "ip",
        "ip6",
        "tcp",
        "udp",
        "icmp",
        "icmp6",
        "sctp",
        "host 10.0.0.1",
        "host fd00::1",
        "ip host 11.1.0.1",
        "net 10",
        "net 10.0.1",
        "net 10.0.0.0/15",
        "src net 11.0.0.0/8",
        "ip6 dst net fd00::/15",
        "port 80",
        "tcp port 80",
        "udp src port 53",
        "sctp dst port 443",
        "portrange 8-60",
        "tcp portrange 50-443",
        "src or dst port 53",
        "src and dst portrange 50-90",
        "dst host 10.0.0.1",
        "src 10.0.0.1",
        "port (80 or 7)",
        "tcp port (443 or not 8)",
        "port not 80",
        "udp portrange 60-8",
        "dst portrange 80",
    ];
    let mut all: Vec<String> = primitives.map(str::to_owned).to_vec();
    all.extend(
        ["port 80 or 443", "port 80 and not 443 or 7", "port 80 or (443)", "host 10.0.0.1 and 10.0.1.2"]
            .map(str::to_owned),
    );
    while all.len() < count {
        let mut expression = String::new();
        let mut open = 0;
        for term in 0..=random(5) {
            if term > 0 {
                expression += [" and ", " or ", " && ", " || "][random(4)];
            }
            expression += ["", "", "not ", "! ", "not not "][random(5)];
            if random(3) == 0 {
                expression.push('(');
                open += 1;
            }
            expression += primitives[random(primitives.len())];
            if open > 0 && random(2) == 0 {
                expression.push(')');
                open -= 1;
            }
        }
        expression += &")".repeat(open);
        all.push(expression);
    }
    all
}

#[test]
fn tcpdump_chooses_the_same_packets() {
    let packets = packets();
    let file = std::env::temp_dir().join(format!("tracer-filter-{}.pcap", std::process::id()));
    std::fs::write(&file, pcap(&packets)).unwrap();
    let results: Vec<_> = expressions(300)
        .into_iter()
        .map(|expression| {
            let theirs = tcpdump(&file, &expression);
            (expression, theirs)
        })
        .collect();
    std::fs::remove_file(&file).unwrap();
    let mut chosen = 0;
    for (expression, theirs) in results {
        let filter = Filter::parse(&expression).unwrap();
        let ours: Vec<usize> =
            (0..packets.len()).filter(|number| filter.matches(&header(&packets[*number]))).collect();
        match theirs {
            Ok(theirs) => assert_eq!(theirs, ours, "{expression}"),
            // libpcap refuses what can match nothing.
            Err(error) => assert!(
                error.contains("expression rejects all packets") && ours.is_empty(),
                "{expression}: {error}"
            ),
        }
        chosen += ours.len();
    }
    assert!(chosen > 1000, "{chosen} packets were chosen");
}
