//! The report as one page that needs nothing else: no network, no script, light and dark.

use std::fmt::Write;

use super::chart::{Axis, Chart, Line, escaped};
use super::report::{Quantiles, Report};
use super::series::{Connects, Latency};
use super::summary::{bytes, millis, number};

/// The page, as HTML.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    // Writing into a string does not fail.
    let _ = write_page(report, &mut html);
    html
}

const STYLE: &str = include_str!("page.css");

fn write_page(report: &Report, html: &mut String) -> std::fmt::Result {
    let title = format!("Load on {}", report.url);
    let title = escaped(&title);
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\
         <header><h1>{title}</h1>"
    )?;
    verdict(report, html)?;
    html.push_str("</header>");
    figures(report, html)?;
    let charts = [
        ("Latency over time", latency(report)),
        ("Latency by percentile", percentiles(report)),
        ("Deliveries per second", throughput(report)),
        ("Connections", connects(report)),
    ];
    for (name, chart) in charts {
        if let Some(chart) = chart {
            write!(html, "<section><h2>{name}</h2>{chart}</section>")?;
        }
    }
    tables(report, html)?;
    writeln!(
        html,
        "<details><summary>All of it, as text</summary><pre>{}</pre></details></main></body></html>",
        escaped(&report.to_string())
    )
}

fn verdict(report: &Report, html: &mut String) -> std::fmt::Result {
    let scenario = report.scenario;
    match report.failures.as_slice() {
        [] if report.deliveries.received == 0 => {
            write!(html, "<p class=\"good\">{scenario}: all connected.</p>")
        }
        [] => write!(
            html,
            "<p class=\"good\">{scenario}: every delivery came, once and in order.</p>"
        ),
        failures => write!(
            html,
            "<p class=\"bad\">{scenario}: {}.</p>",
            escaped(&failures.join(", "))
        ),
    }
}

/// The few figures that are looked for first.
fn figures(report: &Report, html: &mut String) -> std::fmt::Result {
    let (connections, deliveries) = (&report.connections, &report.deliveries);
    let mut all = vec![
        ("connections", number(connections.subscribed as f64)),
        ("connected per second", number(connections.per_second)),
        ("delivered per second", number(deliveries.per_second)),
    ];
    if deliveries.latency.count > 0 {
        all.push(("latency, median", millis(deliveries.latency.p50_ms)));
        all.push(("latency, p99", millis(deliveries.latency.p99_ms)));
    }
    if let Some(server) = &report.server {
        all.extend(
            server
                .micros_per_delivery
                .map(|each| ("CPU per delivery", format!("{each:.2} µs"))),
        );
        let each = server.resident_bytes_per_connection;
        all.extend(each.map(|each| ("memory per connection", bytes(each))));
    }
    html.push_str("<dl>");
    for (name, figure) in all {
        write!(html, "<div><dt>{name}</dt><dd>{figure}</dd></div>")?;
    }
    html.push_str("</dl>");
    Ok(())
}

fn latency(report: &Report) -> Option<String> {
    let points = &report.series.latency;
    let of = |value: fn(&Latency) -> Option<f64>| {
        points
            .iter()
            .map(|point| (point.at_seconds, value(point)))
            .collect::<Vec<_>>()
    };
    let lines = vec![
        Line {
            name: "median",
            points: of(|point| point.p50_ms),
        },
        Line {
            name: "p99",
            points: of(|point| point.p99_ms),
        },
        Line {
            name: "slowest",
            points: of(|point| point.max_ms),
        },
    ];
    let values = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .filter_map(|(_, value)| *value)
    };
    let (least, most) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let chart = Chart {
        title: "Time from publishing to receiving, over the time of the run",
        across: Axis::time(points.last()?.at_seconds),
        up: Axis::latency(least, most),
        lines,
    };
    Some(chart.html())
}

fn percentiles(report: &Report) -> Option<String> {
    const SHOWN: [f64; 7] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0];
    let curve = &report.deliveries.curve;
    let at = |percent: f64| {
        curve
            .iter()
            .find(|(other, _)| *other == percent)
            .map(|(_, time)| *time)
    };
    let texts = SHOWN.map(|percent| match percent {
        0.0 => "fastest".to_owned(),
        100.0 => "slowest".to_owned(),
        percent => format!("{percent} %"),
    });
    let points = SHOWN.iter().enumerate();
    let points: Vec<_> = points
        .map(|(place, percent)| (place as f64, at(*percent)))
        .collect();
    let (least, most) = (points.first()?.1?, points.last()?.1?);
    let chart = Chart {
        title: "Time that so many deliveries did not exceed",
        lines: vec![Line {
            name: "not slower than",
            points,
        }],
        across: Axis::places(&texts),
        up: Axis::latency(least, most),
    };
    Some(chart.html())
}

fn throughput(report: &Report) -> Option<String> {
    let mut before = 0.0;
    let points = report.series.latency.iter().map(|point| {
        let time = point.at_seconds - std::mem::replace(&mut before, point.at_seconds);
        (
            point.at_seconds,
            (time > 0.0).then(|| point.deliveries as f64 / time),
        )
    });
    let points: Vec<_> = points.collect();
    let most = points
        .iter()
        .filter_map(|(_, value)| *value)
        .reduce(f64::max)?;
    let chart = Chart {
        title: "Deliveries per second, over the time of the run",
        across: Axis::time(points.last()?.0),
        up: Axis::linear(most),
        lines: vec![Line {
            name: "received per second",
            points,
        }],
    };
    Some(chart.html())
}

fn connects(report: &Report) -> Option<String> {
    let points = &report.series.connects;
    let of = |value: fn(&Connects) -> u64| {
        points
            .iter()
            .map(|point| (point.at_seconds, Some(value(point) as f64)))
            .collect::<Vec<_>>()
    };
    let last = points.last()?;
    let chart = Chart {
        title: "Connections that have subscribed, over the time of connecting",
        lines: vec![
            Line {
                name: "subscribed",
                points: of(|point| point.subscribed),
            },
            Line {
                name: "told something first",
                points: of(|point| point.first_results),
            },
        ],
        across: Axis::time(last.at_seconds),
        up: Axis::linear(last.subscribed.max(last.first_results) as f64),
    };
    Some(chart.html())
}

fn tables(report: &Report, html: &mut String) -> std::fmt::Result {
    let (connections, deliveries) = (&report.connections, &report.deliveries);
    let mut rows = vec![
        ("publish to receive", &deliveries.latency),
        ("connect to subscribed", &connections.to_subscribe),
        ("connect to first result", &connections.to_first_result),
    ];
    if let Some(returns) = &report.returns {
        rows.push(("come back to subscribed", &returns.to_subscribe));
        rows.push(("come back to first result", &returns.to_first_result));
    }
    rows.retain(|(_, times)| times.count > 0);
    if !rows.is_empty() {
        html.push_str(
            "<section><h2>Times</h2><div class=\"wide\"><table><thead><tr><th></th><th>count</th><th>mean</th>\
             <th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr></thead><tbody>",
        );
        for (name, times) in rows {
            let Quantiles {
                count,
                mean_ms,
                p50_ms,
                p90_ms,
                p99_ms,
                p999_ms,
                max_ms,
            } = *times;
            write!(html, "<tr><th>{name}</th><td>{}</td>", number(count as f64))?;
            for time in [mean_ms, p50_ms, p90_ms, p99_ms, p999_ms, max_ms] {
                write!(html, "<td>{}</td>", millis(time))?;
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div></section>");
    }
    let errors = report
        .errors
        .iter()
        .map(|error| (error.error.clone(), error.count));
    let closes = report.closes.iter().map(|close| {
        (
            format!("closed with {} {}", close.code, close.reason),
            close.count,
        )
    });
    let wrong: Vec<_> = errors.chain(closes).collect();
    if !wrong.is_empty() {
        html.push_str("<section><h2>Errors and closes</h2><div class=\"wide\"><table><tbody>");
        for (what, count) in wrong {
            write!(
                html,
                "<tr><th>{}</th><td>{}</td></tr>",
                escaped(&what),
                number(count as f64)
            )?;
        }
        html.push_str("</tbody></table></div></section>");
    }
    Ok(())
}
