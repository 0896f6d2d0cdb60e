//! Where rows and windows go besides Parquet: the console's tables. Reads no configuration, and commits nothing.

mod console;
mod table;
mod value;

pub use console::Console;
