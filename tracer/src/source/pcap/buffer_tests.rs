use super::{
    super::{
        Reader,
        order::Order::{Big, Little},
        sample::{Trickle, drain, read},
    },
    *,
};

fn buffer(bytes: Vec<u8>) -> Buffer {
    Buffer::new(Box::new(io::Cursor::new(bytes))).unwrap()
}

#[test]
fn slides_and_grows() {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut buffer = buffer(bytes.clone());
    assert!(buffer.have(10).unwrap() >= 10);
    buffer.consume(7);
    assert_eq!((buffer.offset(), buffer.unread().first()), (7, Some(&7)));

    assert!(buffer.have(900_000).unwrap() >= 900_000);
    assert_eq!(buffer.bytes.len(), 1 << 20);
    let at = buffer.consume(900_000);
    assert_eq!(buffer.at(at, 900_000), &bytes[7..900_007]);

    assert_eq!(buffer.have(900_000).unwrap(), 1_000_000 - 900_007);
    assert_eq!((buffer.offset(), buffer.taken()), (900_007, 1_000_000));
}

#[test]
fn stops_growing_at_the_limit() {
    let mut buffer = buffer(vec![1; BUFFER_LIMIT + 1]);
    assert_eq!(buffer.have(usize::MAX).unwrap(), BUFFER_LIMIT);
}

#[test]
fn a_slow_pipe_reads_like_a_file() {
    let long = vec![0xaa; 200_000];
    let pcapng =
        [Big.section(), Big.interface(1, 0, &[]), Big.enhanced(0, 1, &long), Big.enhanced(0, 2, b"a")];
    let pcap = [Little.file_header(0xa1b2_c3d4, 4), Little.record(1, 2, &long), Little.record(1, 3, b"a")];
    for file in [pcapng.concat(), pcap.concat()] {
        let reader = Reader::from_read(Trickle::new(file.clone()), "test.pcap").unwrap();
        let (packets, error) = drain(reader);
        assert_eq!((packets, error), read(&file));
    }
}

#[test]
fn a_read_error_comes_after_the_packets_before_it() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let file = [Little.file_header(0xa1b2_c3d4, 4), Little.record(1, 2, b"abc"), vec![0; 9]].concat();
    let reader = Reader::from_read(io::Cursor::new(file).chain(Broken), "test.pcap").unwrap();
    let (packets, error) = drain(reader);
    assert_eq!(packets.len(), 1);
    assert_eq!(error.as_deref(), Some("cannot read test.pcap after byte 43: the disk is gone"));
}
