//! Words → filter. What pcap-filter(7) has and we do not is refused by name, at its place.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Chain, DEPTH_LIMIT, Family, FilterError, Joint, LENGTH_LIMIT, Net, SCTP, Side, TCP, Term, Test, UDP,
    What,
    lex::{Word, words},
};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Words of pcap-filter(7) that ask what a pod's packets have not, or what Wireshark filters better.
const ELSEWHERE: [&str; 20] = [
    "arp",
    "broadcast",
    "ether",
    "gateway",
    "greater",
    "igmp",
    "inbound",
    "len",
    "less",
    "link",
    "mask",
    "mpls",
    "multicast",
    "outbound",
    "proto",
    "protochain",
    "rarp",
    "stp",
    "vlan",
    "wlan",
];

/// What stands before a value.
#[derive(Clone, Copy, Default)]
struct Qualifiers<'a> {
    protocol: Option<(&'a str, Protocol)>,
    side: Side,
    kind: Kind,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Host,
    Net,
    Port,
    PortRange,
}

#[derive(Clone, Copy)]
enum Protocol {
    Ip(Family),
    Inside(Option<Family>, u8),
}

fn kind(text: &str) -> Option<Kind> {
    Some(match text {
        "host" => Kind::Host,
        "net" => Kind::Net,
        "port" => Kind::Port,
        "portrange" => Kind::PortRange,
        _ => return None,
    })
}

fn protocol(text: &str) -> Option<Protocol> {
    Some(match text {
        "ip" => Protocol::Ip(Family::V4),
        "ip6" => Protocol::Ip(Family::V6),
        "tcp" => Protocol::Inside(None, TCP),
        "udp" => Protocol::Inside(None, UDP),
        "sctp" => Protocol::Inside(None, SCTP),
        "icmp" => Protocol::Inside(Some(Family::V4), ICMP),
        "icmp6" => Protocol::Inside(Some(Family::V6), ICMP6),
        _ => return None,
    })
}

fn side(text: &str) -> Option<Side> {
    match text {
        "src" => Some(Side::Source),
        "dst" => Some(Side::Destination),
        _ => None,
    }
}

fn joint(text: &str) -> Option<Joint> {
    match text {
        "and" | "&&" => Some(Joint::And),
        "or" | "||" => Some(Joint::Or),
        _ => None,
    }
}

fn is_not(text: &str) -> bool {
    matches!(text, "not" | "!")
}

/// Whether the word can only be the value of qualifiers.
fn is_value(text: &str) -> bool {
    let known =
        kind(text).is_some() || protocol(text).is_some() || side(text).is_some() || joint(text).is_some();
    !(known || is_not(text) || matches!(text, "" | "(" | ")") || ELSEWHERE.contains(&text))
}

/// Reads an expression.
pub(super) fn parse(expression: &str) -> Result<Chain, FilterError> {
    let mut parser = Parser { expression, words: words(expression), at: 0, depth: 0, last: None };
    if expression.len() > LENGTH_LIMIT {
        let reason = format!("a filter has at most {LENGTH_LIMIT} bytes");
        // Not the expression itself: it would bury the reason.
        return Err(FilterError { reason, expression: String::new(), at: 0, length: 0 });
    }
    let chain = parser.chain()?;
    let rest = parser.word();
    match rest.text {
        "" => Ok(chain),
        ")" => Err(parser.wrong(rest, "no parenthesis is open here")),
        _ => Err(parser.wrong(rest, "and, or, or the end is expected here")),
    }
}

struct Parser<'a> {
    expression: &'a str,
    words: Vec<Word<'a>>,
    at: usize,
    depth: usize,
    /// Qualifiers of the newest value, which a bare value takes; none after anything else.
    last: Option<Qualifiers<'a>>,
}

impl<'a> Parser<'a> {
    fn peek(&self, ahead: usize) -> Word<'a> {
        let end = Word { text: "", at: self.expression.len() };
        self.words.get(self.at + ahead).copied().unwrap_or(end)
    }

    fn word(&self) -> Word<'a> {
        self.peek(0)
    }

    fn take(&mut self) -> Word<'a> {
        let word = self.word();
        self.at += 1;
        word
    }

    fn wrong(&self, word: Word<'_>, reason: impl Into<String>) -> FilterError {
        let expression = self.expression.to_owned();
        FilterError { reason: reason.into(), expression, at: word.at, length: word.text.len() }
    }

    fn chain(&mut self) -> Result<Chain, FilterError> {
        let first = self.term()?;
        let mut rest = Vec::new();
        while let Some(joint) = joint(self.word().text) {
            self.at += 1;
            let bare = self.begins_value();
            let term = match self.last {
                Some(qualifiers) if bare => self.values(qualifiers)?,
                _ => self.term()?,
            };
            rest.push((joint, term));
        }
        Ok(Chain { first, rest })
    }

    /// Whether a value comes next, behind any `not` and parentheses.
    fn begins_value(&self) -> bool {
        let mut ahead = 0;
        while is_not(self.peek(ahead).text) || self.peek(ahead).text == "(" {
            ahead += 1;
        }
        is_value(self.peek(ahead).text)
    }

    /// Takes `not`s; whether they are odd.
    fn negation(&mut self) -> bool {
        let mut negated = false;
        while is_not(self.word().text) {
            self.at += 1;
            negated = !negated;
        }
        negated
    }

    fn open(&mut self) -> Result<(), FilterError> {
        let word = self.take();
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.wrong(word, format!("at most {DEPTH_LIMIT} parentheses may be open at once")));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), FilterError> {
        let word = self.take();
        self.depth -= 1;
        if word.text == ")" { Ok(()) } else { Err(self.wrong(word, "a closing parenthesis is missing here")) }
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        let negated = self.negation();
        if self.word().text == "(" {
            self.open()?;
            let chain = self.chain()?;
            self.close()?;
            self.last = None;
            return Ok(Term { negated, what: What::Group(Box::new(chain)) });
        }
        let begin = self.word();
        let qualifiers = self.qualifiers();
        if self.word() == begin {
            return Err(self.no_primitive(begin));
        }
        let term = match qualifiers {
            (Some((_, protocol)), false) if !self.begins_value() => {
                self.last = None;
                let test = match protocol {
                    Protocol::Ip(family) => Test::Family(family),
                    Protocol::Inside(family, number) => Test::Protocol(family, number),
                };
                Term { negated: false, what: What::Test(test) }
            }
            (Some((name, _)), false) => {
                let word = self.word();
                let reason = format!("{name} needs host, net, port or portrange before {}", word.text);
                return Err(self.wrong(word, reason));
            }
            _ => self.values(self.last.unwrap_or_default())?,
        };
        Ok(Term { negated: term.negated != negated, ..term })
    }

    fn no_primitive(&self, word: Word<'_>) -> FilterError {
        let text = word.text;
        let reason = match text {
            "" => "something to look for is missing here, such as: port 80".to_owned(),
            ")" | "and" | "&&" | "or" | "||" => format!("something to look for is missing before {text}"),
            _ if text.contains('[') => "bytes of headers are not looked at: choose by host, net, port and \
                 protocol, and filter the rest in Wireshark"
                .to_owned(),
            _ if ELSEWHERE.contains(&text) => {
                format!(
                    "{text} is not known here: choose by host, net, port and protocol, and filter the rest in Wireshark"
                )
            }
            _ if text.parse::<IpAddr>().is_ok() => format!("say what {text} is: host {text}"),
            _ if text.parse::<u16>().is_ok() => format!("say what {text} is: port {text}"),
            _ => format!(
                "{text} is not known here: a filter is made of host, net, port, portrange, src, dst, ip, ip6, \
                  tcp, udp, icmp, icmp6, sctp, and, or, not and parentheses"
            ),
        };
        self.wrong(word, reason)
    }

    /// Takes `tcp src port` and the like into `last`; the protocol, and whether a value must follow.
    fn qualifiers(&mut self) -> (Option<(&'a str, Protocol)>, bool) {
        let name = self.word().text;
        let found = protocol(name).map(|protocol| (name, protocol));
        self.at += usize::from(found.is_some());
        let mut qualifiers = Qualifiers { protocol: found, ..Qualifiers::default() };
        let mut needs_value = false;
        if let Some(first) = side(self.word().text) {
            needs_value = true;
            qualifiers.side = first;
            self.at += 1;
            if let (Some(joint), Some(second)) = (joint(self.word().text), side(self.peek(1).text)) {
                self.at += 2;
                qualifiers.side = match joint {
                    _ if first == second => first,
                    Joint::And => Side::Both,
                    Joint::Or => Side::Either,
                };
            }
        }
        if let Some(kind) = kind(self.word().text) {
            needs_value = true;
            qualifiers.kind = kind;
            self.at += 1;
        }
        self.last = Some(qualifiers);
        (found, needs_value)
    }

    /// A value, or several in parentheses.
    fn values(&mut self, qualifiers: Qualifiers<'a>) -> Result<Term, FilterError> {
        let negated = self.negation();
        if self.word().text != "(" {
            let word = self.take();
            let test = qualifiers.test(word.text).map_err(|reason| self.wrong(word, reason))?;
            self.last = Some(qualifiers);
            return Ok(Term { negated, what: What::Test(test) });
        }
        self.open()?;
        let first = self.values(qualifiers)?;
        let mut rest = Vec::new();
        while let Some(joint) = joint(self.word().text) {
            self.at += 1;
            rest.push((joint, self.values(qualifiers)?));
        }
        self.close()?;
        Ok(Term { negated, what: What::Group(Box::new(Chain { first, rest })) })
    }
}

impl Qualifiers<'_> {
    fn test(&self, value: &str) -> Result<Test, String> {
        let wanted = match self.kind {
            Kind::Host => "an address",
            Kind::Net => "a network",
            Kind::Port => "a port",
            Kind::PortRange => "a range of ports",
        };
        if !is_value(value) {
            let before = if value.is_empty() { String::new() } else { format!(" before {value}") };
            return Err(format!("{wanted} is missing{before}"));
        }
        match self.kind {
            Kind::Host if value.contains('/') => Err(format!("a host has no bits: write net {value}")),
            Kind::Host => self.net(Net::parse(value)?),
            Kind::Net => self.net(net(value)?),
            Kind::Port => {
                let port = port(value)?;
                self.ports(port, port)
            }
            Kind::PortRange => {
                let (from, to) = value.split_once('-').unwrap_or((value, value));
                let (from, to) = (port(from)?, port(to)?);
                self.ports(from.min(to), from.max(to))
            }
        }
    }

    fn net(&self, net: Net) -> Result<Test, String> {
        let own = if net.address.is_ipv4() { Family::V4 } else { Family::V6 };
        match self.protocol {
            None => Ok(Test::Net(None, self.side, net)),
            Some((_, Protocol::Ip(family))) if family == own => Ok(Test::Net(Some(family), self.side, net)),
            Some((name, Protocol::Ip(_))) => Err(format!("{} is no address of {name}", net.address)),
            Some((name, Protocol::Inside(..))) => {
                Err(format!("{name} has no addresses: write {name} and host, or {name} port"))
            }
        }
    }

    fn ports(&self, from: u16, to: u16) -> Result<Test, String> {
        match self.protocol {
            None => Ok(Test::Ports(None, self.side, from, to)),
            Some((_, Protocol::Inside(None, number))) => Ok(Test::Ports(Some(number), self.side, from, to)),
            Some((name, _)) => Err(format!("{name} has no ports: tcp, udp and sctp have")),
        }
    }
}

fn is_plain(number: &str) -> bool {
    // A leading zero means octal to libpcap.
    number.bytes().all(|byte| byte.is_ascii_digit()) && (number.len() == 1 || !number.starts_with('0'))
}

fn port(text: &str) -> Result<u16, String> {
    let number = Some(text).filter(|text| is_plain(text)).and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{text} is not a number of a port, from 0 to 65535"))
}

/// As [`Net::parse`], and the short forms of IPv4: `10`, `192.168`, `10/8`.
fn net(text: &str) -> Result<Net, String> {
    let (short, bits) = text.split_once('/').map_or((text, None), |(short, bits)| (short, Some(bits)));
    if bits.is_some_and(|bits| !is_plain(bits)) {
        return Err(format!("{text} is not a network"));
    }
    let mut octets = [0; 4];
    let mut count = 0;
    for part in short.split('.') {
        let octet = Some(part).filter(|part| is_plain(part)).and_then(|part| part.parse().ok());
        let (Some(octet), Some(place)) = (octet, octets.get_mut(count)) else { return Net::parse(text) };
        (*place, count) = (octet, count + 1);
    }
    if octets[0] == 0 && count < 4 {
        return Err(format!("{text} is not a network: write all four bytes of its address"));
    }
    let bits = bits.map_or_else(|| (8 * count).to_string(), str::to_owned);
    Net::parse(&format!("{}/{bits}", Ipv4Addr::from(octets)))
}
