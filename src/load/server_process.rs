//! What the process of the server costs, as the system counts it.

use std::time::Duration;

use serde::Serialize;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub struct ServerProcess(u32);

/// The processor time of a process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    #[serde(rename = "userSeconds", serialize_with = "seconds")]
    pub user: Duration,
    #[serde(rename = "systemSeconds", serialize_with = "seconds")]
    pub system: Duration,
}

/// The system counts in hundredths of a second, on every architecture that it runs on.
const TICK: Duration = Duration::from_millis(10);

impl ServerProcess {
    /// The process of this id; `None` if there is none, or none that we may look at.
    pub fn of_id(id: u32) -> Option<Self> {
        let process = ServerProcess(id);
        process.cpu().is_some().then_some(process)
    }

    /// This process.
    pub fn own() -> Self {
        ServerProcess(std::process::id())
    }

    /// What it has used of the processors so far.
    pub fn cpu(self) -> Option<Cpu> {
        cpu(&std::fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?)
    }

    /// The bytes of memory that are its own or shared, and in use.
    pub fn resident_bytes(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}

impl Cpu {
    /// What was used since.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// Reads `/proc/<id>/stat`. The name of the process is in parentheses, and may hold anything.
fn cpu(stat: &str) -> Option<Cpu> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u32>);
    let mut next = || Some(TICK * ticks.next()?.ok()?);
    Some(Cpu {
        user: next()?,
        system: next()?,
    })
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_be_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 8 7 6 123 45 0 0 20 0 1 0 5 0";
        let found = cpu(stat).unwrap();
        assert_eq!(found.user, Duration::from_millis(1230));
        assert_eq!(found.system, Duration::from_millis(450));
    }

    #[test]
    fn this_process_uses_some_memory() {
        let own = ServerProcess::own();
        assert!(own.cpu().is_some());
        assert!(own.resident_bytes().unwrap() > 100_000);
        assert!(ServerProcess::of_id(u32::MAX).is_none());
    }
}
