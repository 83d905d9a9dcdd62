//! The permissions that runs need in a cluster, derived from the scenarios: what the runner does in every run,
//! and what steps and manifests do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use itertools::{Either, Itertools as _};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::catalogue::manifest::documents;
use crate::catalogue::model::{Place, Scenario};
use crate::catalogue::placeholder::mentions;
use crate::catalogue::step::Action;

use super::api::{gvk_of, kinds};

/// API group, resource and verbs.
type Table = [(&'static str, &'static str, &'static [&'static str])];

/// What the runner itself does: namespaces with a lease and a witness, watches, and cleanup.
const RUN: &Table = &[
    ("", "events", &["list", "watch"]),
    ("", "namespaces", &["create", "delete", "list", "watch"]),
    ("", "nodes", &["list"]),
    ("", "pods", &["create", "deletecollection"]),
    ("", "pods", READ),
    ("", "pods/proxy", &["create", "get"]),
    ("", "serviceaccounts", &["create", "patch"]),
    ("", TOKENS, &["create"]),
    ("coordination.k8s.io", "leases", &["create", "get", "patch"]),
    (RBAC, "rolebindings", &["create"]),
    (RBAC, "roles", &["create"]),
];
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";
/// The service account of a scenario in its namespace, and the name of its role. A run requests tokens of this account
/// only. Its role has rules that the runner has too, so that RBAC lets the runner create it.
pub(super) const SCENARIO_ACCOUNT: &str = "hookproof-scenario";
const TOKENS: &str = "serviceaccounts/token";
/// What every scenario may do in its namespace: kubectl looks up names, and describes pods with their events.
const SCENARIO: &Table = &[("", "events", &["list"]), ("", "pods", READ)];
/// The resources outside namespaces that scenarios may use with the capability `cluster-objects`.
const IN_CLUSTER: [(&str, &str); 3] = [
    ("", "namespaces"),
    ("", "nodes"),
    ("scheduling.k8s.io", "priorityclasses"),
];
/// What listings of documents may contain: documents are read when the scenario runs.
const LISTED: &Table = &[("", "pods", APPLY), ("apps", "deployments", APPLY)];
/// What `kubectl apply` needs.
const APPLY: &[&str] = &["create", "get", "patch"];
const CHANGE: &[&str] = &["get", "patch"];
/// What creating an object, or connecting to a pod, needs.
const CREATE: &[&str] = &["create", "get"];
/// Verbs that read. Scenarios only read events, which are evidence, namespaces and nodes.
const READ: &[&str] = &["get", "list", "watch"];

/// Resources that only kubectl commands name, with their API groups.
const MORE: [(&str, &str); 3] = [
    ("", "events"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
];

/// API group and resource, such as `pods/exec`.
type Resource = (String, String);

/// Verbs by resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(BTreeMap<Resource, BTreeSet<&'static str>>);

impl Rules {
    /// What every run needs.
    pub(crate) fn of_a_run() -> Self {
        let mut rules = Self::default();
        rules.add_table(RUN);
        rules
    }

    /// What a scenario may do. Fails with the step or manifest whose needs are not known.
    pub(crate) fn of_scenario(scenario: &Scenario) -> Result<Self, Place> {
        let mut rules = Self::default();
        rules.add_table(SCENARIO);
        rules.add_scenario(scenario)?;
        rules.0.retain(|(_, resource), verbs| {
            match resource.as_str() {
                "events" | "namespaces" | "nodes" => verbs.retain(|verb| READ.contains(verb)),
                TOKENS => verbs.clear(),
                _ => {}
            }
            !verbs.is_empty()
        });
        Ok(rules)
    }

    /// Adds what the runner does for a scenario with the capability `cluster-objects`.
    pub(crate) fn add_cluster_roles(&mut self) {
        self.add_table(&[
            (RBAC, "clusterrolebindings", &["create"]),
            (RBAC, "clusterroles", &["create"]),
        ]);
    }

    /// The rules, as roles have them: for objects in namespaces, and for those outside that a scenario may use.
    pub(super) fn by_scope(&self) -> (Vec<Value>, Vec<Value>) {
        self.0.iter().partition_map(|((group, resource), verbs)| {
            let rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
            if IN_CLUSTER.contains(&(group, resource)) {
                Either::Right(rule)
            } else {
                Either::Left(rule)
            }
        })
    }

    /// Adds what a scenario needs. Fails with the step or manifest whose needs are not known.
    pub(crate) fn add_scenario(&mut self, scenario: &Scenario) -> Result<(), Place> {
        let mut objects = Vec::new();
        for manifest in &scenario.manifests {
            objects.extend(of_manifest(&manifest.text).ok_or_else(|| Place {
                file: manifest.path.clone(),
                line: 1,
                column: 1,
            })?);
            self.add_services(&manifest.text);
        }
        for step in &scenario.steps {
            let added = self.add_action(&step.action, &objects);
            added.ok_or_else(|| step.place.clone())?;
        }
        Ok(())
    }

    /// Adds what a text with placeholders needs beyond pods.
    fn add_services(&mut self, text: &str) {
        if mentions(text, "cluster_ip") {
            self.add("", "services", &["get"]);
        }
    }

    /// These rules without those of `other`.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.0.retain(|resource, verbs| {
            if let Some(known) = other.0.get(resource) {
                verbs.retain(|verb| !known.contains(verb));
            }
            !verbs.is_empty()
        });
        self
    }

    fn add(&mut self, group: &str, resource: &str, verbs: &[&'static str]) {
        let key = (group.to_owned(), resource.to_owned());
        self.0.entry(key).or_default().extend(verbs);
    }

    fn add_table(&mut self, table: &Table) {
        for (group, resource, verbs) in table {
            self.add(group, resource, verbs);
        }
    }

    /// Adds verbs on a kind as steps and kubectl name it: `pod`, `pods`, `deployment/web`. Returns its resource.
    fn add_named(&mut self, words: &str, verbs: &[&'static str]) -> Option<Resource> {
        let word = words.split('/').next()?.to_ascii_lowercase();
        let known = kinds().map(|(singular, gvk)| (singular, ApiResource::from_gvk(&gvk)));
        let mut known = known.filter(|(singular, kind)| *singular == word || kind.plural == word);
        let mut more = MORE.iter().filter(|(_, plural)| *plural == word);
        let (group, plural) = match (known.next(), more.next()) {
            (Some((_, kind)), _) => (kind.group, kind.plural),
            (None, Some((group, plural))) => ((*group).to_owned(), (*plural).to_owned()),
            (None, None) => return None,
        };
        self.add(&group, &plural, verbs);
        Some((group, plural))
    }

    /// Adds what an action needs; `objects` are those of the scenario's manifests. `None` if that is not known.
    fn add_action(&mut self, action: &Action, objects: &[Resource]) -> Option<()> {
        match action {
            Action::Apply { .. } => {
                for (group, resource) in objects {
                    self.add(group, resource, &["create"]);
                }
            }
            Action::Delete { object, .. } => return self.add_named(object, &["delete"]).map(drop),
            Action::Get { object } => return self.add_named(object, &["get"]).map(drop),
            Action::Kubectl { args, .. } => {
                self.add_kubectl(args, objects)?;
                for arg in args {
                    self.add_services(arg);
                }
            }
            Action::Until { .. }
            | Action::Outside { .. }
            | Action::Node { .. }
            | Action::Release { .. }
            | Action::Stop { .. }
            | Action::Ended { .. }
            | Action::Http { .. }
            | Action::Pause { .. } => {}
        }
        Some(())
    }

    /// Adds what a kubectl command needs.
    fn add_kubectl(&mut self, args: &[String], objects: &[Resource]) -> Option<()> {
        let has = |flag: &str| args.iter().any(|arg| arg.starts_with(flag));
        let raw = args.iter().any(|arg| arg == "--raw");
        let words = args.iter().map(String::as_str);
        let mut words = words.filter(|arg| !arg.starts_with('-'));
        let verbs: &[_] = match words.next()? {
            "get" if raw => return self.add_raw(words.next()?, "get"),
            "create" if raw => return self.add_raw(words.next()?, "create"),
            "create" if !has("-f") && !has("--filename") => CREATE,
            "apply" | "create" => {
                for (group, resource) in objects {
                    self.add(group, resource, APPLY);
                }
                if args.iter().any(|arg| mentions(arg, "listing")) {
                    self.add_table(LISTED);
                }
                return Some(());
            }
            "get" | "wait" => READ,
            "describe" => &["get", "list"],
            "delete" => &["delete", "get", "list", "watch"],
            "patch" | "label" | "annotate" => CHANGE,
            // `set env deployment/web`
            "set" => words.next().map(|_| CHANGE)?,
            "rollout" => match words.next()? {
                "status" => READ,
                _ => CHANGE,
            },
            "scale" => {
                let (group, resource) = self.add_named(words.next()?, &["get"])?;
                if MORE.contains(&(&group, &resource)) {
                    return None;
                }
                let scale = format!("{resource}/scale");
                self.add(&group, &scale, &["get", "patch", "update"]);
                return Some(());
            }
            "exec" => return self.add_of_pod(words.next()?, "exec", CREATE),
            "attach" => return self.add_of_pod(words.next()?, "attach", CREATE),
            "port-forward" => return self.add_of_pod(words.next()?, "portforward", CREATE),
            "logs" => return self.add_of_pod(words.next()?, "log", &["get"]),
            "explain" | "version" | "api-resources" => return Some(()),
            _ => return None,
        };
        self.add_named(words.next()?, verbs).map(drop)
    }

    /// Adds verbs on a part of pods, which kubectl finds by the pod's name or by an object that selects it.
    fn add_of_pod(&mut self, named: &str, part: &str, verbs: &[&'static str]) -> Option<()> {
        if named.contains('/') {
            self.add_named(named, &["get"])?;
            self.add("", "pods", &["list"]);
        }
        self.add("", "pods", &["get"]);
        self.add("", &format!("pods/{part}"), verbs);
        Some(())
    }

    /// Adds a verb on a path of the API server.
    fn add_raw(&mut self, path: &str, verb: &'static str) -> Option<()> {
        let (group, resource, _) = resource_of(path)?;
        self.add(&group, &resource, &[verb]);
        Some(())
    }

    /// The rules in YAML, one resource per line.
    fn to_yaml(&self) -> String {
        let rules = self.0.iter().map(|((group, resource), verbs)| {
            let group = if group.is_empty() { "\"\"" } else { group };
            let names = match resource.as_str() {
                TOKENS => format!("resourceNames: [{SCENARIO_ACCOUNT}], "),
                _ => String::new(),
            };
            let verbs = verbs.iter().join(", ");
            format!(
                "  - {{apiGroups: [{group}], resources: [{resource}], {names}verbs: [{verbs}]}}\n"
            )
        });
        rules.collect()
    }
}

/// The resource of each object of a manifest.
fn of_manifest(text: &str) -> Option<Vec<Resource>> {
    let objects = documents(text).ok()?;
    let resources = objects.iter().map(|object| {
        let kind = ApiResource::from_gvk(&gvk_of(object).ok()?);
        Some((kind.group, kind.plural))
    });
    resources.collect()
}

/// API group, resource and, if present, the name of the object of a path such as
/// `/api/v1/namespaces/x/pods/web:80/proxy/y`.
pub(super) fn resource_of(path: &str) -> Option<(String, String, String)> {
    let path = path.split('?').next()?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (resource, name) = match rest {
        ["namespaces", _, resource] | [resource] => ((*resource).to_owned(), ""),
        ["namespaces", _, resource, name] | [resource, name] => ((*resource).to_owned(), *name),
        ["namespaces", _, resource, name, part, ..] | [resource, name, part, ..] => {
            (format!("{resource}/{part}"), *name)
        }
        [] => return None,
    };
    Some((group.to_owned(), resource, name.to_owned()))
}

/// A service account with roles, as `kubectl apply` accepts them.
pub(crate) struct Account<'a> {
    pub(crate) namespace: &'a str,
    /// Name of the account, and the beginning of the names of its roles.
    pub(crate) name: &'a str,
    /// What all runs need.
    pub(crate) rules: Rules,
    /// What capabilities need in addition, by their names.
    pub(crate) more: Vec<(&'a str, Rules)>,
}

impl Account<'_> {
    /// The manifests. The roles are cluster-wide, because every run creates its own namespaces.
    pub(crate) fn to_yaml(&self) -> String {
        let (namespace, name) = (self.namespace, self.name);
        let mut text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n\
             apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        );
        // Roles of accounts in different namespaces have different names.
        let role = format!("{namespace}:{name}");
        let mut roles = vec![(
            role.clone(),
            "What every run and its scenarios need",
            // The metrics of the API server show feature gates.
            self.rules.to_yaml() + "  - {nonResourceURLs: [/metrics], verbs: [get]}\n",
        )];
        for (capability, rules) in &self.more {
            if *rules != Rules::default() {
                roles.push((
                    format!("{role}:{capability}"),
                    "What scenarios with this capability need in addition",
                    rules.to_yaml(),
                ));
            }
        }
        for (role, what, rules) in roles {
            let _ = write!(
                text,
                "---\n# {what}.\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
                 metadata: {{name: \"{role}\"}}\nrules:\n{rules}---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: \"{role}\"}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: \"{role}\"}}\n\
                 subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::observe::fake::{self, Fake, pod};
    use crate::observe::scenario::observe;
    use crate::observe::session::clean;

    /// Group, resource and verb.
    type Rule = (String, String, &'static str);

    /// What a request needs, such as `GET /api/v1/pods?watch=true`; `None` for discovery, which every
    /// authenticated user may use.
    fn needed(request: &str) -> Option<Rule> {
        let (method, uri) = request.split_once(' ').unwrap();
        let (group, resource, name) = resource_of(uri)?;
        let verb = match (method, name.is_empty()) {
            ("GET", true) if uri.contains("watch=true") => "watch",
            ("GET", true) => "list",
            ("GET", false) => "get",
            // Every authenticated user may ask for its own permissions.
            ("POST", true) if uri.contains("selfsubjectaccessreviews") => return None,
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            other => panic!("{other:?}"),
        };
        Some((group, resource, verb))
    }

    fn scenario(steps: &str) -> Scenario {
        let other = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
        fake::scenario(&(pod("hold=x") + other), "", steps)
    }

    fn rules(steps: &str) -> Result<Rules, Place> {
        let mut rules = Rules::default();
        rules.add_scenario(&scenario(steps))?;
        Ok(rules)
    }

    #[rstest]
    #[case::apply("apply", "configmaps: create; pods: create")]
    #[case::delete("delete: pod/web", "pods: delete")]
    #[case::get("get: service/x", "services: get")]
    #[case::exec(
        "kubectl: exec web -c main -- delete pod x",
        "pods: get; pods/exec: create get"
    )]
    #[case::exec_by_deployment(
        "kubectl: exec deployment/web -- ls",
        "apps deployments: get; pods: get list; pods/exec: create get"
    )]
    #[case::logs("kubectl: logs -f web", "pods: get; pods/log: get")]
    #[case::forward(
        "kubectl: port-forward service/x 80",
        "pods: get list; pods/portforward: create get; services: get"
    )]
    #[case::describe("kubectl: describe pod web", "pods: get list")]
    #[case::slices(
        "kubectl: get endpointslices -l a=b",
        "discovery.k8s.io endpointslices: get list watch"
    )]
    #[case::file(
        "kubectl: apply -f {manifest}",
        "configmaps: create get patch; pods: create get patch"
    )]
    #[case::proxy(
        "kubectl: get --raw /api/v1/namespaces/{namespace}/pods/web:80/proxy/x",
        "pods/proxy: get"
    )]
    #[case::eviction(
        "kubectl: create --raw /api/v1/namespaces/{namespace}/pods/web/eviction -f -",
        "pods/eviction: create"
    )]
    #[case::scale(
        "kubectl: scale deployment/web --replicas=0",
        "apps deployments: get; apps deployments/scale: get patch update"
    )]
    #[case::rollout(
        "kubectl: rollout status deployment/web",
        "apps deployments: get list watch"
    )]
    #[case::set("kubectl: set env deployment/web A=b", "apps deployments: get patch")]
    #[case::create(
        "kubectl: create configmap y --from-literal=a=b",
        "configmaps: create get"
    )]
    #[case::explain("kubectl: explain pod.spec", "")]
    fn rules_follow_from_steps(#[case] step: &str, #[case] expected: &str) {
        let rules = rules(&format!("  - {step}\n")).unwrap();
        let shown = rules.0.iter().map(|((group, resource), verbs)| {
            let verbs: Vec<_> = verbs.iter().copied().collect();
            format!("{group} {resource}: {}", verbs.join(" "))
                .trim_start()
                .to_owned()
        });
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by_key(|line| line.split(':').next().map(str::to_owned));
        assert_eq!(shown.join("; "), expected);
    }

    #[test]
    fn plurals_follow_the_api_conventions() {
        let manifest = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n";
        let resource = ("networking.k8s.io", "networkpolicies");
        let resource = (resource.0.to_owned(), resource.1.to_owned());
        assert_eq!(of_manifest(manifest), Some(vec![resource]));
    }

    #[rstest]
    #[case("kubectl: get gadgets")]
    #[case("kubectl: get secrets")]
    #[case("kubectl: delete ns other")]
    #[case("kubectl: scale events/x --replicas=0")]
    #[case("kubectl: create token default")]
    #[case("kubectl: create clusterrolebinding x --clusterrole=cluster-admin --group=x")]
    fn a_step_whose_needs_are_unknown_is_named(#[case] step: &str) {
        let place = rules(&format!("  - {step}\n")).unwrap_err().to_string();
        assert!(place.contains("suites/test/one.yaml:5:"), "{place}");
    }

    /// What a step may ask for, its role does not permit.
    #[rstest]
    #[case("kubectl: create --raw /api/v1/namespaces/{namespace}/events -f -")]
    #[case(
        "kubectl: create --raw /api/v1/namespaces/{namespace}/serviceaccounts/default/token -f -"
    )]
    #[case("delete: node/node-1")]
    fn roles_neither_write_evidence_nor_make_tokens(#[case] step: &str) {
        let scenario = scenario(&format!("  - {step}\n"));
        let rules = Rules::of_scenario(&scenario).unwrap();
        let base = [
            ("", "events", "[\"list\"]"),
            ("", "pods", "[\"get\",\"list\",\"watch\"]"),
        ];
        let base = base.map(|(group, resource, verbs)| {
            format!(
                "{{\"apiGroups\":[\"{group}\"],\"resources\":[\"{resource}\"],\"verbs\":{verbs}}}"
            )
        });
        let (in_namespace, in_cluster) = rules.by_scope();
        let shown = in_namespace.iter().map(Value::to_string).collect_vec();
        assert_eq!(shown, base);
        assert!(in_cluster.is_empty(), "{in_cluster:?}");
    }

    #[test]
    fn rules_outside_namespaces_are_apart() {
        let scenario = scenario("  - delete: priorityclass/x\n  - {get: node/node-1, as: node}\n");
        let (in_namespace, in_cluster) = Rules::of_scenario(&scenario).unwrap().by_scope();
        let resources = |rules: &[Value]| {
            rules
                .iter()
                .map(|rule| rule["resources"][0].clone())
                .collect_vec()
        };
        assert_eq!(resources(&in_cluster), ["nodes", "priorityclasses"]);
        assert_eq!(resources(&in_namespace), ["events", "pods"]);
    }

    #[tokio::test]
    async fn a_run_needs_exactly_its_permissions() {
        let steps = "  - apply\n  - until: web.running\n  - {get: pod/web, as: found}\n  - release: x\n  - delete: pod/web";
        let scenario = scenario(steps);
        let fake = Fake::start().await;
        let session = fake.session().await;
        fake.watched("/api/v1/pods").await;
        fake.watched("/api/v1/events").await;
        let stop = CancellationToken::new();
        let evidence = observe(&session, &scenario, 1, false, &stop, |_| {}).await;
        assert_eq!(evidence.problems, []);
        clean(&fake.client, false).await.unwrap();
        session.finish(false).await.unwrap();
        let mut rules = Rules::of_a_run();
        rules.add_scenario(&scenario).unwrap();
        let permitted = rules.0.into_iter().flat_map(|((group, resource), verbs)| {
            let one = move |verb| (group.clone(), resource.clone(), verb);
            verbs.into_iter().map(one)
        });
        let permitted: BTreeSet<Rule> = permitted.collect();
        let requests = fake.requests("");
        let used: BTreeSet<Rule> = requests
            .iter()
            .filter_map(|request| needed(request))
            .collect();
        // `remove_run` does without it.
        let missing = difference(&used, &permitted);
        assert_eq!(missing, ["deletecollection priorityclasses"]);
        let elsewhere = [
            // `connect`
            "list nodes",
            // Applying an object that does not exist needs `create` as well.
            "create serviceaccounts",
            "create leases",
            // The fake server removes namespaces at once.
            "watch namespaces",
        ];
        let spare = difference(&permitted, &used);
        let unknown = spare
            .iter()
            .filter(|rule| !elsewhere.contains(&rule.as_str()));
        assert_eq!(unknown.count(), 0, "{spare:?}");
    }

    fn difference(one: &BTreeSet<Rule>, other: &BTreeSet<Rule>) -> Vec<String> {
        let rules = one.difference(other);
        rules
            .map(|(_, resource, verb)| format!("{verb} {resource}"))
            .collect()
    }

    #[test]
    fn the_manifests_of_an_account() {
        let mut more = Rules::default();
        more.add("scheduling.k8s.io", "priorityclasses", &["create"]);
        let account = Account {
            namespace: "tests",
            name: "runner",
            rules: Rules::of_a_run(),
            more: vec![("outside", Rules::default()), ("spare-node", more)],
        };
        insta::assert_snapshot!(account.to_yaml());
    }
}
