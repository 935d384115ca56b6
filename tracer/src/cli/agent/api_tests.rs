use super::*;
use crate::export::fixture;

const SECOND: u64 = 1_000_000_000;

/// The fixture's summary, and its request as it settled.
fn known() -> (Summary, Memory, u64) {
    let request = fixture::request();
    let mut memory = Memory::default();
    memory.request(&request);
    (fixture::summary(), memory, request.messages.response_last + SECOND)
}

fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

#[test]
fn pods_have_their_breakdown_over_time() {
    let (summary, memory, now) = known();
    let answer = parse(&pods(&summary, &memory, &Wanted::default(), now, WallClock::UNIX));
    assert_eq!((&answer["interval_seconds"], &answer["minutes"]), (&json!(10), &json!(10)));
    let named = answer["pods"].as_array().unwrap().iter().find(|pod| pod["pod"] == "shop/backend-0").unwrap();
    let breakdown = named["breakdown"].as_array().unwrap();
    assert_eq!((breakdown.len(), &breakdown[0]["requests"]), (1, &json!(1)));
    let stages = breakdown[0]["stages_ns"].as_array().unwrap();
    let sum: u64 = stages.iter().filter_map(Json::as_u64).sum();
    assert_eq!((stages.len(), sum), (7, fixture::request().total()));
    assert!(named["findings"].is_array() && named["uid"].is_string(), "{named}");
    assert!(answer["accounting"]["dropped"].is_object());
}

#[test]
fn what_is_older_than_the_minutes_is_left_out() {
    let (summary, memory, now) = known();
    let wanted = Wanted { minutes: Some(1), ..Wanted::default() };
    let answer = parse(&pods(&summary, &memory, &wanted, now + 120 * SECOND, WallClock::UNIX));
    assert_eq!(answer["pods"][0]["breakdown"], json!([]));
}

#[test]
fn a_pod_is_asked_for_by_name_or_uid() {
    let (summary, mut memory, now) = known();
    let pod = fixture::pod();
    for name in ["backend-0", "shop/backend-0", pod.uid.as_str(), "nobody"] {
        let wanted = Wanted { pod: Some(name.to_owned()), ..Wanted::default() };
        let expected = usize::from(name != "nobody");
        let found = parse(&pods(&summary, &memory, &wanted, now, WallClock::UNIX));
        assert_eq!(found["pods"].as_array().unwrap().len(), expected, "{name}");
        let found = parse(&requests(&mut memory, &wanted, now, WallClock::UNIX));
        assert_eq!(found["requests"].as_array().unwrap().len(), expected, "{name}");
        let found = parse(&findings(&summary, &wanted, WallClock::UNIX));
        assert_eq!(found["findings"].as_array().unwrap().is_empty(), expected == 0, "{name}");
    }
}

#[test]
fn requests_have_what_a_waterfall_needs() {
    let (_, mut memory, now) = known();
    let answer = parse(&requests(&mut memory, &Wanted::default(), now, WallClock::UNIX));
    let request = &answer["requests"][0];
    assert_eq!(request["title"], "GET /v1/items/17");
    assert!(request["outcome"].is_string() && request["total_ns"].is_u64());
    let call = &request["calls"][0];
    for field in ["kind", "attribution", "start_ns", "duration_ns", "detail", "flow"] {
        assert!(!call[field].is_null(), "{field}: {call}");
    }
}

#[test]
fn findings_say_what_to_do() {
    let (summary, ..) = known();
    let answer = parse(&findings(&summary, &Wanted::default(), WallClock::UNIX));
    assert!(answer["findings"][0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
}

#[test]
fn what_is_asked_for_has_bounds() {
    assert_eq!(Wanted::default().wrong(), None);
    let minutes = Wanted { minutes: Some(61), ..Wanted::default() };
    assert_eq!(minutes.wrong().unwrap(), "minutes has to be a whole number from 1 to 60");
    let limit = Wanted { limit: Some(0), ..Wanted::default() };
    assert_eq!(limit.wrong().unwrap(), "limit has to be a whole number from 1 to 100");
}

/// The names of an object's members.
fn names(object: &Json) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_page_shows_the_shapes_that_there_are() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```json").skip(1).map(|block| parse(block.split("```").next().unwrap()));
    let shown: Vec<Json> = blocks.collect();
    let (summary, mut memory, now) = known();
    let wanted = Wanted::default();
    let told = [
        parse(&pods(&summary, &memory, &wanted, now, WallClock::UNIX)),
        parse(&requests(&mut memory, &wanted, now, WallClock::UNIX)),
        parse(&findings(&summary, &wanted, WallClock::UNIX)),
    ];
    assert_eq!(shown.len(), told.len());
    for (shown, told) in shown.iter().zip(&told) {
        assert_eq!(names(shown), names(told));
    }
    for place in ["/pods/0", "/pods/0/breakdown/0", "/accounting"] {
        assert_eq!(
            names(shown[0].pointer(place).unwrap()),
            names(told[0].pointer(place).unwrap()),
            "{place}"
        );
    }
    for place in ["/requests/0", "/requests/0/calls/0"] {
        assert_eq!(
            names(shown[1].pointer(place).unwrap()),
            names(told[1].pointer(place).unwrap()),
            "{place}"
        );
    }
    assert_eq!(names(&shown[2]["findings"][0]), names(&told[2]["findings"][0]));
}
