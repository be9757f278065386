//! Nothing: the simulation is a test.
