//! Clusters, node images and pod images.

pub(crate) mod agent_image;
mod busybox;
pub(crate) mod cache;
pub(crate) mod command;
mod debian;
pub(crate) mod docker;
pub(crate) mod doctor;
pub(crate) mod error;
mod image_archive;
mod kernel;
pub(crate) mod kind;
pub(crate) mod nginx_image;
pub(crate) mod node_image;
pub(crate) mod pod_image;
pub(crate) mod progress;
pub(crate) mod runner_image;
