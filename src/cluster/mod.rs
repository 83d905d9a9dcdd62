//! Clusters, node images and pod images.

pub mod agent_image;
pub mod cache;
pub mod command;
mod debian;
pub(crate) mod docker;
pub mod doctor;
pub mod error;
pub mod kernel;
pub mod kind;
pub mod nginx_image;
pub mod node_image;
pub mod pod_image;
pub mod progress;
