//! What must hold for any input, tried with seeded random ones against plain models:
//! keys, paths, states and groups. Small cases of single rules are with their code.

mod groups;
mod job;
mod keys;
mod paths;
mod prng;
mod random;
mod states;
