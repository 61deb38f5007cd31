//! Lines on a grid, as SVG that takes its colours from the page around it.

use std::fmt::Write;

/// A chart: some lines over the same axes.
pub(super) struct Chart<'a> {
    /// What a screen reader says of it.
    pub(super) title: &'a str,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) across: Axis<'a>,
    pub(super) up: Axis<'a>,
}

/// A line, and what it is called. Where there is no value it is broken.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// What is said along an axis: where the marks are, and how they read.
pub(super) struct Axis<'a> {
    unit: &'a str,
    marks: Vec<(f64, String)>,
    /// The values at its ends.
    low: f64,
    high: f64,
    /// Each mark is as many times the one before: for latencies, whose tails are long.
    is_logarithmic: bool,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
/// Around the grid: for the marks, and for the names of the lines.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

impl Chart<'_> {
    /// The chart with a legend, as HTML.
    pub(super) fn html(&self) -> String {
        let mut html = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut html);
        html
    }

    fn write(&self, html: &mut String) -> std::fmt::Result {
        let title = escaped(self.title);
        write!(html, "<ul class=\"legend\">")?;
        for (number, line) in self.lines.iter().enumerate() {
            write!(
                html,
                "<li class=\"line-{number}\">{}</li>",
                escaped(line.name)
            )?;
        }
        write!(
            html,
            "</ul><div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        )?;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in &self.up.marks {
            let y = self.y(*value);
            write!(
                html,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                escaped(text)
            )?;
        }
        for (value, text) in &self.across.marks {
            let x = self.x(*value);
            write!(
                html,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}{}</text>",
                bottom + 18.0,
                escaped(text),
                escaped(self.across.unit)
            )?;
        }
        for (number, line) in self.lines.iter().enumerate() {
            write!(
                html,
                "<path class=\"line-{number}\" d=\"{}\"/>",
                self.path(line)
            )?;
        }
        write!(html, "</svg></div>")
    }

    fn path(&self, line: &Line<'_>) -> String {
        let (mut path, mut is_drawing) = (String::new(), false);
        for (across, up) in &line.points {
            let Some(up) = up else {
                is_drawing = false;
                continue;
            };
            let command = if is_drawing { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*across), self.y(*up));
            if !is_drawing {
                // One point alone is seen, too: a line of no length with round ends.
                path.push_str("h0");
            }
            is_drawing = true;
        }
        path
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.share(value) * (HEIGHT - TOP - BOTTOM)
    }
}

impl<'a> Axis<'a> {
    /// From 0 to the round mark above this value.
    pub(super) fn linear(most: f64) -> Self {
        let (step, most) = step(most);
        Axis::with_marks((most / step).ceil() as usize, step)
    }

    /// From 0 to the end of a time in seconds, and no further.
    pub(super) fn time(seconds: f64) -> Self {
        let (step, seconds) = step(seconds);
        Axis {
            unit: " s",
            high: seconds,
            ..Axis::with_marks((seconds / step).floor() as usize, step)
        }
    }

    fn with_marks(count: usize, step: f64) -> Self {
        let text = |value: f64| match step {
            1.0.. if step.fract() == 0.0 => super::summary::number(value),
            _ => format!("{value:.2}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned(),
        };
        let marks = (0..=count).map(|number| number as f64 * step);
        Axis {
            unit: "",
            marks: marks.map(|value| (value, text(value))).collect(),
            low: 0.0,
            high: count as f64 * step,
            is_logarithmic: false,
        }
    }

    /// Powers of ten, in milliseconds, from the one below the least to the one above the most.
    pub(super) fn latency(least: f64, most: f64) -> Self {
        // Hours and nanoseconds are further apart than any chart is high.
        let exponent = |value: f64| value.clamp(1e-3, 1e6).log10();
        let low = exponent(least).floor() as i32;
        let high = (exponent(most).ceil() as i32).max(low + 1);
        let text = |power: i32| match power {
            ..0 => format!("{} µs", 10i32.pow((power + 3).unsigned_abs())),
            0..3 => format!("{} ms", 10i32.pow(power.unsigned_abs())),
            3.. => format!("{} s", 10i32.pow((power - 3).unsigned_abs())),
        };
        Axis {
            unit: "",
            marks: (low..=high)
                .map(|power| (10f64.powi(power), text(power)))
                .collect(),
            low: 10f64.powi(low),
            high: 10f64.powi(high),
            is_logarithmic: true,
        }
    }

    /// Marks at these places, one as far from the next as any other.
    pub(super) fn places(texts: &[String]) -> Self {
        let marks = texts.iter().enumerate();
        Axis {
            unit: "",
            marks: marks
                .map(|(place, text)| (place as f64, text.clone()))
                .collect(),
            low: 0.0,
            high: texts.len().saturating_sub(1) as f64,
            is_logarithmic: false,
        }
    }

    /// How far along the axis a value is.
    fn share(&self, value: f64) -> f64 {
        let Axis { low, high, .. } = *self;
        let share = match self.is_logarithmic {
            true => (value.max(low) / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// The step between round marks up to this value, of which there are four or five, and the value if
/// it is one that an axis can end with.
fn step(most: f64) -> (f64, f64) {
    let most = if most > 0.0 && most.is_finite() {
        most
    } else {
        1.0
    };
    let magnitude = 10f64.powf((most / 4.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| most / step <= 5.0);
    (step.unwrap_or(most), most)
}

/// Text between tags, and in attributes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(axis: &Axis<'_>) -> Vec<String> {
        axis.marks.iter().map(|(_, text)| text.clone()).collect()
    }

    #[test]
    fn marks_are_round() {
        let up_to = |most| marks(&Axis::linear(most));
        assert_eq!(
            up_to(9_870.0),
            ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]
        );
        assert_eq!(up_to(0.31), ["0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(up_to(0.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(marks(&Axis::time(3.1)), ["0", "1", "2", "3"]);
        let halves = ["0", "2.5", "5", "7.5", "10"];
        assert_eq!(marks(&Axis::time(11.0)), halves);
        assert_eq!(
            marks(&Axis::latency(0.3, 42.0)),
            ["100 µs", "1 ms", "10 ms", "100 ms"]
        );
        assert_eq!(marks(&Axis::latency(0.0, 2_000.0)).first().unwrap(), "1 µs");
        assert_eq!(
            marks(&Axis::latency(900.0, 2_000.0)),
            ["100 ms", "1 s", "10 s"]
        );
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let points = vec![
            (0.0, Some(0.0)),
            (1.0, Some(1.0)),
            (2.0, None),
            (3.0, Some(1.0)),
        ];
        let chart = Chart {
            title: "a < b",
            lines: vec![Line {
                name: "p50",
                points,
            }],
            across: Axis::time(3.0),
            up: Axis::linear(1.0),
        };
        let html = chart.html();
        assert_eq!(chart.path(&chart.lines[0]).matches('M').count(), 2);
        assert!(html.contains("aria-label=\"a &lt; b\""), "{html}");
        assert!(!html.contains("NaN"), "{html}");
    }

    #[test]
    fn no_value_is_outside_of_the_grid() {
        for axis in [
            Axis::linear(10.0),
            Axis::time(0.0),
            Axis::latency(1.0, 10.0),
            Axis::places(&[]),
        ] {
            for value in [-1.0, 0.0, 5.0, 1e12, f64::NAN, f64::INFINITY] {
                assert!((0.0..=1.0).contains(&axis.share(value)), "{value}");
            }
        }
    }
}
