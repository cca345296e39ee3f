//! A browser without a window, driven through WebDriver (W3C) with nothing but JSON over HTTP.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What to do where there is no browser: these tests never pass without one.
const INSTALL: &str = "the tests need a browser: apt-get install -y chromium chromium-driver";

/// How long a page may take to become what it should be.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with an empty profile; it ends with this value, and so does its driver.
pub(super) struct Browser {
    driver: Child,
    session: String,
    /// The browser's process, if the driver told it.
    process: Option<u64>,
    agent: ureq::Agent,
    _profile: TempDir,
}

/// How wide the window is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    /// 1280 by 900.
    Desk,
    /// 390 by 844, with two dots for each pixel.
    Phone,
}

/// What the reader prefers.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    pub(super) fn start() -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; {INSTALL}"));
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let port = line.split_once("successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        // Whatever else it says must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(2 * PATIENCE))
            .build();
        let mut browser = Browser {
            driver,
            session: String::new(),
            process: None,
            agent: config.into(),
            _profile: profile,
        };
        let port = port.unwrap_or_else(|| panic!("chromedriver told no port; {INSTALL}"));
        let address = format!("http://127.0.0.1:{port}/session");
        let directory = browser._profile.path().display().to_string();
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            // A dialog stays, so that a test can see it.
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                format!("--user-data-dir={directory}"),
            ] },
        } } });
        let session = browser.post(&address, &capabilities);
        let session = session.unwrap_or_else(|error| panic!("{error}; {INSTALL}"));
        browser.process = session["capabilities"]["goog:processID"].as_u64();
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("{address}/{id}");
        browser
    }

    /// Loads a page.
    pub(super) fn open(&self, address: &str) {
        self.command("url", &json!({ "url": address }));
    }

    /// What an expression is worth on the page.
    pub(super) fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true on the page.
    #[track_caller]
    pub(super) fn wait_for(&self, expression: &str) {
        let begin = Instant::now();
        while self.value(expression) != true {
            assert!(begin.elapsed() < PATIENCE, "never true: {expression}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The page's dialog, if it opened one.
    pub(super) fn dialog(&self) -> Option<String> {
        let text = self.get("alert/text").ok()?;
        Some(text.as_str().unwrap_or_default().to_owned())
    }

    /// Scrolls to an element.
    pub(super) fn scroll_to(&self, selector: &str) {
        self.value(&format!(
            "void document.querySelector('{selector}').scrollIntoView()"
        ));
    }

    /// Clicks in the middle of an element, as a person would.
    pub(super) fn click(&self, selector: &str) {
        let find = json!({ "using": "css selector", "value": selector });
        let element = self.command("element", &find);
        let ids = element.as_object().expect("an element is an object");
        let id = ids.values().next().and_then(Value::as_str).unwrap();
        self.command(&format!("element/{id}/click"), &json!({}));
    }

    /// Presses and lets go of a key.
    pub(super) fn press(&self, key: &str) {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command("actions", &json!({ "actions": [keyboard] }));
    }

    /// What the console said since it was last asked, faults only: blocked by a policy, failed
    /// to load, thrown.
    pub(super) fn faults(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let is_fault = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        let faults = entries.iter().filter(is_fault);
        faults.map(|entry| entry["message"].to_string()).collect()
    }

    pub(super) fn look_on(&self, screen: Screen, scheme: Scheme) {
        let (width, height, scale) = match screen {
            Screen::Desk => (1280, 900, 1),
            Screen::Phone => (390, 844, 2),
        };
        let metrics = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": scale,
            "mobile": screen == Screen::Phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// Keeps a picture of what is on the screen, for people to look at.
    pub(super) fn screenshot(&self, name: &str) {
        let picture = self.get("screenshot").unwrap();
        let picture = base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().unwrap())
            .unwrap();
        let directory = screenshots();
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
    }

    fn devtools(&self, name: &str, parameters: &Value) {
        let command = json!({ "cmd": name, "params": parameters });
        self.command("goog/cdp/execute", &command);
    }

    #[track_caller]
    fn command(&self, name: &str, body: &Value) -> Value {
        let address = format!("{}/{name}", self.session);
        let value = self.post(&address, body);
        value.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn post(&self, address: &str, body: &Value) -> Result<Value, String> {
        value(self.agent.post(address).send_json(body))
    }

    fn get(&self, name: &str) -> Result<Value, String> {
        value(self.agent.get(format!("{}/{name}", self.session)).call())
    }
}

/// Where pictures are kept: `target/screenshots`.
fn screenshots() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("it lies in the target").join("screenshots")
}

/// The value of an answer, or what the driver says is wrong.
fn value(answer: Result<ureq::http::Response<ureq::Body>, impl Debug>) -> Result<Value, String> {
    let mut answer = answer.map_err(|error| format!("{error:?}"))?;
    let body: Value = answer.body_mut().read_json().map_err(|e| e.to_string())?;
    let value = body["value"].clone();
    match value["error"].as_str() {
        Some(_) => Err(value.to_string()),
        None => Ok(value),
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let ended = self.agent.delete(&self.session).call();
        if let (Err(_), Some(process)) = (ended, self.process) {
            let _ = Command::new("kill")
                .args(["-KILL", &process.to_string()])
                .status();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
