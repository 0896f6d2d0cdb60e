//! Where rows and windows go besides Parquet: the consoles' tables, and windows as the records of a topic. When those are sent is the commit's.

mod console;
mod records;
mod table;
mod value;
mod windows;

pub use console::Console;
pub use records::{FINAL, RecordWriter};
pub use windows::{WindowPrinter, WindowTable};
