//! What a resolution does while the watch of Secrets tells nothing.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tidegate_engine::subject::AuthenticationRef;

use super::*;
use crate::kubernetes::surroundings::ClusterSurroundings;
use crate::kubernetes::surroundings::counter::Counts;
use crate::kubernetes::watch::kinds::Kinds;

async fn answer(uri: Uri) -> Response {
    if uri.path() == "/api/v1/namespaces/shop/secrets/redis" {
        let metadata = json!({ "name": "redis", "namespace": "shop", "resourceVersion": "7" });
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": { "password": "b2xk" } });
        return Json(secret).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

#[tokio::test]
async fn a_list_that_is_not_answered_leaves_time_to_open_the_trigger() {
    let client = Client::new(Router::new().fallback(answer), "default");
    let directory = Directory::default();
    let spec = json!({ "secretTargetRef": [{ "parameter": "password", "name": "redis", "key": "password" }] });
    let key = (Some("shop".into()), "redis".into());
    directory.set_authentication(&key, Some(Answer::Found(serde_json::from_value(spec).unwrap())));
    // Nobody watches: the place stays as it is, as if its list was never answered.
    let (events, mut inbox) = mpsc::channel(8);
    let counter = ClusterSurroundings::new(&client).counter(Counts::default());
    let targets = Arc::new(ScaleTarget::new(client.clone(), Kinds::new(client.clone()), counter, events.clone()));
    let resolver = ClusterResolver::new(client, directory, events, "own".to_owned(), targets);
    let references = References {
        target: TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
        },
        container: None,
        authentication: Some(AuthenticationRef { cluster: false, name: "redis".into() }),
    };
    let most = Duration::from_secs(3);
    let parameters = tokio::time::timeout(most, resolver.resolve(&references)).await.expect("within a trigger's time");
    assert_eq!(parameters.unwrap().auth["password"].expose(), "old");
    assert!(matches!(inbox.try_recv(), Ok(Event::Wanted(_))));
}
