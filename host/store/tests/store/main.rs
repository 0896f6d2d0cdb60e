//! The store against real directories: crashes at every operation, refusals, rival
//! owners, failing disks, and the formats of what is written.

mod bytes;
mod chain;
mod committed;
mod crash;
mod disk_faults;
mod job;
mod layer;
mod order;
mod outbox;
mod owners;
mod parquet_files;
mod published;
mod refusals;
mod rollback;
mod verify;
