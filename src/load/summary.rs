//! The report as text.

use std::fmt::{self, Display, Formatter};

use super::cost::BUSY;
use super::report::{CloseCount, Quantiles, Report};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.connections(f)?;
        self.publications(f)?;
        self.deliveries(f)?;
        self.returns(f)?;
        for close in &self.closes {
            line(f, "closed", &shown(close))?;
        }
        for error in &self.errors {
            line(
                f,
                "error",
                &format!("{} × {}", number(error.count as f64), error.error),
            )?;
        }
        self.costs(f)?;
        if self.is_interrupted {
            line(f, "", "it was ended early")?;
        }
        Ok(())
    }
}

impl Report {
    fn connections(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = &self.connections;
        let text = format!(
            "{} of {} in {:.2} s: {}/s",
            number(all.subscribed as f64),
            number(all.asked as f64),
            all.seconds,
            number(all.per_second)
        );
        line(f, "connected", &text)?;
        times(f, "to subscribe", &all.to_subscribe)?;
        times(f, "to first result", &all.to_first_result)?;
        let slow = self.slow.as_ref().map_or(0, |slow| slow.clients);
        let untold = all.subscribed.saturating_sub(all.first_results + slow);
        if untold > 0 {
            let text = format!(
                "{} were told nothing before it was published",
                number(untold as f64)
            );
            line(f, "", &text)?;
        }
        Ok(())
    }

    fn publications(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(all) = &self.publications else {
            return Ok(());
        };
        let published = number(all.published as f64);
        line(
            f,
            "published",
            &format!("{published}: {}/s", number(all.per_second)),
        )?;
        if all.published + all.failed < all.planned && !self.is_interrupted {
            let text = format!(
                "{} were planned: the bus took no more, and the last was {:.0} ms late",
                number(all.planned as f64),
                all.latest_ms
            );
            line(f, "", &text)?;
        }
        if all.unheard > 0 {
            let text = format!(
                "of {} Redis says that nobody listened",
                number(all.unheard as f64)
            );
            line(f, "", &text)?;
        }
        Ok(())
    }

    fn deliveries(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = &self.deliveries;
        let received = number(all.received as f64);
        line(
            f,
            "delivered",
            &format!("{received}: {}/s", number(all.per_second)),
        )?;
        times(f, "latency", &all.latency)?;
        let faults = format!(
            "{} missing, {} twice, {} out of order, {} for somebody else",
            number(all.missing as f64),
            number(all.duplicated as f64),
            number(all.out_of_order as f64),
            number(all.foreign as f64)
        );
        line(f, "", &faults)?;
        if !all.is_exact && self.publications.is_some() {
            line(
                f,
                "",
                "counted in the order of arrival: --match would tell which is which",
            )?;
        }
        if all.missing > 0 {
            let text = "missing may be meant: a server that conflates prices tells the newest to those who are behind";
            line(f, "", text)?;
        }
        if all.others > 0 {
            let text = format!(
                "{} results of no publication of ours",
                number(all.others as f64)
            );
            line(f, "", &text)?;
            if all.received == 0
                && let Some(sample) = &all.other_sample
            {
                line(f, "", &format!("such as {sample}"))?;
            }
        }
        if all.completed > 0 {
            line(
                f,
                "",
                &format!("{} operations completed", number(all.completed as f64)),
            )?;
        }
        let (received, sent) = (
            bytes(self.received_bytes as f64),
            bytes(self.sent_bytes as f64),
        );
        line(f, "", &format!("{received} received, {sent} sent"))
    }

    fn returns(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(all) = &self.returns {
            let text = format!(
                "{} of {}; {} told something first",
                number(all.subscribed as f64),
                number(all.told_to as f64),
                number(all.first_results as f64)
            );
            line(f, "came back", &text)?;
            times(f, "to subscribe", &all.to_subscribe)?;
            times(f, "to first result", &all.to_first_result)?;
        }
        if let Some(slow) = &self.slow {
            let text = format!(
                "{} clients did not read; the server let {} of them go",
                number(slow.clients as f64),
                number(slow.closed as f64)
            );
            line(f, "slow", &text)?;
            for close in &slow.closes {
                line(f, "", &shown(close))?;
            }
        }
        Ok(())
    }

    fn costs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(server) = &self.server {
            if let Some(cpu) = server.cpu {
                let each = server.micros_per_delivery;
                let each =
                    each.map_or_else(String::new, |each| format!(": {each:.2} µs per delivery"));
                let (user, system) = (cpu.user.as_secs_f64(), cpu.system.as_secs_f64());
                line(
                    f,
                    "server",
                    &format!("user {user:.2} s, system {system:.2} s{each}"),
                )?;
            }
            if let Some(each) = server.micros_per_connection {
                line(
                    f,
                    "",
                    &format!("{each:.0} µs per connection that was opened"),
                )?;
            }
            if let Some(connected) = server.resident_bytes_connected {
                let connected = bytes(connected as f64);
                let each = server.resident_bytes_per_connection;
                let each =
                    each.map_or_else(String::new, |each| format!(", {} bytes each", number(each)));
                let peak = bytes(server.resident_bytes_peak as f64);
                let text = format!("{connected} with all connections{each}; {peak} at most");
                line(f, "", &text)?;
            }
        }
        if let Some(share) = self.tester.busy_share {
            line(
                f,
                "load tester",
                &format!("busy for {:.0} % of the time", share * 100.0),
            )?;
            if share > BUSY {
                line(f, "", "these figures may be its own limit: see --threads")?;
            }
        }
        Ok(())
    }
}

/// One line: what it is about, and what there is to say.
fn line(f: &mut Formatter<'_>, about: &str, text: &str) -> fmt::Result {
    writeln!(f, "{about:<17} {text}")
}

fn times(f: &mut Formatter<'_>, about: &str, times: &Quantiles) -> fmt::Result {
    if times.count == 0 {
        return Ok(());
    }
    let Quantiles {
        p50_ms,
        p90_ms,
        p99_ms,
        p999_ms,
        max_ms,
        ..
    } = *times;
    let [p50, p90, p99, p999, max] = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(millis);
    let text = format!("p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}");
    line(f, &format!("  {about}"), &text)
}

fn shown(close: &CloseCount) -> String {
    let CloseCount {
        code,
        reason,
        count,
    } = close;
    format!("{} × {code} {reason}", number(*count as f64))
        .trim_end()
        .to_owned()
}

/// Three digits are enough of any time.
pub(super) fn millis(time: f64) -> String {
    match time {
        0.0..0.9995 => format!("{:.0} µs", time * 1e3),
        0.9995..9.995 => format!("{time:.2} ms"),
        9.995..99.95 => format!("{time:.1} ms"),
        99.95..999.5 => format!("{time:.0} ms"),
        999.5..9_995.0 => format!("{:.2} s", time / 1e3),
        _ => format!("{:.1} s", time / 1e3),
    }
}

/// Whole, with commas.
pub(super) fn number(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number <= -0.5 {
        "-".to_owned()
    } else {
        String::new()
    };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        ..1e4 => format!("{bytes:.0} bytes"),
        1e4..1e6 => format!("{:.0} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_as_people_read_them() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(-1_200.4), "-1,200");
        assert_eq!(
            [0.25, 1.0, 12.34, 123.4, 1_234.5, 12_345.0].map(millis),
            ["250 µs", "1.00 ms", "12.3 ms", "123 ms", "1.23 s", "12.3 s"]
        );
        assert_eq!(
            [12.0, 12_345.0, 2.5e6, 3e9].map(bytes),
            ["12 bytes", "12 kB", "2.5 MB", "3.00 GB"]
        );
    }
}
