//! The real programs from outside: started as processes, spoken to over REST, killed.

mod admin;
mod agents;
mod at_work;
mod browser;
mod chaos;
mod cluster;
mod confined;
mod crash;
mod disk;
mod evidence;
mod io_errors;
mod postgres_failures;
mod power_cut;
mod listen;
mod proxy;
mod quick_start;
mod replicas;
mod rest;
mod rounds;
mod runner;
mod sabotage;
mod scratch;
mod site;
mod tracer;
mod writes;
