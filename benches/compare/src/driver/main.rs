//! Connects clients to one server, publishes to them through Redis, and insists that each is told everything, once and in
//! order. What it reports is what the kernel says of the server's process meanwhile.
//!
//! `driver '<task in JSON>'`: see [`task::Task`] for what it may be told, and [`task::Report`] for what it prints.

mod client;
mod crowd;
mod process;
mod task;

use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Failed};
use crate::process::{Threads, processor, resident};
use crate::task::{Connect, Measured, Phase, Report, Task};

fn main() {
    if let Err(failed) = run() {
        eprintln!("driver: {failed}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Failed> {
    let task = std::env::args().nth(1).ok_or(Failed::Usage)?;
    let task: Task = serde_json::from_str(&task)?;
    let mut crowd = Crowd::new(&task)?;
    let settling = Duration::from_millis(task.settling_ms);
    let resident_before = settled(task.pid, &mut crowd, settling)?;
    let connect = connect(&task, &mut crowd)?;
    crowd.idle(settling)?;
    let mut phases = Vec::with_capacity(task.phases.len());
    for phase in &task.phases {
        phases.push(measure(&task, &mut crowd, phase)?);
        if !crowd.has_heard_all() {
            return Err(Failed::Missing(Duration::ZERO, 1, crowd.delivered()));
        }
    }
    let report = Report {
        resident_before,
        connect,
        phases,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Resident bytes of a server that has started, and loaded what it loads.
fn settled(pid: u32, crowd: &mut Crowd, settling: Duration) -> Result<u64, Failed> {
    let mut before = 0;
    loop {
        crowd.idle(settling)?;
        match resident(pid)? {
            now if now.abs_diff(before) < 65_536 => return Ok(now),
            now => before = now,
        }
    }
}

fn connect(task: &Task, crowd: &mut Crowd) -> Result<Connect, Failed> {
    let meter = Meter::start(task.pid)?;
    let patience = Duration::from_millis(task.first_message_ms);
    let connected = crowd.connect(task.clients, task.in_flight, patience)?;
    // The wait for messages that never came is no time that it took to connect.
    let took = connected.last_heard - meter.start;
    let (_, user_us, system_us) = meter.read()?;
    Ok(Connect {
        clients: task.clients,
        seconds: took.as_secs_f64(),
        user_us,
        system_us,
        first_messages_lost: connected.lost,
    })
}

fn measure(task: &Task, crowd: &mut Crowd, phase: &Phase) -> Result<Measured, Failed> {
    match *phase {
        Phase::Closed { burst, seconds } => {
            // The first burst finds cold caches, and is not counted.
            closed(crowd, burst, None)?;
            deliveries(task.pid, crowd, seconds, |crowd, span| {
                closed(crowd, burst, span)
            })
        }
        Phase::Outstanding { events, seconds } => {
            outstanding(crowd, events, None)?;
            deliveries(task.pid, crowd, seconds, |crowd, span| {
                outstanding(crowd, events, span)
            })
        }
        Phase::Modest { events, pause_ms } => {
            modest(crowd, events, Duration::from_millis(pause_ms))
        }
        Phase::Asleep { events } => asleep(task.pid, crowd, events),
        Phase::Resident => Ok(Measured::Memory {
            resident: resident(task.pid)?,
        }),
    }
}

fn deliveries(
    pid: u32,
    crowd: &mut Crowd,
    seconds: f64,
    run: impl FnOnce(&mut Crowd, Option<&Span>) -> Result<(), Failed>,
) -> Result<Measured, Failed> {
    let before = crowd.delivered();
    let meter = Meter::start(pid)?;
    let span = Span::of(pid, Duration::from_secs_f64(seconds))?;
    run(crowd, Some(&span))?;
    let (seconds, user_us, system_us) = meter.read()?;
    Ok(Measured::Deliveries {
        deliveries: crowd.delivered() - before,
        seconds,
        user_us,
        system_us,
    })
}

/// At least one burst, and for so long if it is said.
fn closed(crowd: &mut Crowd, burst: u64, span: Option<&Span>) -> Result<(), Failed> {
    loop {
        crowd.publish_prices(burst)?;
        crowd.until_delivered(crowd.delivered() + burst * crowd.len())?;
        if is_over(span)? {
            return Ok(());
        }
    }
}

/// Once for each client at least, and for so long if it is said. As many are published as were delivered.
fn outstanding(crowd: &mut Crowd, events: u64, span: Option<&Span>) -> Result<(), Failed> {
    let start = crowd.delivered();
    let (mut published, mut delivered) = (0, 0);
    while delivered < crowd.len() || !is_over(span)? {
        let more = events - (published - delivered);
        if more > 0 {
            crowd.publish_payments(more)?;
            published += more;
        }
        crowd.until_delivered(start + delivered + 1)?;
        delivered = crowd.delivered() - start;
    }
    crowd.until_delivered(start + published)
}

fn is_over(span: Option<&Span>) -> Result<bool, Failed> {
    span.map_or(Ok(true), Span::is_over)
}

fn modest(crowd: &mut Crowd, events: u64, pause: Duration) -> Result<Measured, Failed> {
    let mut times = Vec::new();
    for _ in 0..events {
        crowd.idle(pause)?;
        let start = Instant::now();
        closed(crowd, 1, None)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(Measured::Latency {
        median_ms: times[times.len() / 2],
        events,
    })
}

/// Publishes, and sleeps until the server has run and is idle again; only then are the sockets read. What they hold then
/// is everything, or it fails.
fn asleep(pid: u32, crowd: &mut Crowd, events: u64) -> Result<Measured, Failed> {
    let threads = Threads::of(pid)?;
    let (mut total, mut user_us, mut system_us) = (Duration::ZERO, 0.0, 0.0);
    let start = crowd.delivered();
    // The first finds cold caches, and tells how long there is nothing to look for.
    let mut expected = Duration::ZERO;
    for event in 0..=events {
        // Reading has made the server's sockets busy with acknowledgements.
        crowd.idle(Duration::from_millis(20))?;
        let before = processor(pid)?;
        let (begin, ran) = (Instant::now(), threads.ran_ns());
        crowd.publish_prices(1)?;
        let took = until_idle(&threads, begin, expected / 2, ran + LEAST_NS * crowd.len());
        let after = processor(pid)?;
        crowd.until_delivered(start + (event + 1) * crowd.len())?;
        if event > 0 {
            total += took;
            user_us += after.user_us - before.user_us;
            system_us += after.system_us - before.system_us;
        }
        expected = if event == 0 { took } else { expected.min(took) };
    }
    let deliveries = events * crowd.len();
    Ok(Measured::Deliveries {
        deliveries,
        seconds: total.as_secs_f64(),
        user_us,
        system_us,
    })
}

/// Less than this for each delivery, and the server has not begun: no stack sends anything in so little.
const LEAST_NS: u64 = 200;

/// How long it took from `begin` until the server had run for the last time. It has not begun before it has run for so
/// long in all.
fn until_idle(threads: &Threads, begin: Instant, not_before: Duration, begun_ns: u64) -> Duration {
    /// Between two looks; and so many looks without work are the end of it.
    const LOOK: Duration = Duration::from_micros(500);
    const QUIET: u32 = 16;
    /// How long nothing may come of a publication. What is missing then is missed when the sockets are read.
    const PATIENCE: Duration = Duration::from_secs(30);
    std::thread::sleep(not_before.saturating_sub(begin.elapsed()));
    let (mut ran, mut last, mut quiet) = (threads.ran_ns(), begin.elapsed(), 0);
    while quiet < QUIET && begin.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        let now = threads.ran_ns();
        // A timer of the server's that runs for some microseconds is no delivery.
        if now.saturating_sub(ran) > 50_000 || threads.are_runnable() {
            (last, quiet) = (begin.elapsed(), 0);
        } else if now > begun_ns {
            quiet += 1;
        }
        ran = now;
    }
    last
}

/// How long a phase lasts: until so much time is over, and the server has had half as much of a processor. Its clock goes by
/// hundredths of a second, and a few of those are nothing to divide. Where something else has the cores, a phase lasts up
/// to five times as long for that.
struct Span {
    /// Its process, and what its processor time has to be.
    server: (u32, f64),
    least: Duration,
    start: Instant,
}

impl Span {
    fn of(pid: u32, least: Duration) -> Result<Self, Failed> {
        let now = processor(pid)?;
        let server_us = now.user_us + now.system_us + least.as_micros() as f64 / 2.0;
        Ok(Span {
            server: (pid, server_us),
            least,
            start: Instant::now(),
        })
    }

    fn is_over(&self) -> Result<bool, Failed> {
        let passed = self.start.elapsed();
        // Asked of the clock first: it is cheap, and this is asked after every burst.
        if passed < self.least || passed > self.least * 5 {
            return Ok(passed > self.least);
        }
        let (pid, server_us) = self.server;
        let now = processor(pid)?;
        Ok(now.user_us + now.system_us >= server_us)
    }
}

/// Wall clock and processor time since it was started.
struct Meter {
    pid: u32,
    start: Instant,
    before: process::Processor,
}

impl Meter {
    fn start(pid: u32) -> Result<Self, Failed> {
        Ok(Meter {
            pid,
            before: processor(pid)?,
            start: Instant::now(),
        })
    }

    /// Seconds, and microseconds of user and of system time.
    fn read(self) -> Result<(f64, f64, f64), Failed> {
        let seconds = self.start.elapsed().as_secs_f64();
        let now = processor(self.pid)?;
        Ok((
            seconds,
            now.user_us - self.before.user_us,
            now.system_us - self.before.system_us,
        ))
    }
}
