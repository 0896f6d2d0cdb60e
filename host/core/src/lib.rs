//! x

pub mod records;
