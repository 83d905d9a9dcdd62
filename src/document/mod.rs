//! Documents whose statements are checked: Markdown, HTML and plain text, with the lines of their parts.

mod format;
mod html;
mod pieces;
mod text;

pub(crate) use pieces::Piece;
pub use text::Document;
pub(crate) use text::QuoteError;
