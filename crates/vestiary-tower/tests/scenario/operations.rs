//! The application's operations on a session in a scenario.

use std::{pin::Pin, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use serde_json::{Value, json};
use vestiary::session::{provider_list, provider_receipt};
use vestiary_store::SessionError;
use vestiary_tower::{Data, Device, LoginDevice, Provider, Session, TokenResponse, UnixMillis};

use super::script::{Known, Operation};

/// The provider at which users log in.
const ISSUER: &str = "https://login.example.com";

/// The results of operations, run one after the other.
pub async fn answers(session: &Session, ops: &[Operation]) -> Vec<Value> {
    let mut given = Vec::new();
    for operation in ops {
        given.push(answer(session, operation).await);
    }
    given
}

type Answer<'a> = Pin<Box<dyn Future<Output = Value> + Send + 'a>>;

fn answer<'a>(session: &'a Session, operation: &'a Operation) -> Answer<'a> {
    Box::pin(async move {
        match operation {
            Operation::Together { ops } => {
                join_all(ops.iter().map(|one| answer(session, one))).await.into()
            }
            Operation::Update { inside: Some(_), .. } => {
                let mut inside = Value::Null;
                let gives = act(session, operation, &mut inside).await;
                json!({ "inside": inside, "gives": given(gives) })
            }
            _ => given(act(session, operation, &mut Value::Null).await),
        }
    })
}

fn given(result: Result<Value, SessionError>) -> Value {
    result.unwrap_or_else(|error| error.code().into())
}

async fn act(
    session: &Session,
    operation: &Operation,
    inside_gives: &mut Value,
) -> Result<Value, SessionError> {
    match operation {
        Operation::Read { .. } => {
            let (data, user) = (session.data().await?, session.user_id().await?);
            return Ok(json!({ "data": data, "user": user }));
        }
        Operation::IsAlive { .. } => {
            return Ok(if session.is_alive().await? { "yes".into() } else { "no".into() });
        }
        Operation::Set { key, value, size, .. } => {
            let value = size.map_or_else(|| json!(value), |size| "x".repeat(size).into());
            session.insert(key, value).await?;
        }
        Operation::Remove { key, .. } => {
            session.remove_key(key).await?;
        }
        Operation::Save { .. } => {
            let saved = session.save().await?;
            assert_eq!(saved, !session.is_new().await?, "what `save` returns");
            return kept(session).await;
        }
        Operation::Touch { .. } => {
            session.touch().await?;
            return kept(session).await;
        }
        Operation::Renew { .. } => {
            session.renew().await?;
            return kept(session).await;
        }
        Operation::Destroy { .. } => session.destroy().await?,
        Operation::Update { add, put, inside, .. } => {
            let change = |data: &mut Data| {
                for (key, by) in add {
                    let before = data.get(key).and_then(Value::as_i64).unwrap_or_default();
                    data.insert(key.clone(), (before + by).into());
                }
                data.extend(put.clone());
                if let Some(inside) = inside {
                    let gives = answer(session, inside).now_or_never();
                    *inside_gives = gives.unwrap_or_else(|| "waits".into());
                }
            };
            let written = session.update(change).await?;
            assert_eq!(written, !session.is_new().await?, "what `update` returns");
            return kept(session).await;
        }
        Operation::Login { .. } => log_in(session, operation).await?,
        Operation::Tokens { .. } => {
            let tokens = session.stored_tokens().await?;
            return Ok(json!({ "access": tokens.map(|tokens| tokens.access_token) }));
        }
        Operation::LoggedOut { sid, sub, token, .. } => {
            let list = match sid {
                Some(sid) => provider_list("sid", ISSUER, sid),
                None => provider_list("sub", ISSUER, sub.as_deref().unwrap()),
            };
            let receipt = Some(provider_receipt(ISSUER, token));
            if session.sessions().logged_out(&list, receipt).await? {
                return Ok("token_replayed".into());
            }
        }
        Operation::Ends { .. } => {
            let now = session.sessions().now();
            // Seconds, rounded: a test waits for nothing.
            let left = |end: Option<UnixMillis>| end.map(|end| (end.since(now) + 500) / 1_000);
            let (expires, idle) = (session.expires().await?, session.idle_until().await?);
            return Ok(json!({ "expires": left(expires), "idle": left(idle) }));
        }
        Operation::Put { key, value, r#for: seconds, .. } => {
            let stored = session.put(key, value, Duration::from_secs_f64(*seconds)).await?;
            assert_eq!(stored, !session.is_new().await?, "what `put` returns");
            return kept(session).await;
        }
        Operation::Take { key, .. } => {
            let value: Option<Value> = session.take(key).await?;
            return Ok(json!({ "value": value }));
        }
        Operation::Confirm { .. } | Operation::IsFresh { .. } | Operation::IsBound { .. } => {
            return Ok(if holds(session, operation).await? { "yes".into() } else { "no".into() });
        }
        Operation::Together { .. } => panic!("these are called by `answer`"),
        _ => return act_on_list(session, operation).await,
    }
    Ok("done".into())
}

async fn log_in(session: &Session, operation: &Operation) -> Result<(), SessionError> {
    let Operation::Login { user, keep, label, device, max_age, proven_ago, sid, tokens, .. } =
        operation
    else {
        panic!("this is no login")
    };
    let mut login = session.login(user).keep(keep.clone());
    if let Some(label) = label {
        login = login.label(label);
    }
    if let Some(known) = device {
        login = login.device(device_of(known));
    }
    if let Some(age) = max_age {
        login = login.max_age(age.map(Duration::from_secs));
    }
    if let Some(ago) = proven_ago {
        login = login.proven_at(UnixMillis(session.sessions().now().0 - ago * 1_000));
    }
    if let Some(sid) = sid {
        login = login.provider(Provider::new(ISSUER, user, Some(sid)));
    }
    if let Some(access) = tokens {
        login = login.tokens(TokenResponse::new(access));
    }
    login.await
}

/// Whether the user or the device of a session has been proven.
async fn holds(session: &Session, operation: &Operation) -> Result<bool, SessionError> {
    match operation {
        Operation::Confirm { .. } => session.confirm().await,
        Operation::IsFresh { within, .. } => {
            session.is_fresh(Duration::from_secs_f64(*within)).await
        }
        _ => session.is_bound().await,
    }
}

/// An operation on a user's session list.
async fn act_on_list(session: &Session, operation: &Operation) -> Result<Value, SessionError> {
    match operation {
        Operation::Revoke { user, label, .. } => {
            let list = session.sessions_of(user);
            let sessions = list.list().await?;
            let one = sessions.iter().find(|one| one.label.as_ref() == Some(label));
            list.revoke(&one.unwrap().handle).await?;
        }
        Operation::RevokeOthers { user, .. } => {
            let handle = session.handle().await?.unwrap();
            session.sessions_of(user).revoke_others(&handle).await?;
        }
        Operation::RevokeAll { user, .. } => session.sessions_of(user).revoke_all().await?,
        Operation::List { user, .. } => {
            let list = session.sessions_of(user).list().await?;
            return Ok(list.into_iter().map(|one| json!(one.label)).collect());
        }
        Operation::Devices { user, .. } => {
            let list = session.sessions_of(user).list().await?;
            return Ok(list.into_iter().map(|one| one.device.map(shown)).collect());
        }
        Operation::BoundList { user, .. } => {
            let list = session.sessions_of(user).list().await?;
            return Ok(list.into_iter().map(|one| json!(one.bound)).collect());
        }
        _ => panic!("this is no operation on a list"),
    }
    Ok("done".into())
}

fn device_of(Known { browser, system, address }: &Known) -> LoginDevice {
    let device = LoginDevice::new().browser(browser).system(system);
    address.map_or(device.clone(), |address| device.address(address))
}

/// A device, as JavaScript has it.
fn shown(device: Device) -> Value {
    let Device { browser, system, network, .. } = device;
    let members = [("browser", browser), ("system", system), ("network", network)];
    let known = members.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into())));
    Value::Object(known.collect())
}

/// Whether a session is stored.
async fn kept(session: &Session) -> Result<Value, SessionError> {
    Ok(if session.is_new().await? { "gone".into() } else { "done".into() })
}
