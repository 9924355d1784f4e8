//! Performs http items: one call, once, with the operation's `Idempotency-Key`; and the polls of what was only accepted.
//!
//! A call that is accepted with 202 and has a `pollUrl` is asked about there: 200 is done, 202 goes on, 404 is not known. Otherwise the statuses
//! of `expect` are success.

use tidegate_calculator::operation::spec::Http;
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_engine::subject::TargetRef;
use tidegate_scalers::caller::{Call, Caller};

use super::{Hooks, limits};

/// The header by which a receiver knows a repetition.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

impl Hooks {
    /// Calls an http item.
    pub(super) async fn call_http(&self, target: &TargetRef, key: &str, http: &Http) -> Outcome {
        let call = Call { method: &http.method, headers: &headers(http, key), body: &http.body };
        match self.answer(target, &http.url, http, call).await {
            Ok((_, 202)) if http.poll_url.is_some() => Outcome::InProgress,
            Ok((_, status)) if expects(http, status) => Outcome::Done,
            Ok((caller, status)) => Outcome::Failed(caller.unexpected(status)),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Asks about an http item that was accepted.
    pub(super) async fn poll_http(&self, target: &TargetRef, key: &str, http: &Http) -> Outcome {
        let Some(url) = &http.poll_url else { return Outcome::NotFound };
        // The body's type says nothing about a question without one.
        let call = Call { method: "GET", headers: &headers(http, key), body: "" };
        match self.answer(target, url, http, call).await {
            Ok((_, 200)) => Outcome::Done,
            Ok((_, 202)) => Outcome::InProgress,
            Ok((_, 404)) => Outcome::NotFound,
            Ok((caller, status)) => Outcome::Failed(caller.unexpected(status)),
            // A question does nothing: that its answer is lost means no more than that there is none.
            Err(failure) if failure.class == Class::Lost => {
                Outcome::Failed(Failure { class: Class::Unavailable, ..failure })
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn answer(
        &self,
        target: &TargetRef,
        url: &str,
        http: &Http,
        call: Call<'_>,
    ) -> Result<(Caller, u16), Failure> {
        let auth = self.authentication(target, http.authentication_ref.as_deref()).await?;
        let caller = Caller::open(url, &auth, &self.endpoints);
        let caller = caller.map_err(|error| Failure::new(Class::Config, &error.to_string()))?;
        let status = caller.send(call, limits::CALL).await?;
        Ok((caller, status))
    }
}

/// The item's headers, and the key; a key that the item itself sets would let two operations look like one.
fn headers(http: &Http, key: &str) -> Vec<(String, String)> {
    let own = http.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
    own.cloned().chain([(IDEMPOTENCY_KEY.to_owned(), key.to_owned())]).collect()
}

fn expects(http: &Http, status: u16) -> bool {
    if http.expect_status.is_empty() { status == 200 } else { http.expect_status.contains(&status) }
}
