use std::path::Path;

use vestiary_store::{
    StoreError,
    sqlx::{self, SqlitePool},
};

use super::Check;
use crate::failure::Failure;

pub(super) async fn check(
    pool: &SqlitePool,
    journal: &str,
    checks: &mut Vec<Check>,
) -> Result<(), Failure> {
    let version = one(pool, "SELECT sqlite_version()").await?;
    checks.push(Check::ok("version", format!("SQLite {version}, built into this program")));
    checks.push(match journal {
        "wal" => Check::ok("journal", "WAL"),
        other => {
            let advice =
                "it is WAL from now on, as services set it: readers then never wait for a writer";
            Check::warn("journal", format!("it was {other}"), advice)
        }
    });
    let found = one(pool, "PRAGMA quick_check(1)").await?;
    checks.push(match found.as_str() {
        "ok" => Check::ok("integrity", "quick_check found no damage"),
        // Its message may hold a key.
        _ => Check::fail("integrity", "quick_check found damage", "restore it from a backup"),
    });
    checks.extend(permissions(Path::new(pool.connect_options().get_filename())));
    Ok(())
}

async fn one(pool: &SqlitePool, question: &str) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar(question).fetch_one(pool).await?)
}

/// Checks who can read the file or its companions, and with them all sessions.
#[cfg(unix)]
fn permissions(path: &Path) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt as _;

    let modes = ["", "-wal", "-shm"].into_iter().filter_map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        std::fs::metadata(name).ok()
    });
    let mode =
        modes.map(|file| file.permissions().mode() & 0o777).reduce(|all, mode| all | mode)?;
    let finding = format!("mode {mode:03o}");
    let of_others = mode & 0o007;
    Some(if of_others == 0 {
        Check::ok("permissions", finding)
    } else {
        let advice = "every user of the machine can read the file, and so all sessions: chmod 600, or 660, also the \
                      files that end in -wal and -shm";
        Check::warn("permissions", finding, advice)
    })
}

#[cfg(not(unix))]
fn permissions(_path: &Path) -> Option<Check> {
    None
}
