use std::{fs, process};

use super::{
    order::Order::Little,
    sample::{drain, read},
    *,
};

/// A file with this content, as long as `test` runs.
fn with_file(name: &str, content: &[u8], test: impl FnOnce(&Path)) {
    let path = std::env::temp_dir().join(format!("tracer-{}-{name}", process::id()));
    fs::write(&path, content).unwrap();
    test(&path);
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_has_a_size_and_a_position() {
    let content = [Little.file_header(0xa1b2_c3d4, 4), Little.record(1, 2, b"abc")].concat();
    with_file("size.pcap", &content, |path| {
        let mut reader = Reader::open(path).unwrap();
        assert_eq!((reader.size(), reader.taken(), reader.offset()), (Some(43), 43, 24));
        assert_eq!(reader.next().unwrap().unwrap().bytes, b"abc");
        assert_eq!(reader.offset(), 43);
        assert_eq!(reader.name(), path.display().to_string());
    });
}

#[test]
fn what_cannot_be_opened_is_named() {
    let missing = Reader::open("/nonexistent/a.pcap".as_ref()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot open /nonexistent/a.pcap: No such file or directory (os error 2)"
    );
    let directory = Reader::open(&std::env::temp_dir()).unwrap_err();
    assert!(matches!(directory, Error::Directory { .. }));
    with_file("empty.pcap", b"", |path| {
        assert!(matches!(Reader::open(path), Err(Error::Empty { .. })));
    });
}

#[test]
fn other_files_are_named_by_their_first_bytes() {
    let (_, error) = read(b"# notes\n");
    let message = "test.pcap is not a pcap or pcapng capture: it begins with 23 20 6e 6f 74 65 73 0a (\"# notes\\n\"). \
                   Wireshark's `editcap -F pcapng FILE NEW` converts other kinds of captures";
    assert_eq!(error.as_deref(), Some(message));
    let (_, error) = read(&[0x28, 0xb5, 0x2f, 0xfd, 4]);
    assert!(error.unwrap().ends_with("`zstd -dc FILE | tracer analyze -` reads it"));
    assert!(read(&[0xd4, 0xc3, 0xb2]).1.unwrap().contains("is not a pcap"));
}

#[test]
fn a_header_alone_is_an_empty_capture() {
    assert_eq!(read(&Little.file_header(0xa1b2_c3d4, 4)), (Vec::new(), None));
    assert_eq!(read(&Little.section()), (Vec::new(), None));
}

#[test]
fn many_packets_pass_through_a_small_buffer() {
    let mut content = Little.file_header(0xa1b2_3c4d, 4);
    for number in 0..20_000_u32 {
        content.extend(Little.record(0, number, &number.to_le_bytes().repeat(30)));
    }
    let reader = Reader::from_read(io::Cursor::new(content), "test.pcap").unwrap();
    let (packets, error) = drain(reader);
    assert_eq!((packets.len(), error), (20_000, None));
    for (number, packet) in (0_u32..).zip(&packets) {
        assert_eq!((packet.number, packet.time), (u64::from(number) + 1, u64::from(number)));
        assert_eq!(packet.bytes, number.to_le_bytes().repeat(30));
    }
}
