//! The web page of the node as a browser shows it, on a desk and on a phone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tracer_lab::browser::{Browser, Screen};
use tracer_lab::incident::{Incident, Settings};
use tracer_lab::process::Signal;
use tracer_lab::say;
use tracer_lab::tracer::{Tracing, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer-lab");
const PAGE: &str = "http://127.0.0.1:9464/";
const DESK: Screen = Screen { width: 1280, height: 900, is_phone: false, is_dark: false };
const PHONE: Screen = Screen { width: 390, height: 844, is_phone: true, is_dark: true };

#[test]
fn the_page_shows_where_the_time_goes() -> Result<()> {
    let incident = Incident::start(Settings::sick(Path::new(PROGRAM)))?;
    let agent = Tracing::start(&program()?, &incident.lab, "agent", &[])?;
    // Over more than one interval of the breakdown.
    for _ in 0..3 {
        incident.run(15, 2)?;
        std::thread::sleep(Duration::from_secs(5));
    }
    let uid = incident.backend.uid();
    agent.settled(uid, 45)?;
    for (name, screen) in [
        ("desk", DESK),
        ("desk-dark", Screen { is_dark: true, ..DESK }),
        ("phone", PHONE),
        ("phone-light", Screen { is_dark: false, ..PHONE }),
    ] {
        look(&incident, name, screen).with_context(|| name.to_owned())?;
    }
    agent.end(Signal::Terminate).map(drop)
}

fn look(incident: &Incident, name: &str, screen: Screen) -> Result<()> {
    let uid = incident.backend.uid();
    let browser = Browser::start(incident.lab.node(), incident.lab.dir(), screen)?;
    browser.open(PAGE)?;
    browser.wait_until("return document.body.dataset.ready === 'true'")?;
    let text = |selector: &str| -> Result<String> {
        let text = browser.run(&format!("return document.querySelector({selector:?})?.innerText ?? ''"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    };
    let number =
        |script: &str| -> Result<u64> { browser.run(script)?.as_u64().with_context(|| script.to_owned()) };
    let findings = text("#findings")?;
    ensure!(findings.contains("metadata-credentials") && findings.contains("Remedy:"), "{findings}");
    let pods = text("#pods")?;
    ensure!(pods.contains(uid) && pods.contains("findings"), "{pods}");
    ensure!(number("return document.querySelectorAll('.pod[data-pod] .stages i.metadata').length")? >= 1);
    ensure!(
        number("return document.querySelectorAll('#chart rect.metadata').length")? >= 2,
        "no bars over time"
    );
    ensure!(number("return document.querySelectorAll('#requests details').length")? >= 10);
    let waterfall = text("#requests details[open] .rows")?;
    ensure!(waterfall.contains("metadata") && waterfall.contains("GET /latest/meta-data"), "{waterfall}");
    ensure!(text("#trouble")?.is_empty());
    stages_have_their_colours(&browser)?;
    let wide = number("return document.documentElement.scrollWidth")?;
    ensure!(wide <= u64::from(screen.width), "the page is {wide} px wide on {} px", screen.width);
    let picture = pictures()?.join(format!("{name}.png"));
    browser.screenshot(&picture)?;
    say(&format!("{}", picture.display()));

    // What was opened stays open when the page asks again.
    browser.run("document.querySelector('.finding details summary').click()")?;
    browser.run("update()")?;
    browser.wait_until("return document.querySelector('.finding details').open")?;
    let evidence = text(".finding details table")?;
    let share = evidence.lines().find(|line| line.starts_with("share of time"));
    ensure!(share.is_some_and(|line| line.ends_with(" %")), "{evidence}");

    // One pod alone: its own requests, and a link to it.
    browser.run(&format!("document.querySelector('.pod[data-pod=\"{uid}\"]').click()"))?;
    browser.wait_until(&format!(
        "return document.getElementById('requests-note').innerText.includes('{uid}')"
    ))?;
    ensure!(browser.run("return location.hash")? == Value::from(format!("#{uid}")));
    browser.run("document.querySelector('button[data-minutes=\"60\"]').click()")?;
    browser.wait_until("return document.querySelector('#chart svg').ariaLabel.includes('60 minutes')")?;
    browser.screenshot(&pictures()?.join(format!("{name}-pod.png")))?;
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the console: {complaints:?}");
    Ok(())
}

/// A style that the policy forbids would leave them without.
fn stages_have_their_colours(browser: &Browser<'_>) -> Result<()> {
    let colour = "return getComputedStyle(document.querySelector('.pod[data-pod] .stages i.metadata')).backgroundColor";
    let found = browser.run(colour)?;
    ensure!(found == "rgb(229, 72, 77)", "{found}");
    Ok(())
}

/// Where the pictures stay: `target/web`.
fn pictures() -> Result<PathBuf> {
    let program = PathBuf::from(PROGRAM);
    let target = program.ancestors().nth(2).context("the target directory")?.join("web");
    fs::create_dir_all(&target)?;
    Ok(target)
}
