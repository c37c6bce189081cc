use serde_json::json;

use crate::{
    failure::{Failure, Verdict},
    output::Output,
    store::{OpenStore, Place, Server, StoreArgs},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let store = OpenStore::open_place(Place { create: true, ..args.store.place()? }).await?;
    if let Server::Redis(_) = store.server {
        let message = "Redis has no tables: nothing needs to be created there";
        return Err(Failure::Usage("no_schema", message.to_owned()));
    }
    store.settle().await?;
    output.document(&json!({ "store": store.name, "table": store.table }))?;
    output
        .line(format_args!("the table `{}` and its index exist in {}", store.table, store.name))?;
    Ok(Verdict::Yes)
}
