//! Where experiments are made: clusters, node images, the agent image.
