//! A load test of any server that speaks `graphql-transport-ws`: many clients that subscribe, somebody
//! who publishes, and a count of what arrived, when, and what did not.
//!
//! A run has four parts. All connections are opened (`crowd`, `client`), and told something first,
//! if the server does that. Then it is published (`publisher`) for as long as the [`Plan`] says, while
//! the [`Scenario`] happens. Then the last deliveries are waited for, and then everybody leaves.
//!
//! What a connection is told is held against what was published: `matching` says how a delivery is
//! known, `publications` whose it was, `place` whether it was the next one. That a delivery is
//! missing is a fact only for connections that were there all the time; of those that came or went
//! meanwhile only what is missing between two deliveries counts.

mod chart;
mod check;
mod client;
mod cost;
mod crowd;
mod director;
mod envelope;
mod matching;
mod page;
mod place;
mod plan;
mod preset;
mod progress;
mod publications;
mod publisher;
mod report;
mod series;
mod server_process;
mod session;
mod summary;
mod tally;
mod target;
mod template;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::check::BadPlan;
pub use self::matching::{BadMatching, Matching};
pub use self::page::page;
pub use self::plan::{People, Plan, Publication, Question, Scenario};
pub use self::preset::{PRESETS, Preset};
pub use self::progress::Progress;
pub use self::publisher::{BadPublisher, Publisher};
pub use self::report::Report;
pub use self::server_process::ServerProcess;
pub use self::target::{BadTarget, Target};
pub use self::template::Template;

use self::crowd::Crowd;
use self::director::Director;
use self::session::Run;

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Plan(#[from] BadPlan),
    #[error("cannot start the threads of the clients: {0}")]
    Threads(#[from] std::io::Error),
}

/// Who and what a run is made of, besides the plan.
pub struct Cast {
    pub target: Target,
    pub publisher: Option<Publisher>,
    /// The server's process, if it runs on this machine and is to be watched.
    pub server: Option<ServerProcess>,
    pub progress: Progress,
    /// Ends the run early, with a report of what there was.
    pub interrupt: CancellationToken,
}

/// Carries out a plan.
pub async fn run(plan: Plan, cast: Cast) -> Result<Report, LoadError> {
    plan.check()?;
    let run = Run::new(&plan);
    let crowd = Crowd::new(plan, Arc::new(cast.target), run);
    let director = Director::new(crowd, cast.progress, cast.interrupt, cast.server);
    Ok(director.direct(cast.publisher).await?)
}
