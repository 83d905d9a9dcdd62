//! Reports: JUnit, HTML, Markdown, terminal, JSON. Reporters only read results and evidence.

pub mod annotate;
pub(crate) mod coverage;
pub(crate) mod diff;
pub mod error;
pub mod essentials;
pub mod event;
pub mod explain;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod merge;
pub(crate) mod output;
mod passage;
pub mod progress;
pub mod reports;
pub mod results;
pub mod terminal;
pub mod text;
mod timeline;
pub mod view;

#[cfg(test)]
mod fixture;
