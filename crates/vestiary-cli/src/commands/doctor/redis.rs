use std::collections::HashMap;

use vestiary_store::redis::{Value, cmd};

use super::{Check, clocks, now};
use crate::{
    failure::Failure,
    store::{RedisServer, text_of},
};

/// The names and values of a server's `INFO`.
type Info = HashMap<String, String>;

pub(super) async fn check(server: &RedisServer, checks: &mut Vec<Check>) -> Result<(), Failure> {
    // The user may not be permitted to ask, and then all of it is unknown.
    let nodes = match server.each(&cmd("INFO")).await {
        Ok(nodes) => nodes,
        Err(_) => vec![(String::new(), Value::Nil)],
    };
    let several = nodes.len() > 1;
    let mut has_aof = true;
    for (node, answer) in nodes {
        let info = info(&text_of(&answer).unwrap_or_default());
        let mut found = Vec::new();
        about(&info, matches!(server, RedisServer::Cluster(_)), &mut found);
        has_aof &= info.get("aof_enabled").is_some_and(|enabled| enabled == "1");
        // In a cluster, the finding names its node.
        if several {
            for check in &mut found {
                check.finding = format!("{node}: {}", check.finding);
            }
        }
        checks.append(&mut found);
    }
    // Without an append-only file, its `appendfsync` says nothing, and a warning about the missing file exists already.
    if has_aof && let Some(check) = fsync(server).await {
        checks.push(check);
    }
    if matches!(server, RedisServer::Cluster(_)) {
        checks.extend(cluster(server).await?);
    }
    let before = now();
    let times = server.each(&cmd("TIME")).await.unwrap_or_default();
    let after = now();
    let times = times.iter().filter_map(|(_, time)| millis(time));
    let furthest = times.map(|time| (time.abs_diff(before), time)).max();
    checks.extend(furthest.map(|(_, time)| clocks(before, time, after)));
    Ok(())
}

fn about(info: &Info, is_cluster: bool, checks: &mut Vec<Check>) {
    let text = |name: &str| info.get(name).map_or("", String::as_str);
    let number = |name: &str| text(name).parse::<u64>().unwrap_or_default();

    let (kind, version) = match info.get("valkey_version") {
        Some(version) => ("Valkey", version.as_str()),
        None => ("Redis", text("redis_version")),
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let finding = format!("{kind} {version}");
    checks.push(match major {
        None => Check::warn("version", "unknown", "the user may not run INFO: allow it"),
        Some(0..6) => {
            Check::fail("version", finding, "version 6 or newer is needed to scan the store")
        }
        Some(_) => Check::ok("version", finding),
    });
    checks.push(match text("role") {
        "master" => {
            let replicas = number("connected_slaves");
            Check::ok("role", format!("primary, with {replicas} replicas"))
        }
        "" => Check::warn(
            "role",
            "unknown: the server does not report it",
            "check that it is a primary",
        ),
        _ => {
            let advice = "a replica can bring back ended sessions: connect to the primary";
            Check::fail("role", "a replica", advice)
        }
    });
    if number("cluster_enabled") == 1 && !is_cluster {
        let advice = "use redis+cluster://, and a client for clusters in the services";
        checks.push(Check::fail("cluster", "one node of a cluster", advice));
    }
    checks.push(memory(text("maxmemory_policy"), number("maxmemory")));
    let evicted = number("evicted_keys");
    if evicted > 0 {
        let advice = "sessions may have been among them: give the server more memory";
        checks.push(Check::warn("evictions", format!("{evicted} keys so far"), advice));
    }
    checks.push(persistence(info));
}

fn memory(policy: &str, limit: u64) -> Check {
    let policy_and_limit = match limit {
        0 => format!("{policy}, without a limit"),
        limit => format!("{policy}, at most {} MiB", limit >> 20),
    };
    if policy.is_empty() {
        let advice = "check that maxmemory-policy is noeviction: any other policy drops sessions";
        Check::warn("eviction", "unknown: the server does not report it", advice)
    } else if policy != "noeviction" {
        // All such policies: records have a TTL, so they are among the first to be evicted.
        let advice =
            "a full server drops sessions that are in use: set maxmemory-policy noeviction";
        Check::warn("eviction", policy_and_limit, advice)
    } else if limit == 0 {
        let advice = "the server takes memory until the system kills it: set maxmemory";
        Check::warn("eviction", policy_and_limit, advice)
    } else {
        Check::ok("eviction", policy_and_limit)
    }
}

fn persistence(info: &Info) -> Check {
    let text = |name: &str| info.get(name).map_or("", String::as_str);
    if text("aof_enabled").is_empty() {
        let advice = "check that it has an AOF (appendonly yes): without one, a restart can bring back ended sessions";
        return Check::warn("persistence", "unknown: the server does not report it", advice);
    }
    if text("aof_enabled") == "1" {
        return match text("aof_last_write_status") {
            "err" => Check::fail(
                "persistence",
                "AOF, and the last write failed",
                "check whether the disk is full",
            ),
            _ => Check::ok("persistence", "AOF"),
        };
    }
    if text("rdb_last_bgsave_status") == "err" {
        return Check::fail(
            "persistence",
            "the last snapshot failed",
            "check whether the disk is full",
        );
    }
    let advice = "a restart loses all writes after the last snapshot, and can bring back ended sessions: set \
                  appendonly yes";
    Check::warn("persistence", "snapshots at most, no AOF", advice)
}

/// `None` if the server does not report it, which it need not.
async fn fsync(server: &RedisServer) -> Option<Check> {
    let mut get = cmd("CONFIG");
    get.arg("GET").arg("appendfsync");
    let answers = server.each(&get).await.ok()?;
    let modes = answers.iter().filter_map(|(_, answer)| match answer {
        Value::Array(pair) => pair.get(1).and_then(text_of),
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| text_of(value)),
        _ => None,
    });
    let modes: Vec<String> = modes.collect();
    let weakest = ["no", "everysec", "always"]
        .into_iter()
        .find(|mode| modes.iter().any(|found| found == mode))?;
    let finding = format!("appendfsync {weakest}");
    Some(if weakest == "no" {
        let advice =
            "a power failure can lose any number of writes: set appendfsync everysec, or always";
        Check::warn("fsync", finding, advice)
    } else {
        Check::ok("fsync", finding)
    })
}

async fn cluster(server: &RedisServer) -> Result<Vec<Check>, Failure> {
    let mut get = cmd("CLUSTER");
    get.arg("INFO");
    let answers = server.each(&get).await?;
    let checks = answers.iter().map(|(node, answer)| {
        let info = info(&text_of(answer).unwrap_or_default());
        let state = info.get("cluster_state").map_or("unknown", String::as_str);
        let slots = info.get("cluster_slots_ok").map_or("?", String::as_str);
        let finding = format!("{node}: {state}, {slots} of 16384 slots");
        if state == "ok" {
            Check::ok("cluster", finding)
        } else {
            Check::fail(
                "cluster",
                finding,
                "some slots have no primary: run `redis-cli --cluster check`",
            )
        }
    });
    Ok(checks.collect())
}

fn info(text: &str) -> Info {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Converts seconds and microseconds.
fn millis(time: &Value) -> Option<u64> {
    let Value::Array(parts) = time else { return None };
    let mut numbers = parts.iter().filter_map(|part| text_of(part)?.parse::<u64>().ok());
    Some(numbers.next()? * 1_000 + numbers.next()? / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    fn states(text: &str, is_cluster: bool) -> Vec<(&'static str, State)> {
        let mut checks = Vec::new();
        about(&info(text), is_cluster, &mut checks);
        checks.iter().map(|check| (check.name, check.state)).collect()
    }

    const GOOD: &str = "redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:1\r\nmaxmemory:1048576\r\n\
                        maxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n";

    #[test]
    fn a_server_that_is_set_up_well_is_ok() {
        assert!(states(GOOD, false).iter().all(|(_, state)| *state == State::Ok));
    }

    #[test]
    fn settings_that_lose_sessions_are_reported() {
        for (good, bad, name, state) in [
            ("7.0.15", "5.0.14", "version", State::Fail),
            ("role:master", "role:slave", "role", State::Fail),
            ("noeviction", "allkeys-lru", "eviction", State::Warn),
            ("noeviction", "volatile-lru", "eviction", State::Warn),
            ("noeviction", "volatile-ttl", "eviction", State::Warn),
            ("noeviction", "allkeys-random", "eviction", State::Warn),
            ("noeviction", "a-policy-to-come", "eviction", State::Warn),
            ("maxmemory_policy", "other", "eviction", State::Warn),
            ("role", "other", "role", State::Warn),
            ("aof_enabled", "other", "persistence", State::Warn),
            ("maxmemory:1048576", "maxmemory:0", "eviction", State::Warn),
            ("aof_enabled:1", "aof_enabled:0", "persistence", State::Warn),
            ("status:ok", "status:err", "persistence", State::Fail),
            ("role", "evicted_keys:3\r\nrole", "evictions", State::Warn),
            ("role", "cluster_enabled:1\r\nrole", "cluster", State::Fail),
        ] {
            let states = states(&GOOD.replacen(good, bad, 1), false);
            assert!(states.contains(&(name, state)), "{bad}: {states:?}");
        }
        let cluster = GOOD.replacen("role", "cluster_enabled:1\r\nrole", 1);
        assert!(states(&cluster, true).iter().all(|(_, state)| *state == State::Ok));
    }
}
