//! Tests with a broker.

mod the_broker;
