//! Capabilities: what scenarios may need beyond what every cluster has.

pub(crate) const NODE_SHELL: &str = "node-shell";
pub(crate) const SPARE_NODE: &str = "spare-node";
/// Label of a node that experiments may disrupt.
pub(crate) const SPARE_LABEL: &str = "hookproof/spare";
pub(crate) const PROTECTED_PORTS: &str = "protected-ports";
pub(crate) const NGINX_IMAGE: &str = "nginx-image";
pub(crate) const DOCUMENTS: &str = "documents";
pub(crate) const OUTSIDE: &str = "outside";
/// Permission to wait as long as the documents' own numbers say.
pub(crate) const LITERAL: &str = "literal";
pub(crate) const PUBLISHED_IMAGES: &str = "published-images";

/// Pods that the Pod Security level `baseline` forbids: host network, host paths, privileged containers.
pub(crate) const PRIVILEGED_PODS: &str = "privileged-pods";
/// Priority classes, and reading nodes and namespaces: objects outside the scenario's namespace.
pub(crate) const CLUSTER_OBJECTS: &str = "cluster-objects";

/// Permissions only, which every cluster can grant.
pub(crate) const PERMISSIONS: [&str; 2] = [PRIVILEGED_PODS, CLUSTER_OBJECTS];
/// What only built-in scenarios may use unless `--allow` grants it.
pub(crate) const GUARDED: [&str; 4] = [NODE_SHELL, OUTSIDE, PRIVILEGED_PODS, CLUSTER_OBJECTS];

/// Every capability and how to provide it.
pub(crate) const KNOWN: &[(&str, &str)] = &[
    (NODE_SHELL, "nodes that are kind containers on this machine"),
    (
        SPARE_NODE,
        "a node with the label hookproof/spare that experiments may disrupt",
    ),
    (
        PROTECTED_PORTS,
        "a machine that reserves low ports for root",
    ),
    (
        NGINX_IMAGE,
        "the nginx image: debootstrap builds it for kind clusters; name one for other clusters \
         with --nginx-image",
    ),
    (
        DOCUMENTS,
        "the documents; pass their folder with --documents",
    ),
    (
        OUTSIDE,
        "containers on the nodes' network, as with kind clusters on this machine",
    ),
    (
        PRIVILEGED_PODS,
        "pods that may harm their node; pass --allow privileged-pods",
    ),
    (
        CLUSTER_OBJECTS,
        "objects outside the scenario's namespace; pass --allow cluster-objects",
    ),
    (LITERAL, "more time; pass --allow literal"),
    (
        PUBLISHED_IMAGES,
        "nodes that can pull published images; pass --allow published-images",
    ),
];

pub(crate) fn remedy(name: &str) -> Option<&'static str> {
    let mut known = KNOWN.iter();
    known.find_map(|(known, remedy)| (*known == name).then_some(*remedy))
}
