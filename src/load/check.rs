//! What is wrong with a plan, said before anything is begun.

use super::plan::{People, Plan, Scenario};
use super::publications::MOST;
use super::template::Word;

/// A plan that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum BadPlan {
    #[error("{connections} connections do not fit into {files} open files: `ulimit -n {needed}` raises the limit of this shell{}", hint(*.hard, *.needed))]
    Files {
        connections: usize,
        files: u64,
        hard: u64,
        needed: u64,
    },
    #[error("{0} needs {{key}}: give --keys FILE or --key KEY")]
    NoKey(&'static str),
    #[error("{0} needs {{account}}: give --accounts FILE or --account ID")]
    NoAccount(&'static str),
    #[error("there are {keys} keys and {accounts} accounts: line by line they belong together")]
    Uneven { keys: usize, accounts: usize },
    #[error(
        "{0} publications are more than the {MOST} that one run can count: lower --rate or --for"
    )]
    TooMany(u64),
    #[error("{0} is not JSON once its words are replaced: {1}")]
    NotJson(&'static str, serde_json::Error),
    #[error("--{0}: expected a number above zero")]
    NotPositive(&'static str),
}

/// Files that are open besides the connections: the bus, the runtimes, the report.
const OTHER_FILES: u64 = 64;

impl Plan {
    /// Looks for what is wrong before anything is begun.
    pub fn check(&self) -> Result<(), BadPlan> {
        self.check_people()?;
        self.check_rates()?;
        let init = |i| self.question.init.render(&self.values(i, 0));
        is_json("--init", &init(0))?;
        if let Some(variables) = &self.question.variables {
            is_json("--variables", &variables.render(&self.values(0, 0)))?;
        }
        let planned = self.planned();
        if planned > MOST {
            return Err(BadPlan::TooMany(planned));
        }
        self.check_files()
    }

    fn check_people(&self) -> Result<(), BadPlan> {
        let People { keys, accounts } = &self.people;
        if keys.len() > 1 && accounts.len() > 1 && keys.len() != accounts.len() {
            let (keys, accounts) = (keys.len(), accounts.len());
            return Err(BadPlan::Uneven { keys, accounts });
        }
        let question = &self.question;
        let mut texts = vec![("--init", &question.init), ("--query", &question.query)];
        texts.extend(
            question
                .variables
                .as_ref()
                .map(|text| ("--variables", text)),
        );
        if let Some(publication) = &self.publication {
            texts.extend([
                ("--channel", &publication.channel),
                ("--body", &publication.body),
            ]);
        }
        for (name, text) in texts {
            if keys.is_empty() && text.uses(Word::Key) {
                return Err(BadPlan::NoKey(name));
            }
            if accounts.is_empty() && text.uses(Word::Account) {
                return Err(BadPlan::NoAccount(name));
            }
        }
        Ok(())
    }

    fn check_rates(&self) -> Result<(), BadPlan> {
        let is_good = |rate: f64| rate.is_finite() && rate > 0.0;
        let rates = [
            (
                "rate",
                self.publication
                    .as_ref()
                    .map(|publication| publication.rate),
            ),
            ("connect-rate", self.connect_rate),
            (
                "churn-rate",
                match self.scenario {
                    Scenario::Churn(rate) => Some(rate),
                    _ => None,
                },
            ),
        ];
        for (name, rate) in rates {
            if rate.is_some_and(|rate| !is_good(rate)) {
                return Err(BadPlan::NotPositive(name));
            }
        }
        Ok(())
    }

    /// No program may raise this without a call into the system that Rust does not know to be safe.
    fn check_files(&self) -> Result<(), BadPlan> {
        let Some((files, hard)) = open_files() else {
            return Ok(());
        };
        let needed = self.connections as u64 + OTHER_FILES;
        match needed <= files {
            true => Ok(()),
            false => Err(BadPlan::Files {
                connections: self.connections,
                files,
                hard,
                needed,
            }),
        }
    }
}

fn is_json(name: &'static str, text: &str) -> Result<(), BadPlan> {
    serde_json::from_str::<serde_json::Value>(text)
        .map(drop)
        .map_err(|error| BadPlan::NotJson(name, error))
}

/// The soft and the hard limit of open files; `None` where the system does not say.
fn open_files() -> Option<(u64, u64)> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_whitespace();
    let mut number = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        digits => digits.parse().ok(),
    };
    Some((number()?, number()?))
}

fn hint(hard: u64, needed: u64) -> String {
    match hard < needed {
        true => format!(" (root may raise it above {hard}), or run several processes"),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::plan::tests::plan;
    use crate::load::template::Template;

    fn refusal(change: impl FnOnce(&mut Plan)) -> String {
        let mut plan = plan(1, "all");
        plan.check().unwrap();
        change(&mut plan);
        plan.check().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_a_way_out() {
        let init = |text: &str| Template::parse(text);
        let said = refusal(|plan| plan.question.init = init(r#"{"X-API-KEY":"{key}"}"#));
        assert_eq!(said, "--init needs {key}: give --keys FILE or --key KEY");
        let said = refusal(|plan| plan.question.variables = Some(init("{account}")));
        assert_eq!(
            said,
            "--variables needs {account}: give --accounts FILE or --account ID"
        );
        let said = refusal(|plan| plan.question.init = init("{nonsense}"));
        assert!(
            said.starts_with("--init is not JSON once its words are replaced: key must"),
            "{said}"
        );
        let said = refusal(|plan| plan.connections = 1 << 30);
        assert!(said.contains("connections do not fit into"), "{said}");
        assert!(said.contains("`ulimit -n 1073741888`"), "{said}");
        let said = refusal(|plan| plan.duration = Duration::from_secs(1 << 40));
        assert!(said.contains("lower --rate or --for"), "{said}");
        let said = refusal(|plan| plan.connect_rate = Some(0.0));
        assert_eq!(said, "--connect-rate: expected a number above zero");
    }
}
