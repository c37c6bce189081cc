use vestiary_store::{
    StoreError,
    sqlx::{Decode, Executor as _, PgPool, Postgres, Row as _, Type},
};

use super::{Check, clocks, now};
use crate::failure::Failure;

pub(super) async fn check(
    pool: &PgPool,
    table: &str,
    checks: &mut Vec<Check>,
) -> Result<(), Failure> {
    let version: String = one(pool, "SELECT current_setting('server_version_num')").await?;
    let number: u32 = version.parse().unwrap_or_default();
    let finding = format!("Postgres {}", one::<String>(pool, "SHOW server_version").await?);
    checks.push(if number >= 120_000 {
        Check::ok("version", finding)
    } else {
        Check::fail("version", finding, "version 12 or newer is needed")
    });
    checks.push(role(pool).await?);
    checks.push(commits(pool).await?);
    checks.push(match one::<String>(pool, "SHOW default_transaction_isolation").await?.as_str() {
        level @ "read committed" => Check::ok("isolation", level),
        level => {
            let advice =
                "concurrent requests fail: set default_transaction_isolation = 'read committed'";
            Check::fail("isolation", level, advice)
        }
    });
    checks.push(the_table(pool, table).await?);
    let before = now();
    let time: i64 =
        one(pool, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await?;
    checks.push(clocks(before, u64::try_from(time).unwrap_or_default(), now()));
    Ok(())
}

async fn role(pool: &PgPool) -> Result<Check, StoreError> {
    if one(pool, "SELECT pg_is_in_recovery()").await? {
        let advice = "a replica can bring back ended sessions: connect to the primary";
        return Ok(Check::fail("role", "a replica", advice));
    }
    if one::<String>(pool, "SHOW default_transaction_read_only").await? == "on" {
        let advice = "nothing can be written: set default_transaction_read_only = off";
        return Ok(Check::fail("role", "read-only", advice));
    }
    Ok(Check::ok("role", "primary"))
}

async fn commits(pool: &PgPool) -> Result<Check, StoreError> {
    let commit: String = one(pool, "SHOW synchronous_commit").await?;
    let fsync: String = one(pool, "SHOW fsync").await?;
    let finding = format!("synchronous_commit {commit}, fsync {fsync}");
    Ok(if fsync == "off" {
        let advice = "a power failure can destroy the database: set fsync = on";
        Check::warn("commits", finding, advice)
    } else if commit == "off" {
        let advice = "a crash loses the last writes, perhaps a logout: set synchronous_commit = on";
        Check::warn("commits", finding, advice)
    } else {
        Check::ok("commits", finding)
    })
}

/// Whether the table survives a crash, and whether scans are fast. The caller knows that it exists.
async fn the_table(pool: &PgPool, table: &str) -> Result<Check, StoreError> {
    // The name consists of letters, digits and `_`.
    let quoted = format!("'\"{table}\"'");
    let kind =
        format!("SELECT relpersistence::text FROM pg_class WHERE oid = to_regclass({quoted})");
    let kind: String = one(pool, &kind).await?;
    if kind == "u" {
        let advice = "a crash empties the table: ALTER TABLE … SET LOGGED";
        return Ok(Check::warn("table", format!("{table}, unlogged"), advice));
    }
    let indexed = format!(
        "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = to_regclass({quoted}) AND a.attname = 'expires' AND i.indisvalid)"
    );
    let indexed: bool = one(pool, &indexed).await?;
    Ok(if indexed {
        Check::ok("table", table)
    } else {
        let advice = "expired records are removed slowly: CREATE INDEX ON … (expires)";
        Check::warn("table", format!("{table}, without an index on `expires`"), advice)
    })
}

/// Reads one value. A statement that is not prepared also passes a pooler.
async fn one<T>(pool: &PgPool, question: &str) -> Result<T, StoreError>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    Ok(pool.fetch_one(question).await?.try_get(0)?)
}
