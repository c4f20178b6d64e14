//! A client of the running service: one request a connection, HTTP/1.0 so that bodies come as they are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::TOKEN;

/// The operator's client of the service at this address.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    /// A JSON body; `version` is the ETag that the edit was decided on.
    pub fn json(&self, method: &str, path: &str, version: Option<&str>, body: &Value) -> Reply {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(version.map(|tag| ("If-Match", tag)));
        self.send(method, path, &headers, body.to_string().as_bytes())
    }

    /// A form of text parts and one file.
    pub fn upload(&self, fields: &[(&str, &str)], file_name: &str, content: &[u8]) -> Reply {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--cut--\r\n");
        self.send("POST", "/api/imports", &[("Content-Type", "multipart/form-data; boundary=cut")], &body)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let authorization = format!("Bearer {TOKEN}");
        let own = [("Host", self.address.as_str()), ("Authorization", authorization.as_str())];
        exchange(&self.address, (method, path), &[&own, headers].concat(), body)
    }
}

/// One request of whomever these headers say.
pub fn exchange(address: &str, (method, path): (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout set");
    let mut request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    stream.write_all(body).expect("body sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {method} {path}"));
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).expect("a head of text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, head, body }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {} {}", self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
