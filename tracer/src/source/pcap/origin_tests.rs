use std::io;

use super::{super::Reader, *};

/// Whose each packet of a file is: pod, UID, and whether it left.
fn origins(file: Vec<u8>) -> Vec<Option<(String, String, bool)>> {
    let mut reader = Reader::from_read(io::Cursor::new(file), "test.pcapng").unwrap();
    let mut origins = Vec::new();
    while let Some(raw) = reader.next().unwrap() {
        origins
            .push(raw.origin.map(|origin| (origin.pod.to_string(), origin.pod.uid.clone(), origin.outbound)));
    }
    origins
}

/// A file with three interfaces and a packet of each, written by `application`.
fn file(order: Order, application: &[u8]) -> Vec<u8> {
    let flags = |flags: u32| order.put(&[flags]);
    [
        order.section_by(application),
        order.interface(1, 0, &[(2, b"shop/backend-0"), (3, b"0123-4567"), (9, &[9])]),
        order.interface(1, 0, &[(2, b"/system.slice/a"), (3, b"/system.slice/a")]),
        order.interface(1, 0, &[(2, b"eth0")]),
        order.enhanced_with(0, b"abc", &[(1, b"a comment"), (2, &flags(2))]),
        order.enhanced_with(1, b"abcd", &[(2, &flags(1)), (1, b"a comment")]),
        order.enhanced_with(2, b"abcd", &[(2, &flags(2))]),
        order.enhanced_with(0, b"abcd", &[(2, &flags(0))]),
        order.enhanced_with(0, b"abcd", &[(2, b"xyz")]),
        order.enhanced(0, 1, b"abcd"),
    ]
    .concat()
}

#[test]
fn a_file_by_tracer_says_whose_its_packets_are() {
    let pod = |pod: &str, uid: &str, outbound| Some((pod.to_owned(), uid.to_owned(), outbound));
    for order in [Order::Little, Order::Big] {
        assert_eq!(
            origins(file(order, b"tracer 0.1.0")),
            [
                pod("shop/backend-0", "0123-4567", true),
                pod("/system.slice/a", "/system.slice/a", false),
                None,
                None,
                None,
                None,
            ]
        );
        assert_eq!(origins(file(order, b"Dumpcap 4.0")), [const { None }; 6]);
        assert_eq!(origins(file(order, b"tracerless")), [const { None }; 6]);
    }
}

#[test]
fn a_section_says_nothing_of_the_next_one() {
    let order = Order::Little;
    let files = [file(order, b"tracer 1"), file(order, b"dumpcap"), file(order, b"tracer 2")].concat();
    let origins = origins(files);
    assert_eq!(origins[..6], origins[12..]);
    assert_eq!(origins[6..12], [const { None }; 6]);
}

#[test]
fn pods_are_bounded_and_equal_ones_are_one() {
    let order = Order::Little;
    let mut pods = Pods::default();
    let body =
        |name: &str| order.interface_body(1, 0, &[(2, name.as_bytes()), (3, name.as_bytes())])[8..].to_vec();
    for round in 0..2 {
        for pod in 0..u32::try_from(POD_LIMIT).unwrap() {
            assert_eq!(pods.add(&body(&pod.to_string()), order), Some(pod), "{round}");
        }
    }
    assert_eq!(pods.add(&body("one more"), order), None);
    assert_eq!(Pods::default().add(&body(&"n".repeat(60_000)), order), Some(0));
}
