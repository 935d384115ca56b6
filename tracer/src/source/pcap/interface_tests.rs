use super::{
    super::order::Order::{Big, Little},
    *,
};

fn clock(options: &[(u16, &[u8])]) -> Clock {
    let interface = Interface::parse(&Little.interface_body(1, 0, options), Little).unwrap();
    interface.clock
}

#[test]
fn reads_link_type_and_snapshot_length_of_both_orders() {
    for order in [Little, Big] {
        let interface = Interface::parse(&order.interface_body(276, 96, &[]), order).unwrap();
        assert_eq!((interface.link, interface.snapshot_length), (LinkType(276), 96));
        assert_eq!(interface.clock.nanoseconds(5), 5_000);
    }
}

#[test]
fn resolutions_are_powers_of_ten_or_two() {
    for (resolution, ticks, nanoseconds) in [
        (0, 5, 5_000_000_000),
        (3, 1_001, 1_001_000_000),
        (9, 5, 5),
        (12, 1_999, 1),
        (19, u64::MAX, 1_844_674_407),
        (0x80, 5, 5_000_000_000),
        (0x94, 3 << 19, 1_500_000_000),
        (0xbf, u64::MAX, 1_999_999_999),
    ] {
        assert_eq!(clock(&[(9, &[resolution])]).nanoseconds(ticks), nanoseconds, "{resolution:#x}");
    }
    for resolution in [20, 0x7f, 0xc0, 0xff] {
        let body = Little.interface_body(1, 0, &[(9, &[resolution])]);
        assert!(matches!(Interface::parse(&body, Little), Err(Fault::Unsupported(_))));
    }
}

#[test]
fn an_offset_in_seconds_is_added() {
    assert_eq!(clock(&[(14, &100_i64.to_le_bytes())]).nanoseconds(7), 100_000_007_000);
    let past = clock(&[(14, &(-100_i64).to_le_bytes())]);
    assert_eq!(past.nanoseconds(100_000_001), 1_000);
    let body = Big.interface_body(1, 0, &[(14, &100_i64.to_be_bytes())]);
    assert_eq!(Interface::parse(&body, Big).unwrap().clock.offset, 100);
}

#[test]
fn times_stay_between_1970_and_what_fits() {
    assert_eq!(clock(&[(14, &(-1_i64).to_le_bytes())]).nanoseconds(7), 0);
    assert_eq!(clock(&[(14, &i64::MIN.to_le_bytes())]).nanoseconds(u64::MAX), 0);
    assert_eq!(clock(&[(14, &i64::MAX.to_le_bytes()), (9, &[0])]).nanoseconds(u64::MAX), u64::MAX);
    assert_eq!(clock(&[]).nanoseconds(u64::MAX), u64::MAX);
}

#[test]
fn the_first_of_two_counts_and_none_of_a_wrong_length() {
    assert_eq!(clock(&[(9, &[3]), (9, &[9])]).ticks_per_second, 1_000);
    assert_eq!(clock(&[(9, &[3, 0]), (14, &[1])]), clock(&[]));
    assert_eq!(clock(&[(2, b"eth0"), (0, &[]), (9, &[3])]), clock(&[]));
}

#[test]
fn options_that_run_over_the_end_are_damage() {
    let mut body = Little.interface_body(1, 0, &[(2, b"eth0")]);
    for cut in 1..8 {
        assert!(Interface::parse(&body[..body.len() - cut], Little).is_err());
    }
    body.extend([9, 0, 1, 0]);
    assert!(Interface::parse(&body, Little).is_err());
}
