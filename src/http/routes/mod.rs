//! One file per noun: its handlers and their transfer objects.

pub mod health;
