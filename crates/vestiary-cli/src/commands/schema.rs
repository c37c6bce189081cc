use clap::ValueEnum;
use serde_json::json;
use vestiary_store::{MySqlStore, PostgresStore, SqliteStore};

use crate::{
    failure::{Failure, Verdict},
    output::Output,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The database that the table is for
    #[arg(long, value_enum, value_name = "KIND")]
    store: Kind,
    /// The table
    #[arg(long, value_name = "NAME", default_value = "sessions")]
    table: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Postgres,
    /// Also for MariaDB
    Mysql,
    Sqlite,
    D1,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let sql = match args.store {
        Kind::Postgres => PostgresStore::schema(&args.table),
        Kind::Mysql => MySqlStore::schema(&args.table),
        Kind::Sqlite | Kind::D1 => SqliteStore::schema(&args.table),
    };
    let sql = sql.map_err(|error| Failure::Usage("table_name", error.to_string()))?;
    output.document(&json!({ "sql": sql }))?;
    if !output.is_json() {
        output.bytes(sql.as_bytes())?;
    }
    Ok(Verdict::Yes)
}
