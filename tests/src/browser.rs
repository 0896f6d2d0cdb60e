//! Chromium without a window, driven over its debugging protocol: a page is opened, looked at, clicked and typed into as
//! a user would, and everything that it asked for and complained of is written down.
//!
//! Chromium is taken from PATH, or from where `cargo xtask test` puts it. Nothing is waited for by the clock: a condition of the page
//! is asked for until it holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket, client};

use crate::job::new_folder;
use crate::places;

const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// Programs that are Chromium, by the names that systems give it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS: [&str; 9] = [
    "--headless=new",
    // Of use where the tests are run by root, as in a container; the only pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
];

/// A page in a browser of its own, which ends with it.
pub struct Page {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    last_id: u64,
    /// Of every event, as it came.
    events: Vec<Value>,
    _profile: TempDir,
}

/// What an answer weighed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub url: String,
    pub status: i64,
    /// On the wire, the head among them.
    pub bytes: i64,
}

impl Page {
    /// Opens a browser with an empty page of this size.
    ///
    /// # Errors
    /// There is no Chromium, or it does not start.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let profile = new_folder()?;
        let mut child = start(profile.path())?;
        let connected = address(&mut child).and_then(|address| connect(&address));
        let socket = connected.inspect_err(|_| end(&mut child))?;
        let mut page =
            Self { child, socket, session: String::new(), last_id: 0, events: Vec::new(), _profile: profile };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.call("Target.attachToTarget", attach)?;
        page.session = session["sessionId"].as_str().context("no session")?.to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        page.resize(width, height)?;
        Ok(page)
    }

    /// # Errors
    /// The browser has gone.
    pub fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Has the page think that its user likes `scheme`, `light` or `dark`.
    ///
    /// # Errors
    /// The browser has gone.
    pub fn prefer(&mut self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Goes to an address.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn go(&mut self, url: &str) -> Result<()> {
        let went = self.call("Page.navigate", json!({ "url": url }))?;
        ensure!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        Ok(())
    }

    /// What an expression of the page's language gives; a promise is awaited.
    ///
    /// # Errors
    /// It throws.
    pub fn eval(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let told = self.call("Runtime.evaluate", asked)?;
        ensure!(told["exceptionDetails"].is_null(), "{expression}: {}", told["exceptionDetails"]);
        Ok(told["result"]["value"].clone())
    }

    /// The text of the first element that a selector finds, without its edges.
    ///
    /// # Panics
    /// There is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({}).innerText.trim()", json!(selector)));
        text.expect(selector).as_str().expect(selector).to_owned()
    }

    /// Waits until an expression gives something that is true.
    ///
    /// # Panics
    /// It does not, for a minute.
    pub fn until(&mut self, expression: &str) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.eval(expression).unwrap_or_else(|error| panic!("{error:#}"));
            if !matches!(found, Value::Null | Value::Bool(false)) && found != "" && found != 0 {
                return found;
            }
            if Instant::now() >= deadline {
                let page = self.eval("document.body.innerText").unwrap_or_default();
                panic!("{expression} is {found}\n--- the page\n{}", page.as_str().unwrap_or_default());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Clicks in the middle of the first element that a selector finds.
    ///
    /// # Panics
    /// It is not there, or hidden.
    pub fn click(&mut self, selector: &str) {
        let place = format!(
            "(() => {{ const of = document.querySelector({}); of.scrollIntoView({{ block: 'center' }}); \
             const box = of.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2, box.width]; }})()",
            json!(selector)
        );
        let place = self.eval(&place).unwrap_or_else(|error| panic!("{error:#}"));
        assert!(place[2].as_f64().unwrap_or_default() > 0.0, "{selector} cannot be seen");
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).expect(selector);
        }
    }

    /// Presses a key by its name, such as `Tab` or `ArrowLeft`.
    ///
    /// # Errors
    /// The browser has gone.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 32,
        };
        let text = match key {
            "Enter" => json!("\r"),
            " " => json!(" "),
            _ => Value::Null,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_null() {
                event["text"] = text.clone();
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Types a text where the focus is.
    ///
    /// # Errors
    /// The browser has gone.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Chooses a file in an input.
    ///
    /// # Errors
    /// There is no such input.
    pub fn choose_file(&mut self, selector: &str, path: &Path) -> Result<()> {
        let document = self.call("DOM.getDocument", json!({}))?;
        let of = json!({ "nodeId": document["root"]["nodeId"], "selector": selector });
        let node = self.call("DOM.querySelector", of)?;
        let files = json!({ "nodeId": node["nodeId"], "files": [path.display().to_string()] });
        self.call("DOM.setFileInputFiles", files).map(drop)
    }

    /// Chooses an option of a select by its value, as a user's choice is told to the page.
    ///
    /// # Errors
    /// There is no such select.
    pub fn choose(&mut self, selector: &str, value: &str) -> Result<()> {
        let choice = format!(
            "(() => {{ const of = document.querySelector({}); of.value = {}; \
             of.dispatchEvent(new Event('change', {{ bubbles: true }})); return of.selectedIndex >= 0; }})()",
            json!(selector),
            json!(value)
        );
        ensure!(self.eval(&choice)? == true, "{selector} has no {value}");
        Ok(())
    }

    /// Everything that was loaded so far.
    pub fn loaded(&mut self) -> Vec<Loaded> {
        let mut found: BTreeMap<String, Loaded> = BTreeMap::new();
        for event in &self.events {
            let of = &event["params"];
            let id = of["requestId"].as_str().unwrap_or_default().to_owned();
            match event["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    let url = of["request"]["url"].as_str().unwrap_or_default().to_owned();
                    found.insert(id, Loaded { url, status: 0, bytes: 0 });
                }
                Some("Network.responseReceived") => {
                    let status = of["response"]["status"].as_i64().unwrap_or_default();
                    found.entry(id).and_modify(|loaded| loaded.status = status);
                }
                Some("Network.loadingFinished") => {
                    let bytes = of["encodedDataLength"].as_f64().unwrap_or_default() as i64;
                    found.entry(id).and_modify(|loaded| loaded.bytes = bytes);
                }
                _ => {}
            }
        }
        found.into_values().collect()
    }

    /// What the page's console has heard: errors, warnings, exceptions.
    pub fn complaints(&self) -> Vec<String> {
        let is_one = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] != "verbose",
            Some("Runtime.consoleAPICalled") => true,
            _ => false,
        };
        self.events.iter().filter(is_one).map(|event| event["params"].to_string()).collect()
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let mut said = json!({ "id": self.last_id, "method": method, "params": params });
        if !self.session.is_empty() {
            said["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(said.to_string())).with_context(|| method.to_owned())?;
        loop {
            let heard = self.socket.read().with_context(|| format!("no answer to {method}"))?;
            let Message::Text(text) = heard else { continue };
            let heard: Value = serde_json::from_str(&text)?;
            if heard["id"] == self.last_id {
                ensure!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return Ok(heard["result"].clone());
            }
            self.events.push(heard);
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn start(profile: &Path) -> Result<Child> {
    let unpacked = places::cache()?.join("chromium/chromium-here").into_os_string();
    let mut tried = NAMES.iter().map(OsString::from).chain([unpacked]).map(|program| {
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    });
    let started = tried.find_map(Result::ok);
    started.ok_or_else(|| {
        anyhow!("there is no {}; install it (Debian's package is chromium)", NAMES.join(" or "))
    })
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Where it says that it can be driven from.
fn address(child: &mut Child) -> Result<String> {
    let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    let mut said = Vec::new();
    let address = loop {
        let Some(line) = lines.next() else { break None };
        let line = line?;
        if let Some((_, address)) = line.split_once("DevTools listening on ") {
            break Some(address.trim().to_owned());
        }
        said.push(line);
    };
    // What it says later must have somewhere to go.
    std::thread::spawn(move || lines.for_each(drop));
    address.with_context(|| format!("the browser did not start:\n{}", said.join("\n")))
}

fn connect(address: &str) -> Result<WebSocket<TcpStream>> {
    let host = address.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).context("no host")?;
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let (socket, _) = client(address, stream).map_err(|error| anyhow!("{error}"))?;
    Ok(socket)
}
