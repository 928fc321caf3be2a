//! What was measured: a table for people, and JSON for who compares.

use std::fs;

use serde_json::{Value, json};

use super::failed;
use crate::shell::{Failure, Shell};

/// What a figure must be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

/// A figure and what it must be.
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

/// The figures of a workload on an engine.
pub struct Report {
    workload: &'static str,
    engine: &'static str,
    figures: Vec<Figure>,
}

impl Report {
    pub fn new(workload: &'static str, engine: &'static str) -> Self {
        println!("\n{workload} on {engine}");
        Self {
            workload,
            engine,
            figures: Vec::new(),
        }
    }

    /// Notes a figure and prints it; what was not measured is no number and left out.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Option<Goal>,
    ) {
        if value.is_nan() {
            return;
        }
        let figure = Figure {
            name: name.into(),
            value,
            unit,
            goal,
        };
        println!("  {}", figure.line());
        self.figures.push(figure);
    }

    /// Saves the figures as `target/bench/WORKLOAD-ENGINE.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, shell: &Shell) -> Result<(), Failure> {
        let folder = shell.path("target/bench");
        let path = folder.join(format!(
            "{}-{}.json",
            self.workload,
            self.engine.to_lowercase()
        ));
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let whole = json!({"workload": self.workload, "engine": self.engine, "figures": figures});
        let text = format!("{whole:#}\n");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| failed(&path.display().to_string(), &error))
    }
}

impl Figure {
    fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => self.value >= least,
            Goal::AtMost(most) => self.value <= most,
        })
    }

    fn line(&self) -> String {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(least)) => format!("at least {}", short(least)),
            Some(Goal::AtMost(most)) => format!("at most {}", short(most)),
        };
        let verdict = match self.is_met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        let line = format!(
            "{:<58}{:>12} {:<12}{goal:<18}{verdict}",
            self.name,
            short(self.value),
            self.unit
        );
        line.trim_end().to_owned()
    }

    fn json(&self) -> Value {
        let goal = match self.goal {
            None => Value::Null,
            Some(Goal::AtLeast(least)) => json!({"atLeast": least}),
            Some(Goal::AtMost(most)) => json!({"atMost": most}),
        };
        json!({"name": self.name, "value": self.value, "unit": self.unit, "goal": goal, "met": self.is_met()})
    }
}

/// As many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The one in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
