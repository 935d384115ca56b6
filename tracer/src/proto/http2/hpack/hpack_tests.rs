use super::table::TABLE_LIMIT;
use super::*;

/// Bytes of a hexadecimal text with spaces.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A literal without Huffman: 0x40 to insert, 0x00 not to.
fn literal(kind: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![kind];
    for text in [name, value] {
        bytes.extend(integer(0, 7, text.len()));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn integer(first: u8, prefix: u32, value: usize) -> Vec<u8> {
    let mask = (1 << prefix) - 1;
    if value < mask {
        return vec![first | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![first | u8::try_from(mask).unwrap()];
    let mut rest = value - mask;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

fn request(path: &str) -> Fields {
    Fields { method: Some("GET"), path: Some(path.into()), of_request: true, ..Fields::default() }
}

fn response(status: u16) -> Fields {
    Fields { status: Some(status), ..Fields::default() }
}

/// Decodes blocks one after the other: what they say, and the size of the table after each.
fn decode(decoder: &mut Decoder, blocks: &[&str]) -> Vec<(Fields, u32)> {
    blocks.iter().map(|block| (decoder.decode(&hex(block)).unwrap(), decoder.table.size())).collect()
}

#[test]
fn the_rfcs_requests() {
    // Appendix C.3, without Huffman, and C.4, with it.
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let said = [(request("/"), 57), (request("/"), 110), (request("/index.html"), 164)];
    assert_eq!(decode(&mut Decoder::new(), &plain), said);
    assert_eq!(decode(&mut Decoder::new(), &huffman), said);
}

#[test]
fn the_rfcs_responses() {
    // Appendix C.5 and C.6: a table of 256 bytes, so entries are evicted.
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        decoder.table.resize(256);
        let said = [(response(302), 222), (response(307), 222), (response(200), 215)];
        assert_eq!(decode(&mut decoder, &blocks), said);
    }
}

#[test]
fn reads_the_fields_of_grpc() {
    let mut decoder = Decoder::new();
    let call = [
        vec![0x83],
        literal(0, ":path", "/pkg.Service/Do?x=secret"),
        literal(0x10, "content-type", "application/grpc+proto"),
    ];
    let said = decoder.decode(&call.concat()).unwrap();
    assert_eq!((said.method, said.path.as_deref(), said.grpc), (Some("POST"), Some("/pkg.Service/Do"), true));
    let trailers = [literal(0x40, "grpc-status", "14"), literal(0, "grpc-message", "secret")].concat();
    assert_eq!(decoder.decode(&trailers).unwrap().grpc_status, Some(14));
    assert_eq!(decoder.decode(&[0xbe]).unwrap().grpc_status, Some(14), "from the table");
    assert!(!format!("{decoder:?}").contains("secret"), "the table keeps no text");
}

#[test]
fn older_entries_are_unknown_after_a_loss_and_newer_ones_known() {
    let mut decoder = Decoder::new();
    decoder.decode(&literal(0x40, ":path", "/old")).unwrap();
    decoder.forget();
    decoder.decode(&literal(0x40, ":path", "/new")).unwrap();
    assert_eq!(decoder.decode(&[0x82, 0xbe]).unwrap(), request("/new"));
    let unknown = decoder.decode(&[0x82, 0xbf, 0xc0]).unwrap();
    assert_eq!((unknown.method, unknown.path), (Some("GET"), None));
    // A name that is unknown: its literal value may be anything.
    let mut named = integer(0x40, 6, 63);
    named.extend([4, b'/', b'a', b'b', b'c']);
    assert_eq!(decoder.decode(&named).unwrap().path, None);
    assert_eq!(decoder.decode(&[0xbf]).unwrap().path.as_deref(), Some("/new"), "one further back");
    // The peer empties its table: nothing is unknown any more.
    decoder.decode(&[integer(0x20, 5, 0), integer(0x20, 5, 4096)].concat()).unwrap();
    assert_eq!(decoder.decode(&[0xbe]), Err(Malformed));
}

#[test]
fn what_is_malformed_is_an_error_and_hides_the_table() {
    for block in [
        vec![0x80],
        vec![0xbe],
        integer(0x80, 7, 62),
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0x40, 5, b'a'],
        vec![0x82, 0x20],
        integer(0x20, 5, 4097),
        literal(0x40, "", "")[..1].to_vec(),
        vec![0x44, 0x81, 0xff],
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&block), Err(Malformed), "{block:x?}");
        assert_eq!(decoder.decode(&[0x82, 0xbe]).unwrap().method, Some("GET"), "it goes on");
    }
}

#[test]
fn the_table_is_as_large_as_was_agreed_on() {
    let mut decoder = Decoder::new();
    decoder.announce(8192);
    decoder.settings();
    decoder.decode(&integer(0x20, 5, 8192)).unwrap();
    decoder.announce(1024);
    decoder.settings();
    decoder.acknowledged();
    decoder.decode(&integer(0x20, 5, 8192)).expect("the second SETTINGS is not acknowledged");
    decoder.acknowledged();
    assert_eq!(decoder.decode(&integer(0x20, 5, 8192)), Err(Malformed));
}

#[test]
fn a_huge_table_is_held_in_part() {
    let mut decoder = Decoder::new();
    decoder.allow_any_size();
    decoder.decode(&integer(0x20, 5, 1 << 30)).unwrap();
    decoder.decode(&literal(0x40, ":path", "/first")).unwrap();
    for number in 0..100 {
        let value = format!("{number:01000}");
        decoder.decode(&literal(0x40, "x", &value)).unwrap();
        assert!(decoder.table.size() <= TABLE_LIMIT);
    }
    let said = decoder.decode(&[vec![0x82], integer(0x80, 7, 62 + 100)].concat()).unwrap();
    assert_eq!((said.method, said.path), (Some("GET"), None), "unknown, not an error");
    decoder.decode(&literal(0x40, "x", &"x".repeat(100_000))).unwrap();
    assert_eq!(decoder.table.size(), 0);
}

#[test]
fn a_bomb_costs_as_much_as_its_bytes() {
    let mut decoder = Decoder::new();
    decoder.decode(&literal(0x40, "x", &"x".repeat(4000))).unwrap();
    // A header list of a gigabyte.
    assert_eq!(decoder.decode(&[0xbe].repeat(256 * 1024)), Ok(Fields::default()));
}
