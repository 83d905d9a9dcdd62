//! What a user types.
