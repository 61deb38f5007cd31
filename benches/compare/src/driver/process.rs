//! What the kernel says of the server's process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Processor time, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processor {
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
}

/// The kernel's unit of `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that runs this.
const TICK_US: f64 = 10_000.0;

/// User and system time of all threads of a process since it started.
pub(crate) fn processor(pid: u32) -> io::Result<Processor> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in brackets, which may hold anything.
    let fields = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let mut ticks = fields
        .split(' ')
        .skip(11)
        .map(|field| field.parse().unwrap_or(0.0));
    let mut next = || ticks.next().unwrap_or(0.0) * TICK_US;
    Ok(Processor {
        user_us: next(),
        system_us: next(),
    })
}

/// Resident bytes of a process.
pub(crate) fn resident(pid: u32) -> io::Result<u64> {
    // Not `VmRSS`: that is counted per processor, and is off by up to some hundred kilobytes.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = kilobytes.and_then(|kilobytes| kilobytes.parse().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| io::Error::other("smaps_rollup without Rss"))
}

/// The threads of a process, each looked at for the price of a `pread`: cheap enough to be asked a thousand times a second
/// beside a server that has both cores.
pub(crate) struct Threads(Vec<Thread>);

struct Thread {
    schedstat: File,
    stat: File,
}

impl Threads {
    /// Those that there are now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let open = |thread: io::Result<fs::DirEntry>| {
            let directory = thread?.path();
            let schedstat = File::open(directory.join("schedstat"))?;
            let stat = File::open(directory.join("stat"))?;
            Ok(Thread { schedstat, stat })
        };
        let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
        Ok(Threads(threads.map(open).collect::<io::Result<_>>()?))
    }

    /// Nanoseconds on a processor, of all of them.
    pub(crate) fn ran_ns(&self) -> u64 {
        let ran = self.0.iter().map(|thread| {
            let mut text = [0; 64];
            // A thread that has ended runs no more.
            let read = thread.schedstat.read_at(&mut text, 0).unwrap_or(0);
            let digits = text[..read]
                .split(|byte| *byte == b' ')
                .next()
                .unwrap_or_default();
            std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0)
        });
        ran.sum()
    }

    /// Whether any of them runs, or would if it were let: on a busy machine a server that has not run is not idle.
    pub(crate) fn are_runnable(&self) -> bool {
        self.0.iter().any(|thread| {
            let mut text = [0; 128];
            let read = thread.stat.read_at(&mut text, 0).unwrap_or(0);
            memchr::memmem::find(&text[..read], b") R ").is_some()
        })
    }
}
