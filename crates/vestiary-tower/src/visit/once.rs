//! The lease of a function that one request of all processes runs, and that of the session's tokens.

use vestiary::visit::{self, Answer, Claim, Wanted};
use vestiary_store::SessionError;

use super::{State, Visit, apart};

impl Visit {
    /// Claims a lease, in milliseconds. The application's changes are stored first.
    pub(crate) async fn claim(
        &self,
        state: &mut State,
        name: &str,
        lease: u64,
        waited: u64,
    ) -> Result<Claim, SessionError> {
        let changes = state.contents.is_changed().then(|| state.contents.changes());
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let visit = &mut state.visit;
        let claiming = visit::claim(&mut asking, rules, visit, changes, name, lease, waited);
        let claimed = apart(claiming).await;
        self.after(state, before).await;
        claimed
    }

    /// Settles a lease: keeps the result, JSON text or nothing, for the requests that wait for it.
    pub(crate) async fn settle(
        &self,
        state: &mut State,
        name: &str,
        token: String,
        result: Result<&str, ()>,
    ) -> Result<bool, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let settling = visit::settle(&mut asking, rules, &mut state.visit, name, token, result);
        let settled = apart(settling).await;
        self.after(state, before).await;
        settled
    }

    /// Finds tokens that are still valid, or claims the lease on them.
    pub(crate) async fn tokens(
        &self,
        state: &mut State,
        wanted: Wanted<'_>,
    ) -> Result<Claim, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let finding = visit::tokens(&mut asking, rules, &mut state.visit, wanted);
        let found = apart(finding).await;
        self.after(state, before).await;
        found
    }

    /// Keeps tokens, or settles the lease on those in `held`.
    pub(crate) async fn keep_tokens(
        &self,
        state: &mut State,
        held: Option<String>,
        answer: Answer,
    ) -> Result<bool, SessionError> {
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let keeping = visit::keep_tokens(&mut asking, rules, &mut state.visit, held, answer);
        let kept = apart(keeping).await;
        self.after(state, before).await;
        kept
    }
}
