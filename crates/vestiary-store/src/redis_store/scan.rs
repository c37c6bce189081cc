use futures_util::future::try_join_all;
use redis::{
    Cmd, Value,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
    cmd, pipe,
};
use vestiary::Ttl;

use super::{RedisStore, connection::Way, text_of, unexpected};
use crate::{
    Cursor, Entry, Page, Scan, StoreError,
    failure::{Failure, of_redis},
    store::NOT_TEXT,
};

/// Uses `SCAN`; on a cluster, one primary after the other. A key that moves between primaries meanwhile may be missed.
impl Scan for RedisStore {
    /// `most` is only a hint to Redis.
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let mut place = Place::parse(from)?;
        let mut scan = cmd("SCAN");
        let answer = if let Way::Cluster(cluster) = &self.connection.0 {
            let nodes = primaries(cluster).await?;
            let Some(node) = nodes.into_iter().find(|node| *node >= place.node) else {
                return Ok(Page::default());
            };
            // The cursor of a primary that is gone means nothing to the next one.
            if node != place.node {
                place = Place { cursor: "0".to_owned(), node };
            }
            self.add_arguments(&mut scan, &place, most);
            ask_node(cluster, scan, &place.node).await?
        } else {
            self.add_arguments(&mut scan, &place, most);
            self.connection.ask(&scan).await.map_err(of_redis)?
        };
        let (cursor, keys) = found(answer)?;
        let entries = self.entries(keys).await?;
        let next = self.after(Place { cursor, ..place }).await?;
        Ok(Page { entries, next: next.map(|place| place.cursor()) })
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries(vec![self.options.key(key)]).await?.pop())
    }
}

impl RedisStore {
    fn add_arguments(&self, scan: &mut Cmd, place: &Place, most: usize) {
        scan.arg(&place.cursor).arg("MATCH").arg(pattern(&self.options.prefix));
        scan.arg("COUNT").arg(most.max(1)).arg("TYPE").arg("string");
    }

    /// The place of the next page; `None` after the last key of the last primary.
    async fn after(&self, place: Place) -> Result<Option<Place>, StoreError> {
        if place.cursor != "0" {
            return Ok(Some(place));
        }
        let Way::Cluster(cluster) = &self.connection.0 else { return Ok(None) };
        let next = primaries(cluster).await?.into_iter().find(|node| *node > place.node);
        Ok(next.map(|node| Place { node, ..place }))
    }

    /// The values and remaining TTLs under these keys. Keys that have gone meanwhile are left out.
    async fn entries(&self, keys: Vec<String>) -> Result<Vec<Entry>, StoreError> {
        let entries = try_join_all(keys.into_iter().map(async |key| {
            let mut both = pipe();
            both.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
            let answers = self.connection.ask_about(&key, &both).await.map_err(of_redis)?;
            let [text, left] = <[Value; 2]>::try_from(answers).map_err(|_| unexpected())?;
            let ttl = match left {
                // Another program's key: all keys of this store expire.
                Value::Int(-1) => Ttl::Infinite,
                Value::Int(left) => Ttl::Millis(u64::try_from(left).unwrap_or_default()),
                _ => return Err(unexpected()),
            };
            let record = match text_of(text) {
                Err(StoreError::NotText) => Some(NOT_TEXT.to_owned()),
                text => text?,
            };
            let record = record.filter(|_| ttl != Ttl::Millis(0));
            let key = key.strip_prefix(&self.options.prefix).map(str::to_owned);
            Ok(record.zip(key).map(|(record, key)| Entry { key, record, ttl }))
        }));
        Ok(entries.await?.into_iter().flatten().collect())
    }
}

/// The progress of a `SCAN`.
struct Place {
    cursor: String,
    /// In a cluster, the current node: `host:port`.
    node: String,
}

impl Place {
    fn parse(from: Option<&Cursor>) -> Result<Self, StoreError> {
        let text = from.map_or("0", |Cursor(text)| text);
        let (cursor, node) = text.split_once(' ').unwrap_or((text, ""));
        if cursor.parse::<u64>().is_err() {
            return Err(Failure::error("the cursor belongs to another store"));
        }
        Ok(Self { cursor: cursor.to_owned(), node: node.to_owned() })
    }

    fn cursor(&self) -> Cursor {
        Cursor(format!("{} {}", self.cursor, self.node).trim_end().to_owned())
    }
}

/// The primaries' addresses, sorted. The client labels each reply to a broadcast with the address that gave it.
async fn primaries(cluster: &ClusterConnection) -> Result<Vec<String>, StoreError> {
    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let answers = cluster.clone().route_command(cmd("PING"), all).await.map_err(of_redis)?;
    let Value::Map(answers) = answers else { return Err(unexpected()) };
    let mut nodes = Vec::with_capacity(answers.len());
    for (node, _) in answers {
        nodes.push(text_of(node)?.ok_or_else(unexpected)?);
    }
    nodes.sort();
    Ok(nodes)
}

async fn ask_node(
    cluster: &ClusterConnection,
    command: Cmd,
    node: &str,
) -> Result<Value, StoreError> {
    let (host, port) = node.rsplit_once(':').ok_or_else(unexpected)?;
    let port = port.parse().map_err(|_| unexpected())?;
    let to = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
    let answer = cluster.clone().route_command(command, RoutingInfo::SingleNode(to)).await;
    answer.and_then(Value::extract_error).map_err(of_redis)
}

/// The next cursor, and keys.
fn found(answer: Value) -> Result<(String, Vec<String>), StoreError> {
    let Value::Array(answer) = answer else { return Err(unexpected()) };
    let [cursor, keys] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
    let Value::Array(keys) = keys else { return Err(unexpected()) };
    let cursor = text_of(cursor)?.ok_or_else(unexpected)?;
    // A key that is not text belongs to no session.
    let keys = keys.into_iter().filter_map(|key| match key {
        Value::BulkString(key) => String::from_utf8(key).ok(),
        _ => None,
    });
    let keys = keys.collect();
    Ok((cursor, keys))
}

/// A glob pattern for keys with this prefix, which is escaped.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for char in prefix.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_only_itself() {
        assert_eq!(pattern("sess:"), "sess:*");
        assert_eq!(pattern(r"a*[b]?\"), r"a\*\[b\]\?\\*");
    }

    #[test]
    fn a_place_is_read_back() {
        for (text, cursor, node) in [("17", "17", ""), ("0 host:1", "0", "host:1")] {
            let place = Place::parse(Some(&Cursor(text.to_owned()))).unwrap();
            assert_eq!((&*place.cursor, &*place.node), (cursor, node));
            assert_eq!(place.cursor(), Cursor(text.to_owned()));
        }
        assert!(Place::parse(Some(&Cursor("elsewhere".to_owned()))).is_err());
    }
}
