use vestiary_store::{
    StoreError,
    sqlx::{self, Decode, MySql, MySqlPool, Type},
};

use super::{Check, clocks, now};
use crate::failure::Failure;

pub(super) async fn check(
    pool: &MySqlPool,
    table: &str,
    checks: &mut Vec<Check>,
) -> Result<(), Failure> {
    let version: String = one(pool, "SELECT VERSION()").await?;
    checks.push(of_version(&version));
    checks.push(if one::<i64>(pool, "SELECT CAST(@@read_only AS SIGNED)").await? == 0 {
        Check::ok("role", "writable")
    } else {
        let advice =
            "a replica can bring back ended sessions, and takes no writes: connect to the primary";
        Check::fail("role", "read-only", advice)
    });
    let flush: i64 = one(pool, "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED)").await?;
    let finding = format!("innodb_flush_log_at_trx_commit {flush}");
    checks.push(if flush == 1 {
        Check::ok("commits", finding)
    } else {
        let advice = "a crash loses the last writes, perhaps a logout: set innodb_flush_log_at_trx_commit = 1";
        Check::warn("commits", finding, advice)
    });
    checks.push(if one::<i64>(pool, "SELECT CAST(@@autocommit AS SIGNED)").await? == 1 {
        Check::ok("autocommit", "on")
    } else {
        Check::fail("autocommit", "off", "no write is kept: set autocommit = 1")
    });
    checks.push(the_table(pool, table).await?);
    let before = now();
    let time = "SELECT TIMESTAMPDIFF(MICROSECOND, MAKEDATE(1970, 1), UTC_TIMESTAMP(3)) DIV 1000";
    let time: i64 = one(pool, time).await?;
    checks.push(clocks(before, u64::try_from(time).unwrap_or_default(), now()));
    Ok(())
}

/// `SKIP LOCKED`, which the store uses, came with these versions.
fn of_version(version: &str) -> Check {
    let (name, oldest) =
        if version.contains("MariaDB") { ("MariaDB", (10, 6)) } else { ("MySQL", (8, 0)) };
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let number = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let finding = format!("{name} {}.{}", number.0, number.1);
    if number >= oldest {
        Check::ok("version", finding)
    } else {
        Check::fail("version", finding, "MySQL 8.0, MariaDB 10.6 or newer is needed")
    }
}

/// Whether the table survives a crash, keeps keys and records as bytes, and has its index.
async fn the_table(pool: &MySqlPool, table: &str) -> Result<Check, StoreError> {
    let of_table = |what: &str, of: &str, and: &str| {
        format!(
            "SELECT {what} FROM information_schema.{of} WHERE table_schema = DATABASE() AND table_name = '{table}' {and}"
        )
    };
    let engine = of_table("CAST(COALESCE(engine, '') AS CHAR)", "tables", "");
    let engine: String = one(pool, &engine).await?;
    if !engine.eq_ignore_ascii_case("InnoDB") {
        let advice = "a crash can destroy it: ALTER TABLE … ENGINE = InnoDB";
        return Ok(Check::warn("table", format!("{table}, with the engine {engine}"), advice));
    }
    let bytes = "AND (column_name = 'key' AND data_type = 'varbinary' OR column_name = 'record' AND data_type = 'longblob')";
    if one::<i64>(pool, &of_table("count(*)", "columns", bytes)).await? != 2 {
        let advice = "two keys can be mixed up, and records changed: create it as `migrate()` does";
        return Ok(Check::fail("table", format!("{table}, with columns of other types"), advice));
    }
    let index = "AND column_name = 'expires' AND seq_in_index = 1";
    Ok(if one::<i64>(pool, &of_table("count(*)", "statistics", index)).await? > 0 {
        Check::ok("table", table)
    } else {
        let advice = "expired records are removed slowly: CREATE INDEX expires ON … (expires)";
        Check::warn("table", format!("{table}, without an index on `expires`"), advice)
    })
}

/// Reads one value.
async fn one<T>(pool: &MySqlPool, question: &str) -> Result<T, StoreError>
where
    T: for<'r> Decode<'r, MySql> + Type<MySql> + Send + Unpin,
{
    Ok(sqlx::query_scalar(question).fetch_one(pool).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn a_version_names_its_server_and_must_be_recent() {
        for (version, finding, state) in [
            ("10.11.19-MariaDB-0+deb12u1", "MariaDB 10.11", State::Ok),
            ("10.5.1-MariaDB", "MariaDB 10.5", State::Fail),
            ("8.0.36", "MySQL 8.0", State::Ok),
            ("9.4.0-log", "MySQL 9.4", State::Ok),
            ("5.7.44", "MySQL 5.7", State::Fail),
        ] {
            let check = of_version(version);
            assert_eq!((&*check.finding, check.state), (finding, state));
        }
    }
}
