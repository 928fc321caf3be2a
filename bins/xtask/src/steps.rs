//! A sequence of named steps, each with its duration; the first failure ends it.

use std::time::{Duration, Instant};

use crate::shell::Failure;

/// Reports the steps of a task on stderr.
pub struct Steps {
    task: &'static str,
    begun: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Begins a task.
    pub fn new(task: &'static str) -> Self {
        Self {
            task,
            begun: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs one step.
    ///
    /// # Errors
    /// The step's own failure, after naming the step.
    pub fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        eprintln!("==> {}: {name}", self.task);
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        match &result {
            Ok(_) => {
                eprintln!("    {name}: {}", seconds(took));
                self.done.push((name.to_owned(), took));
            }
            Err(_) => eprintln!("    {name}: FAILED after {}", seconds(took)),
        }
        result
    }

    /// Ends the task with a table of its steps.
    pub fn finish(self) {
        eprintln!("==> {}: done", self.task);
        for (name, took) in &self.done {
            eprintln!("{:>9}  {name}", seconds(*took));
        }
        eprintln!("{:>9}  altogether", seconds(self.begun.elapsed()));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
