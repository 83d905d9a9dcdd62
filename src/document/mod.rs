//! Documents whose statements are checked: Markdown, HTML and plain text, with the lines of their parts.

mod format;
mod html;
mod pieces;
mod quote;
mod text;

pub(crate) use pieces::Piece;
pub(crate) use quote::QuoteError;
pub use text::Document;
