//! Where experiments are made: clusters, node images, the agent image.

pub mod cache;
pub mod capability;
pub mod command;
pub mod doctor;
pub mod error;
pub mod kind;
pub mod node_image;
pub mod progress;
