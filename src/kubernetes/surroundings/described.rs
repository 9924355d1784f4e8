//! Finds the resource of a kind that a metric describes: `Ingress` is `ingresses.networking.k8s.io`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::Client;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::refusal::{Question, Refusal, Served};
use super::shared::{Api, Shared};
use super::wire;

/// How long what was found is believed.
const LIFE: Duration = Duration::from_mins(10);
/// How long looking through all groups may take.
const SEARCH: Duration = Duration::from_secs(10);

/// An `apiVersion`, empty if none is named, and a kind.
type Key = (String, String);

/// The kinds that somebody asked about.
#[derive(Clone)]
pub(super) struct Resources {
    client: Client,
    known: Shared<Key, String>,
}

impl Resources {
    /// Asks this API server.
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Shared::new(&Api::new()) }
    }

    /// The resource of a kind, with its group behind a dot.
    ///
    /// # Errors
    /// If there is no such kind, or this cannot be told now.
    pub(super) async fn of(&self, api_version: &str, kind: &str) -> Result<Arc<String>, ReadError> {
        let key = (api_version.to_owned(), kind.to_owned());
        let question = || find(self.client.clone(), api_version.to_owned(), kind.to_owned());
        self.known.ask(key, LIFE, SEARCH, question).await
    }
}

async fn find(client: Client, api_version: String, kind: String) -> Result<String, Refusal> {
    let found = if api_version.is_empty() {
        search(&client, &kind).await?
    } else if let Some(found) = look(&client, &api_version, &kind).await? {
        Some(found)
    } else {
        // The version may have gone while the kind stayed: the group counts.
        let group = api_version.split_once('/').map(|(group, _)| group);
        match preferred(&client, group).await?.pop().filter(|version| *version != api_version) {
            Some(version) => look(&client, &version, &kind).await?,
            None => None,
        }
    };
    found.ok_or_else(|| {
        let place = if api_version.is_empty() { "any API".to_owned() } else { format!("the API {api_version}") };
        let what = format!("describedObject.kind: {kind:?} is no kind of {place} of this cluster");
        ReadError::query(ReadErrorKind::Config, what).into()
    })
}

/// The first group that has the kind, the core first.
async fn search(client: &Client, kind: &str) -> Result<Option<String>, Refusal> {
    if let Some(found) = look(client, "v1", kind).await? {
        return Ok(Some(found));
    }
    for version in preferred(client, None).await? {
        // A group whose server does not answer must not hide the others.
        if let Ok(Some(found)) = look(client, &version, kind).await {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The preferred versions of all groups, or of one.
async fn preferred(client: &Client, group: Option<&str>) -> Result<Vec<String>, Refusal> {
    let groups: APIGroupList =
        wire::get(client, "/apis").await.map_err(|failure| question("API groups").refusal(&failure))?;
    let wanted = groups.groups.into_iter().filter(|known| group.is_none_or(|group| known.name == group));
    let version = wanted.filter_map(|group| {
        let first = group.versions.into_iter().next();
        group.preferred_version.or(first).map(|version| version.group_version)
    });
    Ok(version.collect())
}

/// The resource of a kind in one version of one group; none if it is not there.
async fn look(client: &Client, api_version: &str, kind: &str) -> Result<Option<String>, Refusal> {
    let (root, group) = match api_version.split_once('/') {
        Some((group, _)) => ("/apis", group),
        None => ("/api", ""),
    };
    let list: APIResourceList = match wire::get(client, &format!("{root}/{api_version}")).await {
        Ok(list) => list,
        Err(failure) if failure.is_not_found() => return Ok(None),
        Err(failure) => return Err(question(api_version).refusal(&failure)),
    };
    let found = list.resources.into_iter().find(|known| known.kind == kind && !known.name.contains('/'));
    Ok(found.map(|found| if group.is_empty() { found.name } else { format!("{}.{group}", found.name) }))
}

fn question(of: &str) -> Question {
    Question::new(Served { group: "", install: "" }, "get", format!("the resources of {of}"), "")
}
