//! stub
use super::evidence::Entry;
pub fn ordered(mut e: Vec<Entry>) -> Vec<Entry> { e.sort_by_key(|x| x.at); for (i, x) in e.iter_mut().enumerate() { x.n = i as u32 } e }
