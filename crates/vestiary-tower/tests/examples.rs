//! The examples, over HTTP.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    env,
    net::TcpListener,
    process::{Child, Command},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An example that runs, and ends with the test.
struct Example {
    process: Child,
    port: u16,
    cookie: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        // Cargo builds examples beside the tests.
        let tests = env::current_exe().unwrap();
        let program = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
        let process = Command::new(program).env("PORT", port.to_string()).spawn().unwrap();
        Self { process, port, cookie: String::new() }
    }

    async fn send(&mut self, request: &str) -> String {
        let mut stream = self.connected().await;
        let cookie = &self.cookie;
        let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n";
        let request = format!("{request} {head}Cookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        for line in answer.lines().take_while(|line| !line.is_empty()) {
            if let Some(cookie) = line.strip_prefix("set-cookie: ") {
                cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
            }
        }
        answer
    }

    async fn connected(&self) -> TcpStream {
        for _ in 0..600 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the example does not listen");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn hyper_alone() {
    let mut example = Example::start("hyper");
    assert!(example.send("GET /").await.ends_with("You were here 1 times.\n"));
    assert!(example.send("GET /").await.ends_with("You were here 2 times.\n"));
    assert!(!example.cookie.contains("Secure"));
}

#[tokio::test]
async fn axum() {
    let mut example = Example::start("axum");
    assert!(example.send("GET /account").await.starts_with("HTTP/1.1 303"));
    assert!(example.send("POST /login").await.contains("location: /account"));
    let account = example.send("GET /account").await;
    assert!(account.contains("Hello ada") && account.contains("here 1 times"), "{account}");
    let before = example.cookie.clone();
    example.send("POST /logout").await;
    example.cookie = before;
    assert!(example.send("GET /account").await.starts_with("HTTP/1.1 303"));
}
