use super::*;
use crate::cli::top::fixture::{after, picture, typed};

fn names(state: &State, picture: &Picture) -> Vec<String> {
    state.visible(picture).into_iter().map(|pod| pod.name.clone()).collect()
}

#[test]
fn s_cycles_the_sort() {
    let picture = picture();
    let order = |keys: &str| names(&after(&picture, &typed(keys)), &picture);
    assert_eq!(order(""), ["shop/backend-0", "shop/cart", "shop/zero"]);
    assert_eq!(order("s"), ["shop/cart", "shop/backend-0", "shop/zero"]);
    assert_eq!(order("ss"), ["shop/backend-0", "shop/cart", "shop/zero"]);
    assert_eq!(order("sss"), ["shop/backend-0", "shop/cart", "shop/zero"]);
    assert_eq!(after(&picture, &typed("sss")).sort, Sort::Name);
    assert_eq!(after(&picture, &typed("ssss")).sort, Sort::Time);
}

#[test]
fn the_filter_takes_keys_until_enter_and_finds_names_and_findings() {
    let picture = picture();
    let mut state = after(&picture, &typed("/CARTq"));
    assert_eq!(state.filter, "CARTq");
    state.input(Input::Backspace, &picture);
    assert_eq!(names(&state, &picture), ["shop/cart"]);
    state.input(Input::Enter, &picture);
    assert_eq!(state.input(Input::Character('q'), &picture), Next::Quit);
    state.input(Input::Escape, &picture);
    assert_eq!(names(&state, &picture).len(), 3);

    let state = after(&picture, &typed("/metadata-cred"));
    assert_eq!(names(&state, &picture), ["shop/backend-0"]);
}

#[test]
fn a_filter_has_a_limit_and_escape_clears_it() {
    let picture = picture();
    let mut state = after(&picture, &typed(&format!("/{}", "x".repeat(1000))));
    assert_eq!(state.filter.len(), FILTER_LIMIT);
    assert!(names(&state, &picture).is_empty());
    // Nothing to open, nothing to move to.
    for input in [Input::Escape, Input::Down, Input::Enter] {
        state.input(input, &picture);
    }
    assert!(state.filter.is_empty() && !state.is_editing);
}

#[test]
fn control_c_quits_everywhere() {
    let picture = picture();
    for keys in ["", "/car", "f"] {
        assert_eq!(after(&picture, &typed(keys)).input(Input::Interrupt, &picture), Next::Quit);
    }
}

#[test]
fn enter_opens_a_pod_and_its_slowest_request_and_escape_goes_back() {
    let picture = picture();
    let mut state = after(&picture, &[Input::Enter]);
    assert!(matches!(state.view(), View::Pod { uid, .. } if *uid == picture.pods[0].uid));
    state.input(Input::Enter, &picture);
    assert!(matches!(state.view(), View::Request { request, .. } if request.number == 2));
    // A waterfall leads nowhere, and the sort belongs to the table.
    state.input(Input::Enter, &picture);
    state.input(Input::Character('s'), &picture);
    assert_eq!(state.sort, Sort::Time);
    state.input(Input::Escape, &picture);
    assert!(matches!(state.view(), View::Pod { .. }));
    state.input(Input::Escape, &picture);
    state.input(Input::Escape, &picture);
    assert!(matches!(state.view(), View::Pods));
}

#[test]
fn the_selection_stays_on_its_pod_when_the_order_changes() {
    let picture = picture();
    let mut state = after(&picture, &[Input::Character('j')]);
    state.input(Input::Character('s'), &picture);
    state.input(Input::Enter, &picture);
    assert!(matches!(state.view(), View::Pod { uid, .. } if uid == "uid-of-cart"));
}

#[test]
fn a_pod_without_slow_requests_has_no_waterfall_to_open() {
    let picture = picture();
    let state = after(&picture, &[Input::End, Input::Enter, Input::Enter]);
    assert!(matches!(state.view(), View::Pod { uid, .. } if uid == "uid-of-zero"));
}

#[test]
fn f_opens_the_findings_of_what_is_seen_and_closes_them() {
    let picture = picture();
    let mut state = after(&picture, &typed("f"));
    assert!(matches!(state.view(), View::Findings { of: None, .. }));
    state.input(Input::Character('f'), &picture);
    assert!(matches!(state.view(), View::Pods));
    let state = after(&picture, &[Input::Enter, Input::Enter, Input::Character('f')]);
    assert!(matches!(state.view(), View::Findings { of: Some(uid), .. } if *uid == picture.pods[0].uid));
}

#[test]
fn p_and_space_pause_and_go_on() {
    let picture = picture();
    assert!(after(&picture, &typed("p")).is_paused);
    assert!(!after(&picture, &typed("p ")).is_paused);
}

#[test]
fn a_long_waterfall_scrolls_to_its_end_and_not_beyond() {
    let picture = picture();
    let mut state = after(&picture, &[Input::Resize(80, 8), Input::Enter, Input::Enter]);
    let scroll = |state: &State| match state.view() {
        View::Request { scroll, .. } => *scroll,
        _ => panic!("no waterfall"),
    };
    state.input(Input::Down, &picture);
    assert_eq!(scroll(&state), 1);
    state.input(Input::End, &picture);
    let View::Request { request, .. } = state.view() else { panic!("no waterfall") };
    assert_eq!(scroll(&state), waterfall_lines(request, picture.clock).len() - 5);
    state.input(Input::Home, &picture);
    assert_eq!(scroll(&state), 0);
}

#[test]
fn pages_move_in_a_findings_text_and_no_further_than_it_is_long() {
    let picture = picture();
    let mut state = after(&picture, &[Input::Resize(60, 10), Input::Character('f')]);
    for _ in 0..20 {
        state.input(Input::PageDown, &picture);
    }
    let View::Findings { scroll, .. } = *state.view() else { panic!("no findings") };
    let finding = &picture.pods[0].findings[0];
    assert_eq!(scroll, finding_lines(finding, picture.clock, 60).len() - said_lines(7, 1));
    state.input(Input::Up, &picture);
    assert!(matches!(state.view(), View::Findings { scroll: 0, .. }));
}
