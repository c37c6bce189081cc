use alloc::{borrow::ToOwned as _, boxed::Box, rc::Rc, string::String, vec::Vec};
use core::{cell::RefCell, fmt};
#[cfg(not(plain))]
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{self, Context, Waker},
};

use super::{
    Seen,
    effect::{Answered, Asked, Effect, Report, Stopped},
    host::{Call, Doubt, Failed, Host, NewId, Reply},
};
use crate::{Error, Event, SessionId, Ticket, UnixMillis, cache};

/// An operation that a driver runs from outside, effect by effect. It is for a host that has no futures of its own, such as
/// JavaScript, or a test that decides which request continues.
///
/// With `cfg(plain)`, which WebAssembly is built with, an operation is a function instead of a future. It runs again from
/// its beginning with each answer, and gets the earlier answers at once. Without the states of futures, WebAssembly is a
/// seventh smaller. An operation does the same in each run, because everything it knows comes from its host.
pub struct Pending<T> {
    mail: Rc<RefCell<Mail>>,
    running: Running<T>,
    /// Whether the operation has finished. Polling its future again would panic.
    is_finished: bool,
}

#[cfg(not(plain))]
type Running<T> = Pin<Box<dyn Future<Output = Result<T, Stopped>>>>;
#[cfg(plain)]
type Running<T> = Box<dyn Fn(Post) -> Result<T, Stopped>>;

#[derive(Default)]
struct Mail {
    /// The effect that the operation waits for.
    effect: Option<Effect<()>>,
    /// The last poll of the operation; all polls if the operation runs again from its beginning.
    polls: Vec<Poll>,
    /// The answers that the operation got in them.
    moments: Vec<Moment>,
    /// The place of the answer that the operation has reached.
    at: usize,
    /// The number of bytes of its poll's entropy that are used.
    used: usize,
    /// The number of the last error with which the store refused.
    refused: Option<u32>,
    reports: Vec<Report>,
    /// The number of reports that the driver has taken.
    taken: usize,
    /// The store, if it answers at once.
    source: Option<Rc<dyn Source>>,
    /// Whether the operation only reads from it, and is never polled again, so that no answer has to be kept.
    reads: bool,
    /// The answer when the operation first needs a session ID.
    id: Option<SessionId>,
    /// Whether the operation has waited for another one that writes the same session.
    has_waited: bool,
    /// Whether it begins with a record that is old because of that.
    is_behind: bool,
    /// The ticket of a session from the near cache.
    ticket: Option<Ticket>,
}

/// A store that answers an operation at once, or the near cache of a process.
pub trait Source {
    /// Answers a call. `None` if the operation has to wait for the answer.
    ///
    /// Default: answers none.
    fn answer(&self, call: &Call<'_>, now: UnixMillis) -> Option<Answered> {
        let _ = (call, now);
        None
    }

    /// The text under a key in the near cache: [`Host::cached`].
    ///
    /// Default: none.
    fn cached(&self, key: &str, max_stale: u64, at: cache::Moment) -> Option<(String, Ticket)> {
        let _ = (key, max_stale, at);
        None
    }
}

/// An answer with which an operation continues.
#[derive(Debug)]
struct Moment {
    answer: Answered,
    /// The number of the poll that brought it.
    poll: usize,
}

/// The moment at which an operation is polled.
#[derive(Debug)]
struct Poll {
    now: UnixMillis,
    elapsed: u64,
    entropy: [u8; Pending::<()>::ENTROPY],
}

/// A source of an answer without waiting, if it has one.
type AtOnce<'a> = &'a dyn Fn(&mut Mail) -> Option<Answered>;

/// The [`Host`] of a [`Pending`] operation.
pub struct Post(Rc<RefCell<Mail>>);

impl<T> Pending<T> {
    /// The number of bytes of entropy for a poll. Between two effects an operation uses half of them at most.
    pub const ENTROPY: usize = 256;

    /// Creates an operation that runs on the [`Post`] it is given. It begins with the first [`Pending::poll`].
    #[cfg(not(plain))]
    pub fn new<F>(operation: impl FnOnce(Post) -> F) -> Self
    where
        F: Future<Output = Result<T, Stopped>> + 'static,
    {
        let mail = Rc::<RefCell<Mail>>::default();
        let running = Box::pin(operation(Post(Rc::clone(&mail))));
        Self { mail, running, is_finished: false }
    }

    /// Creates an operation that runs on the [`Post`] it is given. It begins with the first [`Pending::poll`].
    #[cfg(plain)]
    pub fn new(operation: impl Fn(Post) -> Result<T, Stopped> + 'static) -> Self {
        Self { mail: Rc::default(), running: Box::new(operation), is_finished: false }
    }

    /// Resets the operation to its beginning, and keeps its memory.
    #[cfg(plain)]
    pub fn renew(&mut self) {
        let mail = &mut *self.mail.borrow_mut();
        mail.polls.clear();
        mail.moments.clear();
        mail.reports.clear();
        (mail.effect, mail.source, mail.id, mail.taken, mail.reads) = (None, None, None, 0, false);
        (mail.has_waited, mail.ticket) = (false, None);
        self.is_finished = false;
    }

    /// Continues the operation with the answer to its last effect, and returns its next effect. `elapsed` is the time by a
    /// monotonic clock in microseconds; `entropy` is new and random.
    pub fn poll(
        &mut self,
        answer: Answered,
        now: UnixMillis,
        elapsed: u64,
        entropy: &[u8; Pending::<()>::ENTROPY],
    ) -> Effect<T> {
        if self.is_finished {
            return Effect::Finished(Err(Stopped::Misuse));
        }
        let poll = Poll { now, elapsed, entropy: *entropy };
        self.mail.borrow_mut().receive(answer, poll);
        #[cfg(not(plain))]
        let polled = self.running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        #[cfg(plain)]
        let polled = (self.running)(Post(Rc::clone(&self.mail)));
        let effect = match self.mail.borrow_mut().effect.take() {
            None => Effect::Finished(end(polled)),
            Some(Effect::Call(asked)) => Effect::Call(asked),
            Some(Effect::Calls(asked)) => Effect::Calls(asked),
            Some(Effect::Sleep(micros)) => Effect::Sleep(micros),
            Some(Effect::Compute(data)) => Effect::Compute(data),
            Some(Effect::Migrate(data, version)) => Effect::Migrate(data, version),
            Some(Effect::NewId) => Effect::NewId,
            Some(Effect::Finished(_)) => Effect::Finished(Err(Stopped::Misuse)),
        };
        self.is_finished = matches!(effect, Effect::Finished(_));
        effect
    }
}

/// The result of an operation that waits for no effect.
#[cfg(not(plain))]
fn end<T>(polled: task::Poll<Result<T, Stopped>>) -> Result<T, Stopped> {
    match polled {
        task::Poll::Ready(ended) => ended,
        task::Poll::Pending => Err(Stopped::Misuse),
    }
}

#[cfg(plain)]
fn end<T>(ended: Result<T, Stopped>) -> Result<T, Stopped> {
    ended
}

impl<T> Pending<T> {
    /// Lets `source` answer store calls at once. Only with `cfg(plain)`: otherwise it is only a near cache. An operation
    /// that only `reads` waits where it would write, and is never polled again. With `cfg(plain)`, only such an operation
    /// uses a near cache.
    pub fn answer_by(&mut self, source: Rc<dyn Source>, reads: bool) {
        let mut mail = self.mail.borrow_mut();
        (mail.source, mail.reads) = (Some(source), reads);
    }

    /// Provides the random session ID that the operation gets when it first needs one. Only with `cfg(plain)`, as
    /// `answer_by`.
    pub fn offer(&mut self, id: Option<SessionId>) {
        self.mail.borrow_mut().id = id;
    }

    /// Says whether the operation has waited for another one of this process that writes the same session. Its first
    /// [`commit`](super::commit) then reads the record before it writes ([`Host::behind`]). Call it before the first poll.
    pub fn waited(&mut self, has_waited: bool) {
        let mut mail = self.mail.borrow_mut();
        (mail.has_waited, mail.is_behind) = (has_waited, has_waited);
    }

    /// The ticket of the session that the operation has found in the near cache: [`Host::remembered`].
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        self.mail.borrow().ticket
    }

    /// Takes the reports of the operation since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut mail = self.mail.borrow_mut();
        let taken = mail.taken.min(mail.reports.len());
        let reports = mail.reports.drain(taken..).collect::<Vec<_>>();
        // An operation that runs again from its beginning makes its earlier reports again.
        if cfg!(plain) {
            mail.taken += reports.len();
        }
        reports
    }
}

impl Mail {
    #[cfg(not(plain))]
    fn receive(&mut self, answer: Answered, poll: Poll) {
        (self.polls, self.used) = (Vec::from([poll]), 0);
        self.moments = Vec::from([Moment { answer, poll: 0 }]);
    }

    #[cfg(plain)]
    fn receive(&mut self, answer: Answered, poll: Poll) {
        self.moments.push(Moment { answer, poll: self.polls.len() });
        self.polls.push(poll);
        (self.at, self.used, self.refused) = (0, 0, None);
        self.is_behind = self.has_waited;
        self.reports.clear();
    }

    fn moment(&self) -> Option<&Moment> {
        self.moments.get(self.at)
    }

    fn poll(&self) -> Option<&Poll> {
        self.polls.get(self.moment()?.poll)
    }

    /// The answer to the effect that the operation has reached, if the driver has given it already.
    #[cfg(plain)]
    fn next(&mut self) -> Option<Answered> {
        let before = self.moment().map(|moment| moment.poll);
        let next = self.moments.get(self.at + 1)?;
        if Some(next.poll) != before {
            self.used = 0;
        }
        self.at += 1;
        Some(next.answer.clone())
    }

    /// The answers of the store, if it answers at once.
    fn ask(&self, calls: &[Call<'_>]) -> Option<Answered> {
        let (source, now) = (self.source.as_ref()?, self.poll()?.now);
        if self.reads && !calls.iter().all(Call::reads) {
            return None;
        }
        let mut answers = calls.iter().map(|call| source.answer(call, now));
        if calls.len() == 1 {
            return answers.next()?;
        }
        answers.collect::<Option<_>>().map(Answered::All)
    }

    /// Keeps an answer that came at once, because the operation may run again.
    #[cfg(plain)]
    fn keep(&mut self, answer: &Answered) {
        if !self.reads {
            let poll = self.polls.len().saturating_sub(1);
            self.moments.push(Moment { answer: answer.clone(), poll });
            self.at += 1;
        }
    }
}

impl Post {
    /// The answer to an effect.
    #[cfg(not(plain))]
    async fn post(&self, _: AtOnce<'_>, effect: &dyn Fn() -> Effect<()>) -> Option<Answered> {
        self.0.borrow_mut().effect = Some(effect());
        let mut polled = false;
        poll_fn(|_| {
            if core::mem::replace(&mut polled, true) {
                task::Poll::Ready(())
            } else {
                task::Poll::Pending
            }
        })
        .await;
        self.0.borrow().moment().map(|moment| moment.answer.clone())
    }

    /// The answer to an effect; `None` if the operation has to wait for it, or for an earlier one. Everything that it does
    /// until it returns has no effect then.
    #[cfg(plain)]
    fn post(&self, at_once: AtOnce<'_>, effect: &dyn Fn() -> Effect<()>) -> Option<Answered> {
        let mut mail = self.0.borrow_mut();
        if mail.effect.is_some() {
            return None;
        }
        let mut answer = mail.next();
        // Half of the poll's entropy suffices until the next effect.
        if answer.is_none() && mail.used <= Pending::<()>::ENTROPY / 2 {
            answer = at_once(&mut mail).inspect(|answer| mail.keep(answer));
        }
        if answer.is_none() {
            mail.effect = Some(effect());
        }
        answer
    }

    /// The number of the poll that the operation has reached, among the polls that are kept.
    pub(crate) fn poll(&self) -> usize {
        self.0.borrow().moment().map_or(0, |moment| moment.poll)
    }

    /// Whether the operation waits for an effect. Everything that it does until it returns has no effect then.
    pub(crate) fn waits(&self) -> bool {
        self.0.borrow().effect.is_some()
    }

    fn replied(&self, answer: Option<Answered>) -> Result<Reply, Failed<Stopped>> {
        match answer {
            Some(Answered::Reply(reply)) => Ok(reply),
            Some(Answered::Lost(number)) => Err(Failed::Lost(Stopped::Host(number))),
            Some(Answered::Refused(number)) => {
                self.0.borrow_mut().refused = Some(number);
                Err(Failed::Refused(Stopped::Host(number)))
            }
            Some(Answered::Failed(error)) => Err(Failed::Refused(Stopped::Core(error))),
            _ => Err(Failed::Refused(Stopped::Misuse)),
        }
    }

    fn report(&self, report: Report) {
        let mut mail = self.0.borrow_mut();
        if mail.effect.is_none() {
            mail.reports.push(report);
        }
    }
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Host for Post {
    type Error = Stopped;

    #[inline(never)]
    fn now(&mut self) -> UnixMillis {
        self.0.borrow().poll().map_or(UnixMillis(0), |poll| poll.now)
    }

    fn elapsed(&mut self) -> u64 {
        self.0.borrow().poll().map_or(0, |poll| poll.elapsed)
    }

    fn fill(&mut self, entropy: &mut [u8]) -> Result<(), Stopped> {
        let mut mail = self.0.borrow_mut();
        let end = mail.used + entropy.len();
        let bytes = mail.poll().and_then(|poll| poll.entropy.get(mail.used..end));
        entropy.copy_from_slice(bytes.ok_or(Stopped::Misuse)?);
        mail.used = end;
        Ok(())
    }

    async fn new_id(&mut self) -> Result<NewId, Stopped> {
        let random = |mail: &mut Mail| Some(Answered::NewId(NewId::Random(mail.id.take()?)));
        match self.post(&random, &|| Effect::NewId).await {
            Some(Answered::NewId(id)) => Ok(id),
            Some(Answered::Refused(number)) => Err(Stopped::Host(number)),
            _ => Err(Stopped::Misuse),
        }
    }

    fn doubt(&mut self, doubt: Doubt) -> Stopped {
        Stopped::Doubt(doubt)
    }

    fn survives(&mut self, error: Stopped) -> Result<(), Stopped> {
        match error {
            Stopped::Core(_) => {}
            Stopped::Host(number) if self.0.borrow().refused == Some(number) => {}
            error => return Err(error),
        }
        self.failed(error);
        Ok(())
    }

    fn emit(&mut self, event: Event) {
        self.report(Report::Event(event));
    }

    fn take_out_of_use(&mut self, id: &SessionId) {
        self.report(Report::OutOfUse(id.clone()));
    }

    fn touched(&mut self, session: &Seen) {
        self.report(Report::Touched(session.id.clone()));
    }

    fn failed(&mut self, error: Stopped) {
        self.report(Report::Failed(error));
    }

    fn unreadable(error: Stopped) -> Result<Error, Stopped> {
        match error {
            Stopped::Core(error) => Ok(error),
            error => Err(error),
        }
    }

    async fn behind(&mut self, _: &SessionId) -> bool {
        core::mem::take(&mut self.0.borrow_mut().is_behind)
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Reply, Failed<Stopped>> {
        let asked = || Effect::Call(Asked::from(call));
        let answer = self.post(&|mail| mail.ask(&[call]), &asked).await;
        self.replied(answer)
    }

    #[cfg(plain)]
    async fn call_all(&mut self, calls: &[Call<'_>]) -> Vec<Result<Reply, Failed<Stopped>>> {
        let asked = || Effect::Calls(calls.iter().map(|call| Asked::from(*call)).collect());
        let answers = match self.post(&|mail| mail.ask(calls), &asked).await {
            Some(Answered::All(answers)) => answers,
            only => only.into_iter().collect(),
        };
        let mut answers = answers.into_iter();
        calls.iter().map(|_| self.replied(answers.next())).collect()
    }

    fn cached(&mut self, key: &str, max_stale: u64) -> Option<(String, Ticket)> {
        let mail = self.0.borrow();
        // An operation that runs again from its beginning would find another entry there, or none.
        if cfg!(plain) && !mail.reads {
            return None;
        }
        let (source, poll) = (mail.source.as_ref()?, mail.poll()?);
        source.cached(key, max_stale, cache::Moment { now: poll.now, elapsed: poll.elapsed })
    }

    fn remembered(&mut self, ticket: Ticket) {
        self.0.borrow_mut().ticket = Some(ticket);
    }

    async fn sleep(&mut self, micros: u64) {
        self.post(&|_| None, &|| Effect::Sleep(micros)).await;
    }

    async fn compute(&mut self, data: &str) -> Result<String, Stopped> {
        let answer = self.post(&|_| None, &|| Effect::Compute(data.to_owned())).await;
        computed(answer)
    }

    async fn migrate(&mut self, data: &str, version: u32) -> Result<String, Stopped> {
        let answer = self.post(&|_| None, &|| Effect::Migrate(data.to_owned(), version)).await;
        computed(answer)
    }
}

/// The result of a function of the application.
fn computed(answer: Option<Answered>) -> Result<String, Stopped> {
    match answer {
        Some(Answered::Computed(data)) => Ok(data),
        Some(Answered::Refused(number)) => Err(Stopped::Host(number)),
        _ => Err(Stopped::Misuse),
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
