//! What people and machines read: JUnit, HTML, Markdown, terminal, JSON. Reporters only consume.

pub mod results;
