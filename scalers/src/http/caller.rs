//! Calls of hooks over HTTP: one address with whoever we are there, and requests that are sent once each.
//!
//! It knows the same ways of saying who we are as the triggers over HTTP ([`super::authentication`]), and shares their servers. What a
//! failure means for an operation is said right here, as its [`Class`].

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url};
use tidegate_calculator::operation::{Class, Failure};
use tidegate_calculator::source::{ConfigError, Deadline, Secret, TriggerSpec};

use super::address::{Address, shown};
use super::orders::{self, Order};
use super::{ServerHandle, authentication, with_authentication};
use crate::endpoint::Endpoints;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Known, Parameter, Values};

/// Where to.
const ADDRESS: Parameter = Parameter::new(&["url"], &[Metadata], Kind::Text, "Where the call goes.").required();

/// What [`Caller::open`] understands: the address and every way of saying who we are.
const CONNECTION: &[Parameter] = &with_authentication::<20>(&[ADDRESS]);

/// One address over HTTP.
pub struct Caller {
    server: ServerHandle,
    url: Url,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// Headers in their order.
    pub headers: &'a [(String, String)],
    /// The body, sent as it is; none if it is empty.
    pub body: &'a str,
}

impl Caller {
    /// A caller of `url`; `auth` is what an authentication provides, `authModes` among it.
    ///
    /// # Errors
    ///
    /// All that is wrong with the address and the authentication.
    pub fn open(url: &str, auth: &BTreeMap<String, Secret>, endpoints: &Endpoints) -> Result<Self, ConfigError> {
        let metadata = BTreeMap::from([("url".to_owned(), url.to_owned())]);
        let spec = TriggerSpec { kind: "http".to_owned(), metadata, ..TriggerSpec::default() };
        let values = Values::resolve(&spec, CONNECTION, Known::Values(&BTreeMap::new()), Known::Values(auth));
        let mut problems = values.errors.clone();
        let address = Address::of(&values, &ADDRESS).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        problems.extend(authentication::check(&values, address.as_ref().map(|address| &address.url)).0);
        let access = address.as_ref().and_then(|address| authentication::access(&values, address));
        match (address, access) {
            (Some(address), Some(access)) if problems.is_empty() => {
                let server = ServerHandle::open(endpoints, &address.url, &access);
                Ok(Self { server, url: address.url })
            }
            _ if problems.is_empty() => Err(ConfigError::one("url", None, "is not complete")),
            _ => Err(ConfigError { problems }),
        }
    }

    /// What messages call it: the address without query and login.
    pub fn name(&self) -> String {
        shown(&self.url)
    }

    /// Sends one call, once, and gives the status of the answer, whatever it is. The answer's body is not read.
    ///
    /// # Errors
    ///
    /// Class `Lost` if the call may have arrived, `Unavailable` if it did not, `Config` if it cannot be sent as it is.
    pub async fn send(&self, call: Call<'_>, patience: Deadline) -> Result<u16, Failure> {
        let order = self.order(call)?;
        let reply = self.server.order(order, patience).await;
        let reply = reply.map_err(|missed| self.failure(missed.class(), &missed.error.message))?;
        Ok(reply.status.as_u16())
    }

    /// What a status means that was not expected.
    pub fn unexpected(&self, status: u16) -> Failure {
        let Ok(status) = StatusCode::from_u16(status) else {
            return self.failure(Class::Transient, "answered with no status of HTTP");
        };
        let error = super::failures::status(status, None, true);
        // A success that is not the expected one is the same the next time.
        let class = if status.is_success() { Class::Config } else { orders::refused(status, &error) };
        self.failure(class, &error.message)
    }

    /// Fetches what lies at the address, of `longest` bytes at most.
    ///
    /// # Errors
    ///
    /// As for [`Self::send`], but nothing is ever `Lost`.
    pub async fn fetch(&self, longest: usize, patience: Deadline) -> Result<Bytes, Failure> {
        let call = Call { method: "GET", headers: &[], body: "" };
        let order = Order { longest, ..self.order(call)? };
        let reply = self.server.order(order, patience).await;
        let reply = reply.map_err(|missed| self.failure(orders::class(&missed.error), &missed.error.message))?;
        if reply.status == StatusCode::OK {
            return Ok(Bytes::from(reply.body));
        }
        let error = reply.failure();
        Err(self.failure(orders::class(&error), &error.message))
    }

    fn order(&self, call: Call<'_>) -> Result<Order, Failure> {
        let method = Method::from_bytes(call.method.as_bytes());
        let method = method.map_err(|_| self.failure(Class::Config, "the method is none of HTTP"))?;
        let is_kind = |name: &str| name.eq_ignore_ascii_case("content-type");
        let mut headers = Vec::new();
        for (name, value) in call.headers.iter().filter(|(name, _)| !is_kind(name)) {
            if !authentication::is_header_name(name) || !authentication::is_header_value(value) {
                return Err(self.failure(Class::Config, &format!("the header {name:?} cannot be sent")));
            }
            headers.push((name.clone(), Secret::new(value.as_str())));
        }
        let written = call.headers.iter().find(|(name, _)| is_kind(name)).map(|(_, value)| value.clone());
        let body = (!call.body.is_empty()).then(|| {
            let kind = written.unwrap_or_else(|| kind(call.body).to_owned());
            (kind, Bytes::copy_from_slice(call.body.as_bytes()))
        });
        Ok(Order { method, url: self.url.clone(), headers, accept: "*/*", body, longest: 0 })
    }

    fn failure(&self, class: Class, what: &str) -> Failure {
        Failure::new(class, &format!("{}: {what}", self.name()))
    }
}

/// The media type of a body without any that was written.
fn kind(body: &str) -> &'static str {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
    if is_json { "application/json" } else { "text/plain; charset=utf-8" }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.name()).finish()
    }
}
