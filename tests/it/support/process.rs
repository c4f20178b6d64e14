//! The real binary: commands with their output, and a running service.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::binary;

/// A command of the binary with a clean environment.
pub fn sizhi(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_remove("DATABASE_URL").env_remove("SIZHI_ADMIN_TOKEN").stdin(Stdio::null());
    command
}

/// Runs it with this input and gives what it printed.
pub fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut to = child.stdin.take().expect("input");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = to.write_all(&input);
    });
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("input written");
    output
}

/// A running `sizhi serve`; killed when dropped.
pub struct Service {
    pub child: Child,
    pub address: String,
}

impl Service {
    /// Starts it over an existing database on a free port and waits for the address.
    pub fn start(database_url: &str) -> Self {
        Self::start_with(
            sizhi(&["serve", "--port", "0"]).env("DATABASE_URL", database_url).env("SIZHI_ADMIN_TOKEN", super::TOKEN),
        )
    }

    pub fn start_with(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("serve starts");
        let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
        let address = loop {
            let line = lines.next().expect("serve ended before it printed its address").expect("text");
            if let Some((_, address)) = line.split_once("http://") {
                break address.trim_end_matches('/').to_owned();
            }
        };
        // Somebody must read on, or the service blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// A raw HTTP exchange on a connection of its own: status line, headers and body as text.
    pub fn raw(&self, request: &[u8]) -> String {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(&self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout set");
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// POST with the write token and `Connection: close`.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> String {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            super::TOKEN,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    /// Uploads a file of park blocks for a dry run; gives the whole answer.
    pub fn upload(&self, park: &str, file_name: &str, content: &[u8]) -> String {
        let mut body = Vec::new();
        for (name, value) in [("layer", "park_blocks"), ("park", park)] {
            let part = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--b--\r\n");
        self.post("/api/imports", "multipart/form-data; boundary=b", &body)
    }

    /// GET with `Connection: close`.
    pub fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of a raw answer; 0 where there is none.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The JSON body of a raw answer.
#[track_caller]
pub fn json(answer: &str) -> serde_json::Value {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    // Chunked or not, the document stands between the first and the last brace.
    let (from, to) = (body.find('{').unwrap_or(0), body.rfind('}').map_or(0, |at| at + 1));
    serde_json::from_str(body.get(from..to).unwrap_or_default()).unwrap_or_else(|e| panic!("no JSON ({e}): {answer}"))
}

/// Waits until `done`, at most `patience`.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
