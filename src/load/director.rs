//! The order of events in a run, and the eye on all of it.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::cost::Usage;
use super::crowd::{Crowd, Order};
use super::plan::{Plan, Scenario};
use super::progress::{Phase, Progress};
use super::publisher::{self, Published, Publisher, locked};
use super::report::{Measured, Report};
use super::series::Series;
use super::server_process::ServerProcess;
use super::session::Run;
use super::tally::{Tally, Times};

/// Who carries out a plan.
pub(super) struct Director {
    crowd: Arc<Crowd>,
    progress: Progress,
    interrupt: CancellationToken,
    server: Option<ServerProcess>,
    beats: Interval,
    /// How it stood at the last beat.
    now: Standing,
    series: Series,
    /// What was received since the last point of the series, and all of it.
    latest: Times,
    latency: Times,
    published: Arc<Mutex<Published>>,
    measured: Measured,
}

/// What is counted at every beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) subscribed: u64,
    pub(super) firsts: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) slow: u64,
    pub(super) returned: u64,
    pub(super) deliveries: u64,
    pub(super) missing: u64,
    pub(super) bad: u64,
    pub(super) errors: u64,
}

/// How often everything is looked at.
const BEAT: Duration = Duration::from_millis(50);
/// How long a scout waits to be told something.
const SCOUT: Duration = Duration::from_millis(500);

impl Director {
    pub(super) fn new(
        crowd: Crowd,
        progress: Progress,
        interrupt: CancellationToken,
        server: Option<ServerProcess>,
    ) -> Self {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Director {
            series: Series::new(crowd.plan.duration),
            crowd: Arc::new(crowd),
            progress,
            interrupt,
            server,
            beats,
            now: Standing::default(),
            latest: Times::default(),
            latency: Times::default(),
            published: Arc::default(),
            measured: Measured::default(),
        }
    }

    /// The whole of a run.
    pub(super) async fn direct(mut self, publisher: Option<Publisher>) -> io::Result<Report> {
        let publisher = publisher.map(Arc::new);
        if let Some(publisher) = &publisher {
            self.prime(publisher).await?;
        }
        self.measured.before = Usage::of(self.server);
        let began = Instant::now();
        self.measured.began = Some(began);
        self.series.begin(began);
        let threads = self.crowd.start()?;
        self.gather(began).await;
        self.measured.connected = Usage::of(self.server);
        if self.now.subscribed > 0 && !self.measured.is_interrupted {
            self.perform(publisher).await;
            self.drain().await;
        }
        self.measured.performed = Usage::of(self.server);
        self.crowd.end();
        join(threads).await;
        self.progress.finish();
        Ok(self.report())
    }

    /// Waits until all have subscribed, and have been told something first if the server does that.
    async fn gather(&mut self, began: Instant) {
        let wanted = self.crowd.plan.connections as u64;
        let (mut last, mut changed) = (self.now, began);
        while self.beat(Phase::Connecting).await {
            let now = self.now;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            let (come, told) = (now.subscribed + now.refused, now.firsts + now.slow);
            let is_quiet = changed.elapsed() >= self.crowd.plan.settle;
            if come >= wanted && (told >= now.subscribed || is_quiet) {
                break;
            }
        }
    }

    /// Sees to it that there is something to be told first, if the plan knows what that could be: a
    /// scout goes ahead, and if it is told nothing it is published. A server may forget at once what
    /// nobody listens to, so it is not published before.
    async fn prime(&self, publisher: &Publisher) -> io::Result<()> {
        let Crowd { plan, target, .. } = &*self.crowd;
        let publication = plan.publication.as_ref();
        if publication.is_none_or(|publication| publication.prime.is_none()) {
            return Ok(());
        }
        let plan = Plan {
            connections: 1,
            threads: 1,
            scenario: Scenario::Steady,
            publication: None,
            ..plan.clone()
        };
        let run = Run::new(&plan);
        let scout = Arc::new(Crowd::new(plan, target.clone(), run));
        let threads = scout.start()?;
        if !is_told(&scout).await {
            if let Err(error) = publisher::prime(&self.crowd.plan, publisher).await {
                locked(&self.published).errors.count(error.to_string());
            }
            is_told(&scout).await;
        }
        scout.end();
        join(threads).await;
        Ok(())
    }

    /// Lets it be published and happen, until the time is over.
    async fn perform(&mut self, publisher: Option<Arc<Publisher>>) {
        let began = Instant::now();
        // It is set once, here.
        let _ = self.crowd.run.publishing_since.set(began);
        self.series.begin_performance(began);
        let publishing = publisher.map(|publisher| {
            let (crowd, published) = (self.crowd.clone(), self.published.clone());
            let publishing =
                async move { publisher::publish(&crowd, &publisher, &published).await };
            tokio::spawn(publishing)
        });
        let happening = AbortOnDropHandle::new(tokio::spawn(happen(self.crowd.clone())));
        let plan = &self.crowd.plan;
        let is_once = plan
            .publication
            .as_ref()
            .is_some_and(|publication| publication.once);
        let duration = plan.duration;
        while self.beat(Phase::Publishing(began.elapsed())).await {
            let is_done = publishing
                .as_ref()
                .is_some_and(|publishing| publishing.is_finished());
            if (is_once && is_done) || began.elapsed() >= duration {
                break;
            }
        }
        drop(happening);
        self.crowd.enough.cancel();
        if let Some(publishing) = publishing {
            // What is on its way to the bus is waited for: nobody would know whether it got there.
            let _ = publishing.await;
        }
        self.measured.performing = began.elapsed();
    }

    /// Waits for what is still on its way.
    async fn drain(&mut self) {
        let (mut last, mut changed) = (self.now, Instant::now());
        let expected = self.expected();
        while self.beat(Phase::Draining).await {
            let now = self.now;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
            let is_all_here = expected.is_some_and(|expected| now.deliveries >= expected);
            if is_all_here || changed.elapsed() >= self.crowd.plan.settle {
                break;
            }
        }
    }

    /// How many deliveries there will be, if that is known: where nobody comes and goes.
    fn expected(&self) -> Option<u64> {
        let plan = &self.crowd.plan;
        let is_still = matches!(plan.scenario, Scenario::Steady | Scenario::Burst(_));
        if !is_still || self.now.refused + self.now.lost > 0 {
            return None;
        }
        let listens = |channel| plan.listeners(channel) as u64;
        let publications = &self.crowd.run.publications;
        let all =
            (0..plan.channels()).map(|channel| publications.count_on(channel) * listens(channel));
        Some(all.sum())
    }

    /// Looks at everything once. Says whether it goes on: it is interrupted once, and then it ends in
    /// order.
    async fn beat(&mut self, phase: Phase) -> bool {
        tokio::select! {
            biased;
            () = self.interrupt.cancelled(), if !self.measured.is_interrupted => {
                self.measured.is_interrupted = true;
                return false;
            }
            _ = self.beats.tick() => {}
        }
        let mut now = Standing::default();
        let mut times = Vec::new();
        for mut tally in self.crowd.tallies() {
            now.add(&tally);
            if !tally.latency.is_empty() {
                times.push(std::mem::take(&mut tally.latency));
            }
        }
        for times in times {
            self.latest.add(&times);
        }
        let at = Instant::now();
        self.now = now;
        self.series.connected(at, now.subscribed, now.firsts);
        if self.series.is_due(at) {
            self.mark(at);
        }
        if let Some(bytes) = self.server.and_then(ServerProcess::resident_bytes) {
            self.measured.peak_bytes = self.measured.peak_bytes.max(bytes);
        }
        let published = locked(&self.published).taken;
        self.progress
            .show(phase, &self.crowd.plan, &now, published, &self.series);
        true
    }

    /// Puts what was received since the last point into the series.
    fn mark(&mut self, at: Instant) {
        self.series.mark(at, &self.latest, self.now.deliveries);
        self.latency.add(&self.latest);
        self.latest.clear();
    }

    fn report(mut self) -> Report {
        self.mark(Instant::now());
        self.series.end();
        let mut sum = Tally::default();
        for tally in self.crowd.tallies() {
            sum.add(&tally);
        }
        sum.latency.add(&self.latency);
        let published = locked(&self.published).clone();
        self.measured.publishing_since = self.crowd.run.publishing_since.get().copied();
        self.measured.dropped = self.crowd.dropped();
        Report::new(
            &self.crowd.plan,
            &self.crowd.run,
            &sum,
            &published,
            &self.measured,
            self.series,
        )
    }
}

impl Standing {
    fn add(&mut self, tally: &Tally) {
        self.subscribed += tally.subscribed.first.count();
        self.firsts += tally.firsts.first.count();
        self.refused += tally.refused;
        self.lost += tally.lost;
        self.slow += tally.slow;
        self.returned += tally.subscribed.again.count();
        self.deliveries += tally.deliveries;
        self.missing += tally.missing;
        self.bad += tally.duplicated + tally.out_of_order + tally.foreign;
        self.errors += tally.errors.total() + tally.closes.total();
    }
}

/// Whether a scout is told something before its patience ends.
async fn is_told(scout: &Crowd) -> bool {
    let ended = Instant::now() + SCOUT;
    while Instant::now() < ended {
        let (is_told, is_gone) = {
            let tally = scout.tally(0);
            (
                tally.firsts.first.count() > 0,
                tally.refused + tally.lost > 0,
            )
        };
        if is_told || is_gone {
            return is_told;
        }
        tokio::time::sleep(BEAT / 5).await;
    }
    false
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joining = tokio::task::spawn_blocking(move || {
        for thread in threads {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    });
    let _ = joining.await;
}

/// What happens besides publishing.
async fn happen(crowd: Arc<Crowd>) {
    let everybody = 0..crowd.plan.connections;
    match crowd.plan.scenario {
        Scenario::Steady | Scenario::Burst(_) | Scenario::Slow(_) => {}
        Scenario::Storm(storms) => {
            // Spread over the time, with as much of it before the first as after the last.
            let between = crowd.plan.duration.div_f64(storms as f64 + 1.0);
            for _ in 0..storms {
                tokio::time::sleep(between).await;
                everybody.clone().for_each(|i| crowd.tell(i, Order::Drop));
            }
        }
        Scenario::Churn(rate) => {
            let mut turns = interval(Duration::from_secs_f64(1.0 / rate));
            for i in everybody.cycle() {
                turns.tick().await;
                crowd.tell(i, Order::Leave);
            }
        }
    }
}
