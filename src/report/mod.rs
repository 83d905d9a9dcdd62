//! What people and machines read: JUnit, HTML, Markdown, terminal, JSON. Reporters only consume.

pub mod error;
pub mod essentials;
pub mod file;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod reports;
pub mod results;
pub mod terminal;
pub mod text;
pub mod view;

#[cfg(test)]
mod fixture;
