//! A load's report as one HTML file: figures, conditions and plots, with nothing to be fetched from anywhere.
//!
//! Plots are SVG in the page: latency by percentile, latency and rate over time, processor time by thread. Whatever comes
//! from outside (names of threads, of the machine, of files) is escaped. Bounds: `POINTS` points a line.

use std::fmt::Write as _;

use crate::report::{LoadReport, Measured};

/// Points of one line at most; longer series are thinned by the largest of each group.
const POINTS: usize = 600;
/// Size of a plot and of its margins, in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 80.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 150.0;
/// Colours of lines, in their order.
const COLOURS: [&str; 8] = ["#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#be123c", "#4b5563"];

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// How an axis is divided.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// What a plot shows beside its lines.
struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    x_scale: Scale,
    y_scale: Scale,
}

/// The page.
pub fn page(report: &LoadReport, measured: &Measured) -> String {
    let mut html = String::with_capacity(64 << 10);
    let title = format!("{} over {:?}", report.conditions.scenario, report.conditions.transport);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:15px/1.45 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#1c1c1c}}\
         table{{border-collapse:collapse;margin:1em 0}}td,th{{border-bottom:1px solid #ddd;padding:.25em .8em;text-align:left;\
         vertical-align:top}}pre{{white-space:pre-wrap;background:#f5f5f5;padding:1em}}svg{{display:block;margin:1.2em 0}}\
         text{{font:12px system-ui,sans-serif}}</style></head><body><h1>{title}</h1><p>{about}</p>",
        title = escape(&title),
        about = escape(&report.conditions.about),
    );
    figures(report, &mut html);
    html.push_str(&plot(&percentiles(measured), &PERCENTILES));
    html.push_str(&plot(&latency_over_time(measured), &LATENCY_OVER_TIME));
    html.push_str(&plot(&rate_over_time(measured), &RATE_OVER_TIME));
    html.push_str(&plot(&cpu_by_thread(measured), &CPU_BY_THREAD));
    html.push_str(&plot(&memory(measured), &MEMORY));
    let json = serde_json::to_string_pretty(report).unwrap_or_default();
    let _ = write!(html, "<h2>Conditions</h2><pre>{}</pre></body></html>", escape(&json));
    html
}

fn figures(report: &LoadReport, html: &mut String) {
    let latency = &report.latency_us;
    let rows = [
        ("operations acknowledged a second", report.orders_per_second),
        ("offered a second", report.conditions.offered_per_second),
        ("latency p50, µs", latency.p50),
        ("latency p99, µs", latency.p99),
        ("latency p99.9, µs", latency.p99_9),
        ("latency p99.99, µs", latency.p99_99),
        ("latency max, µs", latency.max),
        ("sent", report.sent),
        ("acknowledged", report.acknowledged),
        ("filled on arrival", report.filled),
        ("rejected", report.rejected),
    ];
    html.push_str("<table>");
    for (name, value) in rows {
        let _ = write!(html, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    let _ = write!(html, "</table><p>Checked, and held: {}.</p>", escape(&report.conditions.checks.join("; ")));
}

const PERCENTILES: Axes = Axes {
    title: "Latency by percentile",
    x: "one operation in so many took longer",
    y: "µs",
    x_scale: Scale::Logarithmic,
    y_scale: Scale::Logarithmic,
};
const LATENCY_OVER_TIME: Axes = Axes {
    title: "Latency over time, by second",
    x: "seconds",
    y: "µs",
    x_scale: Scale::Linear,
    y_scale: Scale::Logarithmic,
};
const RATE_OVER_TIME: Axes = Axes {
    title: "Operations a second over time",
    x: "seconds",
    y: "a second",
    x_scale: Scale::Linear,
    y_scale: Scale::Linear,
};
const CPU_BY_THREAD: Axes = Axes {
    title: "Processor time by thread, percent of one processor",
    x: "seconds",
    y: "%",
    x_scale: Scale::Linear,
    y_scale: Scale::Linear,
};
const MEMORY: Axes =
    Axes { title: "Memory in use", x: "seconds", y: "MB", x_scale: Scale::Linear, y_scale: Scale::Linear };

fn percentiles(measured: &Measured) -> Vec<Line> {
    let curve = measured.recorder.latency_curve();
    let points = curve.iter().map(|point| (1.0 / point.above, point.us as f64)).collect();
    vec![Line { name: "all".to_owned(), points }]
}

fn latency_over_time(measured: &Measured) -> Vec<Line> {
    let line = |name: &str, of: fn(&crate::report::LatencyMicroseconds) -> u64| Line {
        name: name.to_owned(),
        points: measured
            .recorder
            .intervals()
            .iter()
            .filter(|interval| interval.acknowledged > 0)
            .map(|interval| (interval.end_ms as f64 / 1_000.0, of(&interval.latency_us) as f64))
            .collect(),
    };
    vec![line("p50", |us| us.p50), line("p99", |us| us.p99), line("max", |us| us.max)]
}

fn rate_over_time(measured: &Measured) -> Vec<Line> {
    let (mut before_ms, mut acknowledged, mut rejected) = (0, Vec::new(), Vec::new());
    for interval in measured.recorder.intervals() {
        let seconds = interval.end_ms.saturating_sub(before_ms) as f64 / 1_000.0;
        before_ms = interval.end_ms;
        // The rest of a second at the end would look like a peak or a hole.
        if seconds < 0.5 {
            continue;
        }
        let at = interval.end_ms as f64 / 1_000.0;
        acknowledged.push((at, interval.acknowledged as f64 / seconds));
        rejected.push((at, interval.rejected as f64 / seconds));
    }
    vec![
        Line { name: "acknowledged".to_owned(), points: acknowledged },
        Line { name: "rejected".to_owned(), points: rejected },
    ]
}

fn cpu_by_thread(measured: &Measured) -> Vec<Line> {
    let Some(last) = measured.uses.last() else { return Vec::new() };
    let mut threads: Vec<(&'static str, &String, u64)> = last
        .processes
        .iter()
        .flat_map(|(label, used)| used.cpu_ns.iter().map(move |(name, ns)| (*label, name, *ns)))
        .collect();
    threads.sort_unstable_by_key(|(_, _, ns)| std::cmp::Reverse(*ns));
    let line = |(label, name, _): (&'static str, &String, u64)| {
        let used = |index: usize| measured.uses[index].processes[label].cpu_ns.get(name).copied().unwrap_or(0);
        let percent = |index: usize| {
            let ms = measured.uses[index].at_ms.saturating_sub(measured.uses[index - 1].at_ms).max(1);
            let ran_ms = used(index).saturating_sub(used(index - 1)) as f64 / 1_000_000.0;
            (measured.uses[index].at_ms as f64 / 1_000.0, ran_ms / ms as f64 * 100.0)
        };
        Line { name: format!("{label}: {name}"), points: (1..measured.uses.len()).map(percent).collect() }
    };
    threads.into_iter().take(COLOURS.len()).map(line).collect()
}

fn memory(measured: &Measured) -> Vec<Line> {
    let labels = measured.uses.first().into_iter().flat_map(|sample| sample.processes.keys());
    let line = |label: &&'static str| Line {
        name: (*label).to_owned(),
        points: measured
            .uses
            .iter()
            .map(|sample| (sample.at_ms as f64 / 1_000.0, sample.processes[label].resident_bytes as f64 / 1e6))
            .collect(),
    };
    labels.map(line).collect()
}

/// Keeps the largest of each group, so that no peak is lost.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS).max(1);
    let largest = |group: &[(f64, f64)]| group.iter().copied().max_by(|left, right| left.1.total_cmp(&right.1));
    points.chunks(group).filter_map(largest).collect()
}

/// From values to pixels along one axis.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, scale: Scale) -> Self {
        let values = values.filter(|value| scale == Scale::Linear || *value > 0.0);
        let high = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        match scale {
            Scale::Linear => Self { scale, low: 0.0, high: if high > 0.0 { high * 1.05 } else { 1.0 } },
            Scale::Logarithmic => {
                let low = values.fold(f64::MAX, f64::min).min(high);
                let (low, high) = (low.log10().floor(), high.log10().ceil());
                Self { scale, low, high: if high > low { high } else { low + 1.0 } }
            }
        }
    }

    /// 0 at the low end, 1 at the high one.
    fn place(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Logarithmic => {
                let (mut ticks, mut power) = (Vec::new(), self.low);
                while power <= self.high && ticks.len() < 12 {
                    ticks.push(10_f64.powf(power));
                    power += 1.0;
                }
                ticks
            }
            Scale::Linear => {
                let rough = (self.high - self.low) / 5.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
                let step = step.unwrap_or(rough);
                (0..8).map(|index| f64::from(index) * step).take_while(|tick| *tick <= self.high).collect()
            }
        }
    }
}

fn plot(lines: &[Line], axes: &Axes) -> String {
    let thinned: Vec<Vec<(f64, f64)>> = lines.iter().map(|line| thin(&line.points)).collect();
    if thinned.iter().all(Vec::is_empty) {
        return String::new();
    }
    let all = || thinned.iter().flatten().copied();
    let (x_axis, y_axis) =
        (Axis::of(all().map(|(x, _)| x), axes.x_scale), Axis::of(all().map(|(_, y)| y), axes.y_scale));
    let x_at = |x: f64| LEFT + x_axis.place(x) * (WIDTH - LEFT - RIGHT);
    let y_at = |y: f64| HEIGHT - BOTTOM - y_axis.place(y) * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<h2>{}</h2><svg width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">",
        escape(axes.title)
    );
    for tick in y_axis.ticks() {
        let (y, left, right) = (y_at(tick), LEFT, WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e2e2e2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            y + 4.0,
            short(tick)
        );
    }
    for tick in x_axis.ticks() {
        let (x, base) = (x_at(tick), HEIGHT - BOTTOM);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base}\" y2=\"{}\" stroke=\"#888\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            base + 4.0,
            base + 17.0,
            short(tick)
        );
    }
    for (index, (line, points)) in lines.iter().zip(&thinned).enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let places: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_at(*x), y_at(*y))).collect();
        let (x, y) = (WIDTH - RIGHT + 10.0, TOP + 12.0 + index as f64 * 17.0);
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>\
             <text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>",
            places.join(" "),
            escape(&line.name)
        );
    }
    let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4.0);
    let _ = write!(
        svg,
        "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">{}</text><text x=\"4\" y=\"{}\">{}</text></svg>",
        escape(axes.x),
        TOP + 4.0,
        escape(axes.y)
    );
    svg
}

/// A tick's number without needless digits.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_stay_inside_and_keep_their_peaks() {
        let points: Vec<(f64, f64)> =
            (0..5_000).map(|x| (f64::from(x), if x == 777 { 1_000.0 } else { 10.0 })).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= POINTS && thinned.contains(&(777.0, 1_000.0)), "{} points", thinned.len());
        let svg = plot(&[Line { name: "a<b".to_owned(), points }], &LATENCY_OVER_TIME);
        assert!(svg.contains("a&lt;b") && svg.ends_with("</svg>"), "{svg}");
        let numbers = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        for place in numbers.split(' ') {
            let (x, y) = place.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{place}");
        }
        assert_eq!(plot(&[], &MEMORY), "");
    }

    #[test]
    fn axes_have_round_ticks() {
        let linear = Axis::of([0.0, 93.0].into_iter(), Scale::Linear);
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let logarithmic = Axis::of([3.0, 4_500.0].into_iter(), Scale::Logarithmic);
        assert_eq!(logarithmic.ticks(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(
            (short(100_000.0), short(0.5), short(2_000_000.0)),
            ("100k".to_owned(), "0.5".to_owned(), "2M".to_owned())
        );
    }
}
