//! hookproof
