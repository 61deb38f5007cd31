//! What somebody who waits for the end sees.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::director::Standing;
use super::plan::Plan;
use super::series::Series;
use super::summary::{millis, number};

/// Where it is shown how far a run is: on stderr.
pub struct Progress(Shown);

enum Shown {
    /// On a terminal, which can be written over.
    Bar(ProgressBar),
    /// Elsewhere: a line now and then.
    Lines {
        last: Option<Instant>,
    },
    Nothing,
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Connecting,
    /// For so long.
    Publishing(Duration),
    Draining,
}

/// Between two lines.
const LINES: Duration = Duration::from_secs(5);
/// What the bar is divided into.
const STEPS: u64 = 1000;

impl Progress {
    /// A bar on a terminal, lines elsewhere; nothing if it is to be quiet.
    pub fn new(is_terminal: bool, is_quiet: bool) -> Self {
        Progress(match (is_quiet, is_terminal) {
            (true, _) => Shown::Nothing,
            (false, false) => Shown::Lines { last: None },
            (false, true) => {
                let bar = ProgressBar::with_draw_target(
                    Some(STEPS),
                    ProgressDrawTarget::stderr_with_hz(10),
                );
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {wide_msg}") {
                    bar.set_style(style);
                }
                Shown::Bar(bar)
            }
        })
    }

    pub(super) fn show(
        &mut self,
        phase: Phase,
        plan: &Plan,
        now: &Standing,
        published: u64,
        series: &Series,
    ) {
        match &mut self.0 {
            Shown::Bar(bar) => {
                bar.set_position((share(phase, plan, now) * STEPS as f64) as u64);
                bar.set_message(words(phase, plan, now, published, series));
            }
            Shown::Lines { last } => {
                if last.is_none_or(|last| last.elapsed() >= LINES) {
                    *last = Some(Instant::now());
                    eprintln!("{}", words(phase, plan, now, published, series));
                }
            }
            Shown::Nothing => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// How much of this part is done.
fn share(phase: Phase, plan: &Plan, now: &Standing) -> f64 {
    let share = match phase {
        Phase::Connecting => (now.subscribed + now.refused) as f64 / plan.connections as f64,
        Phase::Publishing(so_far) => so_far.as_secs_f64() / plan.duration.as_secs_f64(),
        Phase::Draining => 1.0,
    };
    share.clamp(0.0, 1.0)
}

fn words(phase: Phase, plan: &Plan, now: &Standing, published: u64, series: &Series) -> String {
    let count = |count: u64| number(count as f64);
    let mut words = match phase {
        Phase::Connecting => format!(
            "connecting: {} of {}, {} told something first",
            count(now.subscribed),
            count(plan.connections as u64),
            count(now.firsts)
        ),
        Phase::Publishing(so_far) => format!(
            "{} s of {} s: {} published, {} delivered",
            so_far.as_secs(),
            plan.duration.as_secs_f64(),
            count(published),
            count(now.deliveries)
        ),
        Phase::Draining => format!("the last deliveries: {}", count(now.deliveries)),
    };
    let last = series.latest();
    if let Some((p50, p99)) = last.and_then(|last| last.p50_ms.zip(last.p99_ms)) {
        words.push_str(&format!(", p50 {}, p99 {}", millis(p50), millis(p99)));
    }
    for (what, many) in [
        ("came back", now.returned),
        ("refused", now.refused),
        ("lost", now.lost),
        ("missing", now.missing),
        ("twice, late or wrong", now.bad),
        ("errors", now.errors),
    ] {
        if many > 0 {
            words.push_str(&format!(", {} {what}", count(many)));
        }
    }
    words
}
