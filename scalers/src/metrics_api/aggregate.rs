//! Joins the values of all pods behind a Service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use reqwest::Url;
use tidegate_calculator::source::{ReadError, ReadErrorKind, TriggerSpec};

use crate::surroundings::ServiceEndpoint;

/// How many pods are asked at the same moment.
pub(super) const AT_ONCE: usize = 5;

/// A Service whose pods are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) aggregation: Aggregation,
}

/// How the values are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregation {
    /// Their sum, divided by how many there are.
    Average,
    /// Their sum.
    Sum,
    /// The greatest.
    Max,
    /// The least.
    Min,
}

impl Aggregation {
    /// The aggregation of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "average" => Self::Average,
            "sum" => Self::Sum,
            "max" => Self::Max,
            "min" => Self::Min,
            _ => return None,
        })
    }

    /// Joins what the pods gave, of which some may have failed. Errors complete "SERVER: ...".
    ///
    /// As in KEDA, pods without a value are left out. A sum without them would count them as zero, so it needs all.
    pub(super) fn join(self, values: Vec<Result<f64, ReadError>>) -> Result<f64, ReadError> {
        let (mut good, mut failure) = (Vec::with_capacity(values.len()), None);
        for value in values {
            match value {
                Ok(value) => good.push(value),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if good.is_empty() => return Err(about("no pod behind the Service gave a value", &error)),
            Some(error) if self == Self::Sum => {
                return Err(about("a pod behind the Service gave no value, and a sum needs all", &error));
            }
            _ => {}
        }
        if good.is_empty() {
            return Err(ReadError::query(ReadErrorKind::Unavailable, "no pod behind the Service is ready"));
        }
        let sum: f64 = good.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "there are not so many pods")]
        let count = good.len() as f64;
        Ok(match self {
            Self::Average => sum / count,
            Self::Sum => sum,
            Self::Max => good.into_iter().fold(f64::NEG_INFINITY, f64::max),
            Self::Min => good.into_iter().fold(f64::INFINITY, f64::min),
        })
    }
}

fn about(what: &str, error: &ReadError) -> ReadError {
    ReadError::query(error.kind, format!("{what}: {}", error.message))
}

impl Service {
    /// The Service that a URL names: the first part of its host, in the namespace of the second, or else the trigger's own.
    pub(super) fn of(spec: &TriggerSpec, url: &Url) -> Option<Self> {
        let host = url.domain()?;
        let mut parts = host.split('.').map(str::to_owned);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let own =
            || spec.owner.split_once('/').map_or_else(|| spec.target.namespace.to_string(), |(own, _)| own.to_owned());
        let namespace = parts.next().filter(|part| !part.is_empty()).unwrap_or_else(own);
        Some(Self { namespace, name, aggregation: Aggregation::Average })
    }

    /// What the Service is called in messages.
    pub(super) fn shown(&self) -> String {
        format!("Service {}/{}", self.namespace, self.name)
    }
}

/// The same URL at every address, each once.
///
/// The port of the URL is the pods' own, and is kept if the address has it. KEDA goes on with the scheme's usual port if
/// not; where the address has but one port, that one is meant.
pub(super) fn urls(url: &Url, endpoints: &[ServiceEndpoint]) -> Vec<Url> {
    let mut seen = BTreeSet::new();
    let fresh = endpoints.iter().filter(|endpoint| seen.insert(endpoint.address.as_str()));
    fresh.filter_map(|endpoint| at(url, endpoint)).collect()
}

fn at(url: &Url, endpoint: &ServiceEndpoint) -> Option<Url> {
    let mut url = url.clone();
    let port = url.port_or_known_default()?;
    match endpoint.address.parse::<IpAddr>() {
        Ok(address) => url.set_ip_host(address).ok()?,
        Err(_) => url.set_host(Some(&endpoint.address)).ok()?,
    }
    let chosen = match endpoint.ports.as_slice() {
        ports if ports.contains(&port) => Some(port),
        [only] => Some(*only),
        _ => None,
    };
    url.set_port(chosen).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Result<f64, ReadError> {
        Err(ReadError::endpoint(ReadErrorKind::Timeout, "did not answer in time"))
    }

    #[test]
    fn values_are_joined_and_failures_left_out_but_for_a_sum() {
        let all = || vec![Ok(1.0), Ok(2.0), Ok(6.0)];
        let with_failure = || vec![Ok(1.0), failed(), Ok(6.0)];
        let cases = [
            (Aggregation::Average, 3.0, Some(3.5)),
            (Aggregation::Sum, 9.0, None),
            (Aggregation::Max, 6.0, Some(6.0)),
            (Aggregation::Min, 1.0, Some(1.0)),
        ];
        for (how, whole, partial) in cases {
            assert_eq!(how.join(all()), Ok(whole), "{how:?}");
            assert_eq!(how.join(with_failure()).ok(), partial, "{how:?}");
            assert_eq!(how.join(vec![failed(), failed()]).unwrap_err().kind, ReadErrorKind::Timeout);
            assert_eq!(how.join(Vec::new()).unwrap_err().kind, ReadErrorKind::Unavailable);
        }
    }

    #[test]
    fn the_host_names_service_and_namespace() {
        let spec = TriggerSpec { owner: "shop/orders".into(), ..TriggerSpec::default() };
        let of = |url: &str| Service::of(&spec, &Url::parse(url).unwrap()).map(|service| service.shown());
        assert_eq!(of("http://api.web.svc.cluster.local:8080/x"), Some("Service web/api".to_owned()));
        assert_eq!(of("http://api/x"), Some("Service shop/api".to_owned()));
        assert_eq!(of("http://10.0.0.1/x"), None);
    }

    #[test]
    fn each_address_is_asked_once_and_ports_follow_the_slice() {
        let endpoint =
            |address: &str, ports: &[u16]| ServiceEndpoint { address: address.to_owned(), ports: ports.to_vec() };
        let endpoints = [
            endpoint("10.0.0.1", &[9000, 8080]),
            endpoint("10.0.0.1", &[8080]),
            endpoint("10.0.0.2", &[9000]),
            endpoint("10.0.0.3", &[9000, 9001]),
            endpoint("fd00::1", &[8080]),
        ];
        let url = Url::parse("http://api.web:8080/x?y=1").unwrap();
        let texts: Vec<String> = urls(&url, &endpoints).iter().map(ToString::to_string).collect();
        let expected = [
            "http://10.0.0.1:8080/x?y=1",
            "http://10.0.0.2:9000/x?y=1",
            "http://10.0.0.3/x?y=1",
            "http://[fd00::1]:8080/x?y=1",
        ];
        assert_eq!(texts, expected);
    }
}
