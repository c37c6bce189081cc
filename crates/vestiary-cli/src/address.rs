use std::path::PathBuf;

use crate::failure::Failure;

/// The location of a store, parsed from its URL.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Address {
    /// One server of Redis or Valkey.
    Redis(String),
    /// Some nodes of a cluster.
    Cluster(Vec<String>),
    Sentinel(Sentinel),
    Sqlite(PathBuf),
    Postgres(String),
    /// MySQL or MariaDB.
    MySql(String),
}

/// Sentinels, and the name of the primary that they monitor.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Sentinel {
    pub(crate) sentinels: Vec<String>,
    pub(crate) primary: String,
    /// A URL with the user, the password and the database of the primary; its host is ignored.
    pub(crate) login: String,
    pub(crate) tls: bool,
}

/// The URLs that are accepted.
pub(crate) const FORMS: &str = "redis://, rediss://, redis+unix://, redis+cluster://, rediss+cluster://, \
     redis+sentinel://, rediss+sentinel://, sqlite:, postgres:// or mysql://";

impl Address {
    /// Parses a URL. Errors do not repeat it, because it may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let bad = |message: String| Failure::Usage("store_url", message);
        let unknown = || bad(format!("the store must be a URL that begins with {FORMS}"));
        let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "sqlite" {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(bad("the store must be a file: sqlite:PATH".to_owned()));
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        let rest = rest.strip_prefix("//").ok_or_else(unknown)?;
        let (first, kind) = scheme.split_once('+').unwrap_or((&scheme, ""));
        match (first, kind) {
            ("postgres" | "postgresql", "") => Ok(Self::Postgres(url.to_owned())),
            ("mysql" | "mariadb", "") => Ok(Self::MySql(url.to_owned())),
            ("redis" | "rediss" | "valkey" | "valkeys", "") | ("redis" | "valkey", "unix") => {
                Ok(Self::Redis(url.to_owned()))
            }
            ("redis" | "rediss" | "valkey" | "valkeys", "cluster") => {
                let parts = Parts::of(rest);
                let node = |host: &str| format!("{first}://{}{host}", parts.login);
                let nodes: Vec<String> = parts.hosts.iter().map(|host| node(host)).collect();
                if nodes.is_empty() || !parts.path.trim_matches('/').is_empty() {
                    let form = "redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT";
                    return Err(bad(format!("name the nodes of a cluster like this: {form}")));
                }
                Ok(Self::Cluster(nodes))
            }
            ("redis" | "rediss" | "valkey" | "valkeys", "sentinel") => {
                let parts = Parts::of(rest);
                let (primary, database) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
                if parts.hosts.is_empty() || primary.is_empty() {
                    let form =
                        "redis+sentinel://[USER:PASSWORD@]HOST:26379,HOST:26379/PRIMARY[/DB]";
                    return Err(bad(format!("name sentinels like this: {form}")));
                }
                let sentinel = |host: &&str| match host.rsplit_once(':') {
                    Some(_) => format!("{first}://{host}"),
                    None => format!("{first}://{host}:26379"),
                };
                Ok(Self::Sentinel(Sentinel {
                    sentinels: parts.hosts.iter().map(sentinel).collect(),
                    primary: primary.to_owned(),
                    login: format!("redis://{}localhost/{database}", parts.login),
                    tls: first.ends_with("ss") || first == "valkeys",
                }))
            }
            _ => Err(unknown()),
        }
    }
}

/// The parts of a URL with several hosts, after its scheme.
struct Parts<'u> {
    /// The credentials, with their `@`.
    login: &'u str,
    hosts: Vec<&'u str>,
    path: &'u str,
}

impl<'u> Parts<'u> {
    fn of(rest: &'u str) -> Self {
        let (login, rest) = match rest.rfind('@') {
            Some(at) => rest.split_at_checked(at + 1).unwrap_or(("", rest)),
            None => ("", rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = hosts.split(',').filter(|host| !host.is_empty()).collect();
        Self { login, hosts, path }
    }
}

/// A URL that can be shown: without user, password and query parameters, which may hold them, too.
pub(crate) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once(':') else { return "…".to_owned() };
    if scheme.eq_ignore_ascii_case("sqlite") {
        return url.to_owned();
    }
    let Some(rest) = rest.strip_prefix("//") else { return format!("{scheme}:…") };
    // The last `@`: a password may have an unescaped `@` or `/`.
    let (login, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((place, _)) => format!("{scheme}://{login}{place}?…"),
        None => format!("{scheme}://{login}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn each_kind_of_store_has_its_urls() {
        assert!(parsed("redis://h:1/2") == Address::Redis("redis://h:1/2".into()));
        assert!(parsed("sqlite:a/b.db") == Address::Sqlite("a/b.db".into()));
        assert!(parsed("sqlite:///a/b.db") == Address::Sqlite("/a/b.db".into()));
        assert!(parsed("postgresql://h/d") == Address::Postgres("postgresql://h/d".into()));
        assert!(parsed("mariadb://h/d") == Address::MySql("mariadb://h/d".into()));
        let nodes = ["rediss://u:p@a:1", "rediss://u:p@b:2"].map(str::to_owned);
        assert!(parsed("rediss+cluster://u:p@a:1,b:2/") == Address::Cluster(nodes.into()));
        let sentinel = Sentinel {
            sentinels: vec!["redis://a:26379".into(), "redis://b:5".into()],
            primary: "main".into(),
            login: "redis://:p@localhost/3".into(),
            tls: false,
        };
        assert!(parsed("redis+sentinel://:p@a,b:5/main/3") == Address::Sentinel(sentinel));
    }

    #[test]
    fn an_invalid_url_is_not_repeated() {
        for url in [
            "",
            "redis",
            "redis:h",
            "http://u:canary@h",
            "sqlite:",
            "sqlite::memory:",
            "redis+cluster://u:canary@",
            "redis+cluster://u:canary@h/1",
            "redis+sentinel://canary",
            "oracle://u:canary@h/d",
        ] {
            let failure = Address::parse(url).err().unwrap();
            assert!(!failure.to_string().contains("canary"), "{url}");
            assert_eq!(failure.exit_code(), 2, "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("redis://u:canary@h:1/0", "redis://…@h:1/0"),
            ("redis://:can/ary@canary@h", "redis://…@h"),
            ("postgres://h/d?password=canary", "postgres://h/d?…"),
            ("sqlite:/var/s.db", "sqlite:/var/s.db"),
            ("canary", "…"),
            ("redis:canary", "redis:…"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
