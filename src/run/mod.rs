//! A run: what to do (plan) and doing it (dispatch). It tells what happens as events.

pub mod event;
