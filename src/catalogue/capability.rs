//! What scenarios may ask of a cluster or of a run beyond what every cluster has.

/// Commands on nodes.
pub const NODE_SHELL: &str = "node-shell";
/// A node that may be disturbed.
pub const SPARE_NODE: &str = "spare-node";
/// A machine on which an ordinary user may not listen below port 1024.
pub const PROTECTED_PORTS: &str = "protected-ports";
/// The nginx image on the nodes.
pub const NGINX_IMAGE: &str = "nginx-image";
/// The documents themselves, to apply their listings.
pub const DOCUMENTS: &str = "documents";
/// Containers on the nodes' network that belong to no cluster.
pub const OUTSIDE: &str = "outside";
/// Leave to take as long as the documents' own numbers do.
pub const LITERAL: &str = "literal";
/// Nodes that can pull published images.
pub const PUBLISHED_IMAGES: &str = "published-images";

/// Every capability with what it takes to have it.
pub const KNOWN: &[(&str, &str)] = &[
    (
        NODE_SHELL,
        "nodes that are containers of kind's on this machine",
    ),
    (
        SPARE_NODE,
        "a node with the label hookproof/spare, which may be disturbed",
    ),
    (
        PROTECTED_PORTS,
        "a machine that keeps low ports from ordinary users",
    ),
    (
        NGINX_IMAGE,
        "the nginx image: debootstrap builds it for clusters of kind's; for others give its name \
         with --nginx-image",
    ),
    (
        DOCUMENTS,
        "the documents: give their folder with --documents",
    ),
    (
        OUTSIDE,
        "containers beside the nodes: clusters of kind's on this machine have that",
    ),
    (LITERAL, "more time: allow it with --allow literal"),
    (
        PUBLISHED_IMAGES,
        "nodes that can pull published images: say so with --allow published-images",
    ),
];

/// What it takes to have a capability.
#[must_use]
pub fn remedy(name: &str) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, remedy)| *remedy)
}
