//! The real programs from outside: started as processes, spoken to over REST, killed.

mod admin;
mod agents;
mod at_work;
mod browser;
mod chaos;
mod confined;
mod crash;
mod evidence;
mod lost_replies;
mod proxy;
mod quick_start;
mod replicas;
mod rest;
mod runner;
mod sabotage;
mod site;
