//! Compacted topics: offsets have gaps, at the end too, and that is normal.
