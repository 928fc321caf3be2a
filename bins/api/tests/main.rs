//! The real programs from outside: started as processes, spoken to over REST, killed.

mod admin;
mod browser;
mod crash;
mod evidence;
mod quick_start;
mod replicas;
mod rest;
mod runner;
mod site;
