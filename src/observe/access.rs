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

use super::command::Server;
use super::rbac::{RBAC, SCENARIO_ACCOUNT as ACCOUNT};
use super::workload::RUN_LABEL;

/// For how long a token is valid, at least and at most, in seconds. The API server requires 10 minutes.
const VALIDITY: (u64, u64) = (600, 86_400);
/// How often, every 20 ms, the API server is asked whether it knows the new roles.
const ATTEMPTS: usize = 500;

/// The namespace of a scenario, with the rules that the scenario needs.
pub(super) struct Access<'a> {
    pub(super) namespace: &'a str,
    pub(super) uid: &'a str,
    pub(super) run: &'a str,
    pub(super) in_namespace: Vec<Value>,
    /// For objects outside namespaces.
    pub(super) in_cluster: Vec<Value>,
}

impl Access<'_> {
    /// Creates the account with its roles and waits until the API server applies them. Returns a client of the account
    /// and its token, which is valid for as long as the steps may take (`needed`).
    pub(super) async fn grant(
        &self,
        client: &Client,
        server: &Server,
        needed: Duration,
    ) -> Result<(Client, String), kube::Error> {
        let (namespace, run) = (self.namespace, self.run);
        let metadata = json!({"name": ACCOUNT, "labels": {RUN_LABEL: run}});
        let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]);
        let binding = |metadata: &Value, kind: &str| {
            let role = json!({"apiGroup": RBAC, "kind": kind, "name": metadata["name"]});
            json!({"metadata": metadata, "subjects": subjects, "roleRef": role})
        };
        let account = json!({"metadata": metadata, "automountServiceAccountToken": false});
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        tokio::try_join!(
            create(&accounts, account),
            // A binding may refer to any role only if this role exists.
            async {
                let role = json!({"metadata": metadata, "rules": self.in_namespace});
                create::<Role>(&Api::namespaced(client.clone(), namespace), role).await?;
                let binding = binding(&metadata, "Role");
                create::<RoleBinding>(&Api::namespaced(client.clone(), namespace), binding).await
            },
        )?;
        if !self.in_cluster.is_empty() {
            // The namespace owns these, so that they are removed with it.
            let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": self.uid}]);
            let metadata =
                json!({"name": namespace, "labels": {RUN_LABEL: run}, "ownerReferences": owner});
            let role = json!({"metadata": metadata, "rules": self.in_cluster});
            create::<ClusterRole>(&Api::all(client.clone()), role).await?;
            let binding = binding(&metadata, "ClusterRole");
            create::<ClusterRoleBinding>(&Api::all(client.clone()), binding).await?;
        }
        let seconds = needed.as_secs().clamp(VALIDITY.0, VALIDITY.1);
        let request: TokenRequest =
            parsed(json!({"spec": {"audiences": [], "expirationSeconds": seconds}}))?;
        let answer = accounts
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await?;
        let token = answer.status.and_then(|status| status.token);
        let none = || kube::Error::Service("the API server sent no token".into());
        let token = token.ok_or_else(none)?;
        let client = server.client(&token)?;
        self.applied(&client).await?;
        Ok((client, token))
    }

    /// Waits until the API server applies the roles. `client` is the account's.
    async fn applied(&self, client: &Client) -> Result<(), kube::Error> {
        // One rule shows whether a role is known.
        let in_namespace = self.in_namespace.first();
        let in_namespace = in_namespace.map(|rule| (rule, json!(self.namespace)));
        let in_cluster = self.in_cluster.first().map(|rule| (rule, Value::Null));
        for (rule, namespace) in in_namespace.into_iter().chain(in_cluster) {
            let (group, resource) = (&rule["apiGroups"][0], &rule["resources"][0]);
            let asked = json!({"group": group, "resource": resource, "verb": rule["verbs"][0], "namespace": namespace});
            let review: SelfSubjectAccessReview =
                parsed(json!({"spec": {"resourceAttributes": asked}}))?;
            let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
            let ask = || async {
                let answer = reviews.create(&PostParams::default(), &review).await?;
                let allowed = answer.status.is_some_and(|status| status.allowed);
                let unknown =
                    || kube::Error::Service("the API server does not apply its role".into());
                allowed.then_some(()).ok_or_else(unknown)
            };
            let every = ConstantBuilder::new().with_delay(Duration::from_millis(20));
            ask.retry(every.with_max_times(ATTEMPTS)).await?;
        }
        Ok(())
    }
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
