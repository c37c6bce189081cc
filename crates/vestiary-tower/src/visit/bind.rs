//! Device-bound sessions: the proof of a device.

use http::HeaderValue;
use vestiary::{
    binding::{Answer, Exchange, Proof, Shown},
    visit,
};
use vestiary_store::SessionError;

use super::{Visit, apart};

impl Visit {
    /// Answers a browser that registers or refreshes. `signs` says whether the key of a proof has signed it.
    pub(crate) async fn bind(
        &self,
        exchange: &Exchange<'_>,
        signs: impl Fn(&Proof<'_>) -> bool,
    ) -> Result<Answer, SessionError> {
        self.keep_private();
        let state = &mut *self.state.lock().await;
        let headers = self.headers.iter().map(HeaderValue::as_bytes);
        let found = self.sessions.cookies(headers);
        // Another layer may have opened the session before, which needed the bound cookie then.
        let cookies = visit::Cookies {
            present: found.present,
            ids: found.ids,
            shown: Shown::Proves,
            shared: self.outer_of_this_name().next().is_some(),
            passive: true,
            reads_only: false,
        };
        state.seen = self.sessions.revocations();
        apart(self.find(state, cookies)).await;
        self.apply_revocations(state).await;
        let meta = state.session().map(|session| session.record.meta());
        let proof = meta.and_then(|meta| exchange.read(meta));
        let is_signed = proof.as_ref().is_some_and(signs);
        let (mut asking, rules) = (self.asking(), self.sessions.rules());
        let before = state.session_of_user();
        let binding = visit::bind(&mut asking, rules, &mut state.visit, exchange, is_signed);
        let answer = apart(binding).await;
        self.after(state, before).await;
        answer
    }
}
