//! What a scenario may do in the cluster: a service account with a role in the scenario's namespace that permits what its
//! steps and manifests need. All its requests use a token that expires with the scenario.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::rbac::{Rules, SCENARIO_ACCOUNT as ACCOUNT};
use super::workload::RUN_LABEL;

/// For how long a token is valid, at least and at most, in seconds. The API server requires 10 minutes.
const VALIDITY: (u64, u64) = (600, 86_400);
/// How often, every 20 ms, the API server is asked whether it knows the new roles.
const ATTEMPTS: usize = 500;

/// A namespace of a scenario.
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) uid: &'a str,
    pub(super) run: &'a str,
}

/// Creates the account and its roles, and returns a token of it, which is valid for the time that the steps may take.
pub(super) async fn grant(
    client: &Client,
    place: &Place<'_>,
    rules: &Rules,
    cluster_objects: bool,
    needed: Duration,
) -> Result<String, kube::Error> {
    let Place {
        namespace,
        uid,
        run,
    } = *place;
    let metadata = json!({"name": ACCOUNT, "labels": {RUN_LABEL: run}});
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]);
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let account = json!({"metadata": metadata, "automountServiceAccountToken": false});
    let own = json!({"metadata": metadata, "rules": rules.in_namespace()});
    let binding =
        json!({"metadata": metadata, "subjects": subjects, "roleRef": role("Role", ACCOUNT)});
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    tokio::try_join!(
        create(&accounts, account),
        // A binding may refer to any role only if this role exists.
        async {
            create::<Role>(&Api::namespaced(client.clone(), namespace), own).await?;
            create::<RoleBinding>(&Api::namespaced(client.clone(), namespace), binding).await
        },
    )?;
    let whole = rules.in_cluster();
    if cluster_objects && !whole.is_empty() {
        // The namespace owns these, so that they are removed with it.
        let owner =
            json!([{"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": uid}]);
        let metadata =
            json!({"name": namespace, "labels": {RUN_LABEL: run}, "ownerReferences": owner});
        let binding = json!({"metadata": metadata, "subjects": subjects, "roleRef": role("ClusterRole", namespace)});
        let whole = json!({"metadata": metadata, "rules": whole});
        create::<ClusterRole>(&Api::all(client.clone()), whole).await?;
        create::<ClusterRoleBinding>(&Api::all(client.clone()), binding).await?;
    }
    let seconds = needed.as_secs().clamp(VALIDITY.0, VALIDITY.1);
    let request: TokenRequest =
        parsed(json!({"spec": {"audiences": [], "expirationSeconds": seconds}}))?;
    let answer = accounts
        .create_token_request(ACCOUNT, &PostParams::default(), &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    token.ok_or_else(|| kube::Error::Service("the API server sent no token".into()))
}

/// Waits until the API server applies the roles. `client` is the account's.
pub(super) async fn applied(
    client: &Client,
    namespace: &str,
    rules: &Rules,
    cluster_objects: bool,
) -> Result<(), kube::Error> {
    let in_cluster = rules.in_cluster().into_iter();
    let in_cluster = in_cluster
        .filter(|_| cluster_objects)
        .map(|rule| (rule, Value::Null));
    let in_namespace = rules.in_namespace().into_iter();
    let in_namespace = in_namespace.map(|rule| (rule, json!(namespace)));
    // One rule shows whether a role is known.
    for (rule, namespace) in in_namespace.take(1).chain(in_cluster.take(1)) {
        let (group, resource) = (&rule["apiGroups"][0], &rule["resources"][0]);
        let asked = json!({"group": group, "resource": resource, "verb": rule["verbs"][0], "namespace": namespace});
        let review: SelfSubjectAccessReview =
            parsed(json!({"spec": {"resourceAttributes": asked}}))?;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let ask = || async {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            let unknown = || kube::Error::Service("the API server does not apply its role".into());
            allowed.then_some(()).ok_or_else(unknown)
        };
        let every = ConstantBuilder::new().with_delay(Duration::from_millis(20));
        ask.retry(every.with_max_times(ATTEMPTS)).await?;
    }
    Ok(())
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<(), kube::Error>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = parsed(object)?;
    api.create(&PostParams::default(), &object).await.map(drop)
}

fn parsed<K: DeserializeOwned>(object: Value) -> Result<K, kube::Error> {
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}
