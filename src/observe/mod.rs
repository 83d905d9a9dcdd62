//! What happens on a cluster during a scenario, written down. Observing never judges.

pub mod evidence;
