use std::{
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_session::{
    Session, SessionGetError, SessionInsertError, SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy},
    storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError},
};
use actix_web::{
    App as ActixWeb,
    body::{BoxBody, MessageBody, to_bytes},
    cookie::{Key, SameSite, time::Duration},
    dev::{Service, ServiceResponse},
    http::header,
    test::{TestRequest, init_service},
    web::{self, ServiceConfig},
};
use futures_util::future::LocalBoxFuture;

use super::{COOKIE, LIFE, SECRET};
use crate::{
    app::{Answer, App, Ask, HEADERS, Make, Rolling, Route, Setup},
    payload::{Payload, new_user},
    store::{Meter, Operation},
};

/// actix-web, without sessions.
pub(crate) struct ActixBare;

/// actix-session. It has no store in memory, so it gets the cheapest one: a map of the values that it passes.
pub(crate) struct ActixSession;

/// An application of actix-web's. The box around its future is in the baseline, too.
pub(crate) struct ActixApp(Rc<dyn Fn(Request) -> LocalBoxFuture<'static, ServiceResponse>>);

type Request = actix_http::Request;

impl Make for ActixBare {
    type App = ActixApp;

    async fn app(&self, _: &Setup) -> ActixApp {
        let routes = |config: &mut ServiceConfig| {
            config
                .route(Route::Untouched.path(), web::get().to(async || "untouched"))
                .route(Route::Read.path(), web::get().to(async || 1_u64.to_string()))
                .route(Route::Write.path(), web::get().to(async || 2_u64.to_string()))
                .route(Route::Same.path(), web::get().to(async || "same"))
                .route(Route::Begin.path(), web::get().to(async || "begun"))
                .route(Route::Login.path(), web::get().to(async || new_user()))
                .route(Route::Logout.path(), web::get().to(async || "logged out"));
        };
        ActixApp::new(init_service(ActixWeb::new().configure(routes)).await)
    }
}

impl Make for ActixSession {
    type App = ActixApp;

    async fn app(&self, setup: &Setup) -> ActixApp {
        let extends = match setup.rolling {
            Rolling::Off => TtlExtensionPolicy::OnStateChanges,
            Rolling::Due | Rolling::NotDue => TtlExtensionPolicy::OnEveryRequest,
        };
        let life = PersistentSession::default()
            .session_ttl(Duration::seconds(LIFE.into()))
            .session_ttl_extension_policy(extends);
        let store = Store { meter: setup.metered.clone().unwrap_or_default(), ..Store::default() };
        let sessions = SessionMiddleware::builder(store, Key::from(SECRET.as_bytes()))
            .cookie_name(COOKIE.to_owned())
            .cookie_content_security(CookieContentSecurity::Signed)
            .cookie_same_site(SameSite::Lax)
            .session_lifecycle(life)
            .build();
        let payload = setup.payload;
        let routes = move |config: &mut ServiceConfig| {
            config
                .route(Route::Untouched.path(), web::get().to(async || "untouched"))
                .route(Route::Read.path(), web::get().to(read))
                .route(Route::Write.path(), web::get().to(write))
                .route(Route::Same.path(), web::get().to(same))
                .route(Route::Begin.path(), web::get().to(move |session| begin(session, payload)))
                .route(Route::Login.path(), web::get().to(login))
                .route(Route::Logout.path(), web::get().to(logout));
        };
        ActixApp::new(init_service(ActixWeb::new().wrap(sessions).configure(routes)).await)
    }
}

impl ActixApp {
    fn new(
        service: impl Service<
            Request,
            Response = ServiceResponse<impl MessageBody + 'static>,
            Error = actix_web::Error,
            Future: 'static,
        > + 'static,
    ) -> Self {
        Self(Rc::new(move |request| {
            let answer = service.call(request);
            Box::pin(async { answer.await.expect("no handler fails").map_into_boxed_body() })
        }))
    }
}

impl App for ActixApp {
    type Request = Request;
    type Response = ServiceResponse<BoxBody>;
    type Future = LocalBoxFuture<'static, ServiceResponse>;

    fn request(ask: &Ask) -> Request {
        let mut request = TestRequest::get().uri(ask.route.path());
        for header in HEADERS {
            request = request.insert_header(header);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.insert_header((header::COOKIE, cookie.as_str()));
        }
        request.to_request()
    }

    fn call(&mut self, request: Request) -> Self::Future {
        (self.0)(request)
    }

    fn succeeded(response: &ServiceResponse) -> bool {
        response.status().is_success()
    }

    async fn answer(response: ServiceResponse) -> Answer {
        let set_cookies = response.headers().get_all(header::SET_COOKIE);
        let set_cookies =
            set_cookies.filter_map(|it| it.to_str().ok()).map(str::to_owned).collect();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        Answer { status, set_cookies, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

#[expect(clippy::unused_async, reason = "handlers are")]
async fn begin(session: Session, payload: Payload) -> Result<&'static str, SessionInsertError> {
    session.insert("count", 1_u64)?;
    session.insert("cart", payload.cart())?;
    Ok("begun")
}

async fn read(session: Session) -> Result<String, SessionGetError> {
    Ok(session.get::<u64>("count")?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, actix_web::Error> {
    let count = session.get::<u64>("count")?.unwrap_or_default() + 1;
    session.insert("count", count)?;
    Ok(count.to_string())
}

async fn same(session: Session) -> Result<&'static str, SessionInsertError> {
    session.insert("count", 1_u64)?;
    Ok("same")
}

async fn login(session: Session) -> Result<String, SessionInsertError> {
    let user = new_user();
    session.insert("user", &user)?;
    session.renew();
    Ok(user)
}

async fn logout(session: Session) -> &'static str {
    session.purge();
    "logged out"
}

type State = HashMap<String, String>;

#[derive(Default)]
struct Store {
    meter: Arc<Meter>,
    states: Mutex<HashMap<String, State>>,
}

impl Store {
    fn states(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        self.meter.ask(Operation::Load).await;
        Ok(self.states().get(key.as_ref()).cloned())
    }

    async fn save(&self, state: State, _ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.meter.ask(Operation::Create).await;
        let key = new_key();
        self.states().insert(key.clone(), state);
        SessionKey::try_from(key).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        _ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.meter.ask(Operation::Save).await;
        self.states().insert(key.as_ref().to_owned(), state);
        Ok(key)
    }

    async fn update_ttl(&self, _key: &SessionKey, _ttl: &Duration) -> Result<(), anyhow::Error> {
        self.meter.ask(Operation::Touch).await;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.meter.ask(Operation::Delete).await;
        self.states().remove(key.as_ref());
        Ok(())
    }
}

/// A key as long as those of actix-session's own stores, but not random, which favours it.
fn new_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:064}", NEXT.fetch_add(1, Ordering::Relaxed))
}
