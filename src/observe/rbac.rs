//! The permissions that runs need in a cluster, derived from the scenarios: what the runner does in every run,
//! and what steps and manifests do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::catalogue::manifest::documents;
use crate::catalogue::model::{Place, Scenario};
use crate::catalogue::placeholder::mentions;
use crate::catalogue::step::Action;

use super::api::KINDS;

/// What the runner itself does: namespaces with a lease and a witness, watches, and cleanup.
const RUN: [(&str, &str, &[&str]); 10] = [
    ("", "events", &["list", "watch"]),
    ("", "namespaces", &["create", "delete", "list", "watch"]),
    ("", "nodes", &["list"]),
    (
        "",
        "pods",
        &["create", "deletecollection", "get", "list", "watch"],
    ),
    ("", "pods/proxy", &["create", "get"]),
    ("", "serviceaccounts", &["create", "patch"]),
    ("", TOKENS, &["create"]),
    ("coordination.k8s.io", "leases", &["create", "get", "patch"]),
    (RBAC, "rolebindings", &["create"]),
    (RBAC, "roles", &["create"]),
];
const RBAC: &str = "rbac.authorization.k8s.io";
/// The service account of a scenario in its namespace, and the name of its role. A run requests tokens of this account
/// only. Its role has rules that the runner has too, so that RBAC lets the runner create it.
pub(super) const SCENARIO_ACCOUNT: &str = "hookproof-scenario";
const TOKENS: &str = "serviceaccounts/token";
/// What every scenario may do in its namespace: kubectl looks up names, and describes pods with their events.
const SCENARIO: [(&str, &str, &[&str]); 2] = [
    ("", "events", &["list"]),
    ("", "pods", &["get", "list", "watch"]),
];
/// The resources outside namespaces that scenarios may use with the capability `cluster-objects`.
const IN_CLUSTER: [(&str, &str); 3] = [
    ("", "namespaces"),
    ("", "nodes"),
    ("scheduling.k8s.io", "priorityclasses"),
];
/// What listings of documents may contain: documents are read when the scenario runs.
const LISTED: [(&str, &str); 2] = [("", "pods"), ("apps", "deployments")];
/// Verbs that read. Scenarios only read events, which are evidence, namespaces and nodes.
const READ: [&str; 3] = ["get", "list", "watch"];
/// Of the API server: its metrics show feature gates.
const METRICS: &str = "/metrics";

/// Resources that only kubectl commands name, with their API groups.
const MORE: [(&str, &str); 3] = [
    ("", "events"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
];

/// Verbs by API group and resource, such as `pods/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(BTreeMap<(String, String), BTreeSet<&'static str>>);

impl Rules {
    /// What every run needs.
    pub(crate) fn of_a_run() -> Self {
        let mut rules = Self::default();
        for (group, resource, verbs) in RUN {
            rules.add(group, resource, verbs);
        }
        rules
    }

    /// What a scenario may do. Fails with the step or manifest whose needs are not known.
    pub(crate) fn of_scenario(scenario: &Scenario) -> Result<Self, Place> {
        let mut rules = Self::default();
        for (group, resource, verbs) in SCENARIO {
            rules.add(group, resource, verbs);
        }
        rules.add_scenario(scenario)?;
        for ((_, resource), verbs) in &mut rules.0 {
            match resource.as_str() {
                "events" | "namespaces" | "nodes" => verbs.retain(|verb| READ.contains(verb)),
                TOKENS => verbs.clear(),
                _ => {}
            }
        }
        rules.0.retain(|_, verbs| !verbs.is_empty());
        Ok(rules)
    }

    /// Adds what the runner does for a scenario with the capability `cluster-objects`.
    pub(crate) fn add_cluster_roles(&mut self) {
        for resource in ["clusterrolebindings", "clusterroles"] {
            self.add(RBAC, resource, &["create"]);
        }
    }

    /// The rules for objects in namespaces, as a role has them.
    pub(super) fn in_namespace(&self) -> Vec<Value> {
        self.where_in_cluster(false)
    }

    /// The rules for objects outside namespaces that a scenario may use.
    pub(super) fn in_cluster(&self) -> Vec<Value> {
        self.where_in_cluster(true)
    }

    fn where_in_cluster(&self, wanted: bool) -> Vec<Value> {
        let is_in_cluster = |group: &str, resource: &str| IN_CLUSTER.contains(&(group, resource));
        let rules = self.0.iter();
        let rules = rules.filter(|((group, resource), _)| is_in_cluster(group, resource) == wanted);
        rules
            .map(|((group, resource), verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}))
            .collect()
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
            if mentions(&manifest.text, "cluster_ip") {
                self.add("", "services", &["get"]);
            }
        }
        for step in &scenario.steps {
            let unknown = || step.place.clone();
            match &step.action {
                Action::Apply { .. } => {
                    for (group, resource) in &objects {
                        self.add(group, resource, &["create"]);
                    }
                }
                Action::Delete { object, .. } => {
                    self.add_named(object, &["delete"]).ok_or_else(unknown)?;
                }
                Action::Get { object } => self.add_named(object, &["get"]).ok_or_else(unknown)?,
                Action::Kubectl { args, .. } => {
                    self.add_kubectl(args, &objects).ok_or_else(unknown)?;
                    if args.iter().any(|arg| mentions(arg, "cluster_ip")) {
                        self.add("", "services", &["get"]);
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
        }
        Ok(())
    }

    /// These rules without those of `other`.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        for (resource, verbs) in &mut self.0 {
            if let Some(known) = other.0.get(resource) {
                verbs.retain(|verb| !known.contains(verb));
            }
        }
        self.0.retain(|_, verbs| !verbs.is_empty());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, group: &str, resource: &str, verbs: &[&'static str]) {
        let key = (group.to_owned(), resource.to_owned());
        self.0.entry(key).or_default().extend(verbs);
    }

    /// Adds verbs on a kind as steps and kubectl name it: `pod`, `pods`, `deployment/web`.
    fn add_named(&mut self, words: &str, verbs: &[&'static str]) -> Option<()> {
        let word = words.split('/').next()?.to_ascii_lowercase();
        let kinds = KINDS.iter();
        let mut kinds =
            kinds.filter(|(singular, .., plural)| [*singular, *plural].contains(&&*word));
        let mut more = MORE.iter().filter(|(_, plural)| *plural == word);
        let ((Some((_, group, .., plural)), _) | (None, Some((group, plural)))) =
            (kinds.next(), more.next())
        else {
            return None;
        };
        self.add(group, plural, verbs);
        Some(())
    }

    /// Adds what a kubectl command needs; `objects` are those of the scenario's manifests.
    fn add_kubectl(&mut self, args: &[String], objects: &[(String, String)]) -> Option<()> {
        let raw = args.iter().any(|arg| arg == "--raw");
        let mut words = args
            .iter()
            .map(String::as_str)
            .filter(|arg| !arg.starts_with('-'));
        match (words.next()?, raw) {
            ("get", true) => return self.add_raw(words.next()?, "get"),
            ("create", true) => return self.add_raw(words.next()?, "create"),
            ("create", _)
                if !args
                    .iter()
                    .any(|arg| arg.starts_with("-f") || arg.starts_with("--filename")) =>
            {
                self.add_named(words.next()?, &["create", "get"])?;
            }
            ("apply" | "create", _) => {
                let listed = args.iter().any(|arg| mentions(arg, "listing"));
                let listed = LISTED.into_iter().filter(|_| listed);
                let objects = objects
                    .iter()
                    .map(|(group, resource)| (&**group, &**resource));
                for (group, resource) in objects.chain(listed) {
                    self.add(group, resource, &["create", "get", "patch"]);
                }
            }
            ("get" | "wait", _) => self.add_named(words.next()?, &["get", "list", "watch"])?,
            ("describe", _) => self.add_named(words.next()?, &["get", "list"])?,
            ("delete", _) => self.add_named(words.next()?, &["delete", "get", "list", "watch"])?,
            ("patch" | "label" | "annotate", _) => {
                self.add_named(words.next()?, &["get", "patch"])?;
            }
            ("set", _) => self.add_named(words.nth(1)?, &["get", "patch"])?,
            ("rollout", _) => match words.next()? {
                "status" => self.add_named(words.next()?, &["get", "list", "watch"])?,
                _ => self.add_named(words.next()?, &["get", "patch"])?,
            },
            ("scale", _) => {
                let resource = words.next()?;
                self.add_named(resource, &["get"])?;
                let (word, _) = resource.split_once('/').unwrap_or((resource, ""));
                let (_, group, .., plural) = KINDS
                    .iter()
                    .find(|(singular, .., plural)| [*singular, *plural].contains(&word))?;
                self.add(
                    group,
                    &format!("{plural}/scale"),
                    &["get", "patch", "update"],
                );
            }
            ("exec", _) => self.add_of_pod(words.next()?, "exec", &["create", "get"])?,
            ("attach", _) => self.add_of_pod(words.next()?, "attach", &["create", "get"])?,
            ("port-forward", _) => {
                self.add_of_pod(words.next()?, "portforward", &["create", "get"])?;
            }
            ("logs", _) => self.add_of_pod(words.next()?, "log", &["get"])?,
            ("explain" | "version" | "api-resources", _) => {}
            _ => return None,
        }
        Some(())
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
    pub(crate) fn to_yaml(&self) -> String {
        let mut text = String::new();
        for ((group, resource), verbs) in &self.0 {
            let group = if group.is_empty() { "\"\"" } else { group };
            let verbs = verbs.iter().copied().collect::<Vec<_>>().join(", ");
            let names = match resource.as_str() {
                TOKENS => format!("resourceNames: [{SCENARIO_ACCOUNT}], "),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "  - {{apiGroups: [{group}], resources: [{resource}], {names}verbs: [{verbs}]}}"
            );
        }
        text
    }
}

/// API group and resource of each object of a manifest.
fn of_manifest(text: &str) -> Option<Vec<(String, String)>> {
    let objects = documents(text).ok()?;
    let resource = |kind: &str| {
        let known = KINDS.iter().find(|(.., known, _)| *known == kind);
        // The API conventions form the plural like this.
        known.map_or_else(
            || format!("{}s", kind.to_ascii_lowercase()),
            |known| known.4.to_owned(),
        )
    };
    let named = objects.iter().map(|object| {
        let group = object["apiVersion"]
            .as_str()?
            .split_once('/')
            .map_or("", |(group, _)| group);
        Some((group.to_owned(), resource(object["kind"].as_str()?)))
    });
    named.collect()
}

/// API group, resource and, if present, the name of the object of a path such as
/// `/api/v1/namespaces/x/pods/web:80/proxy/y`.
fn resource_of(path: &str) -> Option<(String, String, String)> {
    let path = path.split('?').next()?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let rest = match rest {
        ["namespaces", _, inner @ ..] if !inner.is_empty() => inner,
        rest => rest,
    };
    let resource = match rest {
        [resource] | [resource, _] => (*resource).to_owned(),
        [resource, _, part, ..] => format!("{resource}/{part}"),
        [] => return None,
    };
    let name = rest.get(1).copied().unwrap_or_default();
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
        let Self {
            namespace, name, ..
        } = self;
        let mut text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n\
             apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        );
        // Roles of accounts in different namespaces have different names.
        let role = format!("{namespace}:{name}");
        let metrics = format!("  - {{nonResourceURLs: [{METRICS}], verbs: [get]}}\n");
        let base = (
            "",
            "What every run and its scenarios need",
            self.rules.to_yaml() + &metrics,
        );
        let more = self.more.iter().filter(|(_, rules)| !rules.is_empty());
        let more = more.map(|(capability, rules)| {
            (
                *capability,
                "What scenarios with this capability need in addition",
                rules.to_yaml(),
            )
        });
        for (capability, what, rules) in std::iter::once(base).chain(more) {
            let role = match capability {
                "" => role.clone(),
                capability => format!("{role}:{capability}"),
            };
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
    use crate::observe::fake::{Fake, catalogue};
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
        let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - name: main\n      \
            image: hookproof/agent\n      command: [agent, entrypoint, hold=x]\n---\napiVersion: v1\nkind: ConfigMap\n\
            metadata: {name: x}\n";
        let suite = format!(
            "scenario: a test\nmanifest: manifests/one.yaml\ntakes: 5s\nsteps:\n{steps}\nclaims:\n  - id: test.claim\n    \
             says: The process exits with code 0.\n    control: runs(web.entrypoint) == 1\n    \
             holds: first(stamps(web.entrypoint, 'ended')).data.code == 0\n    \
             fails: first(stamps(web.entrypoint, 'ended')).data.code == 1\n"
        );
        let scenarios = catalogue(manifest, &suite).scenarios;
        scenarios.into_values().next().unwrap()
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

    #[rstest]
    #[case("kubectl: get gadgets")]
    #[case("kubectl: get secrets")]
    #[case("kubectl: delete ns other")]
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
        let shown = rules
            .in_namespace()
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>();
        assert_eq!(shown, base);
        assert!(rules.in_cluster().is_empty());
    }

    #[test]
    fn rules_outside_namespaces_are_apart() {
        let scenario = scenario("  - delete: priorityclass/x\n  - {get: node/node-1, as: node}\n");
        let rules = Rules::of_scenario(&scenario).unwrap();
        let resources = |rules: &[Value]| -> Vec<String> {
            rules
                .iter()
                .map(|rule| rule["resources"][0].to_string())
                .collect()
        };
        assert_eq!(
            resources(&rules.in_cluster()),
            ["\"nodes\"", "\"priorityclasses\""]
        );
        assert_eq!(resources(&rules.in_namespace()), ["\"events\"", "\"pods\""]);
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
