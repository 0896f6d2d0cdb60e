//! How much a plugin may use. Every limit is on by default.

/// What one plugin instance, and one call of it, may use at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of the calling thread that one call may take; by the clock on the wall it
    /// may be 30 times as much.
    pub call_cpu_ms: u64,
    /// Linear memory of an instance, all its memories together.
    pub memory_bytes_max: u64,
    /// Elements of one table.
    pub table_elements_max: u64,
    /// Tables of an instance.
    pub tables_max: usize,
    /// Linear memories of an instance.
    pub memories_max: usize,
    /// Core instances inside a component.
    pub instances_max: usize,
    /// The guest's stack. Threads that call plugins need at least twice as much.
    pub stack_bytes_max: usize,
    /// A component file.
    pub component_bytes_max: u64,
    /// CPU time of compiling a component, where that is done by a [`Compiler`](crate::Compiler).
    pub compile_seconds_max: u64,
    /// Address space of that process.
    pub compile_memory_max: u64,
    /// What one call may return, or one call of the host's imports may bring.
    pub hostcall_bytes_max: usize,
    /// Rows that one call may return.
    pub output_rows_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_cpu_ms: 5_000,
            memory_bytes_max: 512 << 20,
            table_elements_max: 20_000,
            tables_max: 16,
            memories_max: 4,
            instances_max: 32,
            stack_bytes_max: 512 << 10,
            component_bytes_max: 16 << 20,
            compile_seconds_max: 60,
            compile_memory_max: 2 << 30,
            hostcall_bytes_max: 128 << 20,
            output_rows_max: 4 << 20,
        }
    }
}
