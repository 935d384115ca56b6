//! A headless Chromium, driven over `WebDriver`: looks at a page as its readers do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::request;
use crate::pod::network::Namespace;
use crate::process::Running;

/// Where chromedriver listens, on the loopback of the namespace.
const DRIVER: &str = "127.0.0.1:9515";
/// Longer than Chromium takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a picture of the longest page.
const LONGEST: usize = 64 << 20;
/// Nothing but the page: no first-run pages, no updates, no calls home.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// What the page is looked at with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// A touch screen with two device pixels per CSS pixel.
    pub is_phone: bool,
    /// What the reader prefers.
    pub is_dark: bool,
}

/// A browser inside a namespace. Dropping it ends it.
pub struct Browser<'a> {
    namespace: &'a Namespace,
    session: String,
    _driver: Running,
}

impl<'a> Browser<'a> {
    /// Starts a browser whose files go to a new directory in `dir`.
    pub fn start(namespace: &'a Namespace, dir: &Path, screen: Screen) -> Result<Self> {
        // Its own process ids: the browser, which the driver starts and forgets, ends with the driver.
        let mut command = namespace.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "chromedriver"]);
        let log = dir.join("chromedriver.log");
        command.arg("--port=9515").arg(format!("--log-path={}", log.display()));
        // Chromium writes to its user's home besides the profile.
        let driver =
            Running::spawn("chromedriver", command.env("HOME", dir).stdout(std::process::Stdio::null()))
                .context("Debian's chromium-driver is needed: cargo xtask setup")?;
        let mut browser = Self { namespace, session: String::new(), _driver: driver };
        browser.wait_for_driver()?;
        let profile = free_directory(dir)?;
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        flags.push(format!("--window-size={},{}", screen.width, screen.height));
        let mut options = json!({ "args": flags });
        if screen.is_phone {
            let metrics =
                json!({ "width": screen.width, "height": screen.height, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = browser.post("/session", &wanted)?;
        made["sessionId"].as_str().context("a session without an id")?.clone_into(&mut browser.session);
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.devtools("Emulation.setEmulatedMedia", &media)?;
        Ok(browser)
    }

    fn wait_for_driver(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let status = request("GET", "/status", DRIVER, &["Connection: close"]);
        while !self.namespace.enter(|| exchange(&status)).is_ok_and(|said| said.contains("\"ready\":true")) {
            ensure!(Instant::now() < deadline, "chromedriver is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Opens a page.
    pub fn open(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).map(drop)
    }

    /// What a script returns on the page.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script until it returns true.
    pub fn wait_until(&self, script: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.run(script)? != json!(true) {
            ensure!(Instant::now() < deadline, "not so after {PATIENCE:?}: {script}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The whole page as a picture.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", &wanted)?;
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().context("no picture")?)?;
        fs::write(file, picture).with_context(|| format!("write {}", file.display()))
    }

    /// What the page's console says that is wrong: forbidden resources, errors of the script.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.command("se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().context("the log is no list")?;
        Ok(entries.iter().map(ToString::to_string).collect())
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn command(&self, name: &str, body: &Value) -> Result<Value> {
        self.post(&format!("/session/{}/{name}", self.session), body)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let length = format!("Content-Length: {}", body.len());
        let headers = ["Connection: close", "Content-Type: application/json", &length];
        let mut message = request("POST", path, DRIVER, &headers);
        message.extend_from_slice(body.as_bytes());
        let answer =
            self.namespace.enter(|| exchange(&message).with_context(|| format!("WebDriver: {path}")))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("WebDriver: {answer}"))?;
        if let Some(error) = answer["value"]["error"].as_str() {
            bail!("WebDriver: {path}: {error}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        let message =
            request("DELETE", &format!("/session/{}", self.session), DRIVER, &["Connection: close"]);
        // The browser ends with its driver at the latest.
        let _ended = self.namespace.enter(|| exchange(&message));
    }
}

fn exchange(message: &[u8]) -> Result<String> {
    let address: SocketAddr = DRIVER.parse()?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(message)?;
    // The driver keeps connections open, whatever it is asked.
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?;
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    ensure!(length <= LONGEST, "an answer of {length} bytes");
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    Ok(String::from_utf8(body)?)
}

/// A new empty directory in `dir`.
fn free_directory(dir: &Path) -> Result<PathBuf> {
    let mut names = (1..).map(|number| dir.join(format!("browser-{number}")));
    let free = names.find(|path| !path.exists()).context("no free name")?;
    fs::create_dir(&free).with_context(|| format!("make {}", free.display()))?;
    Ok(free)
}
