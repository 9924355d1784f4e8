//! A secret is never told: not in a finding, not in an error, not in what a program prints of them.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use tidegate_calculator::source::{Occasion, Parameters, Secret, TriggerSpec};
use tidegate_scalers::parameters::{Parameter, Source};
use tidegate_scalers::{Endpoints, Known, check, open, trigger_type};

use super::abuse::{closed, garbled};
use super::rows::{ROWS, say};
use super::{Play, Row, source};

/// What must never be seen, and its forms on the wire: base64 in a login, and twice encoded.
const CANARY: &str = "Canary-7f3a91";
const ENCODED: &str = "Q2FuYXJ5LTdmM2E5M";
/// How many sources are played at the same moment: each needs a few file descriptors.
const AT_ONCE: usize = 64;
/// How long a source that says nothing is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// A credential, and how a trigger is told to use it.
struct Case {
    row: &'static Row,
    /// The parameter that holds the canary.
    parameter: &'static str,
    /// It stands in the metadata rather than in the authentication.
    in_metadata: bool,
    /// `authModes`, for types that choose by it.
    mode: Option<&'static str>,
}

/// The ways of all triggers over HTTP to say who they are.
const MODES: &[&str] = &["apiKey", "basic", "bearer", "custom", "oauth", "tls"];

/// The secret parameters of a type.
fn secrets(row: &Row) -> impl Iterator<Item = &'static Parameter> {
    let known = trigger_type(row.name).expect("every row has a type");
    known.parameters.iter().filter(|parameter| parameter.secret)
}

/// Every secret parameter of every type, everywhere it may stand, with every way in which it may be used.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in ROWS {
        let known = trigger_type(row.name).expect("every row has a type");
        let chooses = known.parameters.iter().any(|parameter| parameter.names.contains(&"authModes"));
        let modes: Vec<Option<&'static str>> =
            if chooses { MODES.iter().map(|mode| Some(*mode)).chain([None]).collect() } else { vec![None] };
        for (parameter, mode) in secrets(row).flat_map(|parameter| modes.iter().map(move |mode| (parameter, *mode))) {
            let case = |in_metadata| Case { row, parameter: parameter.name(), in_metadata, mode };
            cases.extend(parameter.reads(Source::Authentication).then(|| case(false)));
            cases.extend(parameter.reads(Source::Metadata).then(|| case(true)));
        }
        let own = row.auth.iter().map(|(name, _)| Case { row, parameter: name, in_metadata: false, mode: None });
        cases.extend(own);
    }
    cases
}

impl Case {
    fn spec(&self, address: &str) -> TriggerSpec {
        let mut replaced = Vec::new();
        replaced.extend(self.mode.map(|mode| ("authModes", mode)));
        replaced.extend(self.in_metadata.then_some((self.parameter, CANARY)));
        self.row.spec(address, &replaced)
    }

    /// All that goes with it in its mode, so that it is really used.
    fn parameters(&self) -> Parameters {
        let mut parameters = self.row.parameters();
        let company: &[(&str, &str)] = match self.mode {
            Some("basic") => &[("username", "me"), ("password", "none")],
            Some("custom") => &[("customAuthHeader", "x-key"), ("customAuthValue", "none")],
            Some("apiKey") => &[("apiKey", "none")],
            Some("bearer") => &[("token", "none"), ("bearerToken", "none")],
            Some("oauth") => {
                &[("oauthTokenURI", "http://127.0.0.1:1/token"), ("clientID", "me"), ("clientSecret", "none")]
            }
            _ => &[],
        };
        let company = company.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text)));
        parameters.auth.extend(company);
        if !self.in_metadata {
            parameters.auth.insert(self.parameter.to_owned(), Secret::new(CANARY));
        }
        parameters
    }

    /// Says everything that can be said about the trigger through one failure. Whether it could be opened, so that the canary was used.
    async fn play(&self, name: &str, play: Option<Play>) -> bool {
        let address = match play {
            Some(play) => source(play).await,
            // Nobody listens.
            None => std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string(),
        };
        let (spec, parameters) = (self.spec(&address), self.parameters());
        let (env, auth) = (Known::Values(&parameters.env), Known::Values(&parameters.auth));
        let found = check(&spec, env, auth);
        self.is_hidden(name, &found);
        for problem in found.errors.iter().chain(&found.warnings) {
            self.is_hidden(name, &problem.to_string());
        }
        self.is_hidden(name, &parameters);
        match open(&spec, &parameters, &Endpoints::new()) {
            Ok(scaler) => {
                let read = scaler.read(Occasion::Check, PATIENCE).await;
                self.is_hidden(name, &read);
                if let Err(error) = read {
                    self.is_hidden(name, &error.to_string());
                }
                true
            }
            Err(error) => {
                self.is_hidden(name, &(&error, error.to_string()));
                false
            }
        }
    }

    fn is_hidden(&self, play: &str, said: &impl Debug) {
        let said = format!("{said:?}");
        let told = said.contains(CANARY) || said.contains(ENCODED);
        let Self { row, parameter, mode, .. } = self;
        assert!(!told, "{} tells {parameter} (mode {mode:?}, {play}): {said}", row.name);
    }
}

/// Whatever fails: the connection, the login, the answer, the data.
fn plays(row: &Row) -> Vec<(&'static str, Option<Play>)> {
    vec![
        ("refused", Some(row.refused)),
        ("silent", Some(|stream| say(stream, ""))),
        ("closed", Some(closed)),
        ("nobody", None),
        ("no data", Some(row.no_data)),
        ("garbage", Some(garbled::<0>)),
        ("text", Some(garbled::<1>)),
        ("good", Some(row.zero)),
    ]
}

#[tokio::test]
async fn no_failure_tells_a_secret() {
    let cases = cases();
    for row in ROWS {
        let own = cases.iter().filter(|case| case.row.name == row.name);
        let all = own.flat_map(|case| plays(row).into_iter().map(move |(name, play)| case.play(name, play)));
        let opened: Vec<bool> = futures::stream::iter(all).buffer_unordered(AT_ONCE).collect().await;
        // A type whose only secret is a private key takes no canary for one; what it does with real keys, its own tests show.
        let only_keys = secrets(row).all(|parameter| parameter.name() == "tlsClientKey");
        assert!(only_keys || opened.contains(&true), "{}: no trigger could be opened with the canary", row.name);
        assert!(row.auth.is_empty() || !opened.is_empty(), "{}: it has credentials, and none was tried", row.name);
    }
}

/// A source may say back what it was sent; nothing of an answer is repeated in an error.
#[tokio::test]
async fn a_source_that_repeats_what_it_hears_makes_nobody_tell_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let echo: Play = |mut stream| {
        Box::pin(async move {
            let mut heard = vec![0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut heard).await {
                if stream.write_all(&heard[..length]).await.is_err() {
                    return;
                }
            }
        })
    };
    let cases = cases();
    let all = cases.iter().map(|case| case.play("echo", Some(echo)));
    futures::stream::iter(all).buffer_unordered(AT_ONCE).collect::<Vec<bool>>().await;
}
