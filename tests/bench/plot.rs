//! Line charts as SVG, drawn by hand: an axis each way, a line and a name for each series.

use std::fmt::Write;

use crate::report;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 4] = ["#1668a8", "#c2410c", "#3f7d20", "#7c3aed"];

/// A line: its name and its points.
pub type Series<'a> = (&'a str, Vec<(f64, f64)>);

/// Writes `target/bench/<name>.svg`.
pub fn lines(name: &str, title: &str, across: &str, up: &str, series: &[Series<'_>]) {
    let points = || series.iter().flat_map(|(_, points)| points);
    let most_x = points().map(|point| point.0).fold(0.0, f64::max);
    let most_y = round_up(points().map(|point| point.1).fold(0.0, f64::max));
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin((WIDTH, HEIGHT), LEFT, title);
    let _ = write!(
        svg,
        r#"<text x="{:.0}" y="{:.0}" text-anchor="middle">{across}</text>
<text x="16" y="{:.0}" text-anchor="middle" transform="rotate(-90 16 {:.0})">{up}</text>
"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        HEIGHT / 2.0,
        HEIGHT / 2.0,
    );
    for step in 0..=4 {
        let (value, time) = (most_y * f64::from(step) / 4.0, most_x * f64::from(step) / 4.0);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{:.1}" y1="{:.1}" y2="{:.1}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{value:.0}</text><text x="{:.1}" y="{:.1}" text-anchor="middle">{time:.0}</text>"##,
            WIDTH - RIGHT,
            y(value),
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            x(time),
            HEIGHT - BOTTOM + 18.0,
        );
    }
    for (n, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let path: Vec<_> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{:.1}" y="{:.1}" fill="{colour}">{name}</text>"#,
            path.join(" "),
            LEFT + 12.0,
            HEIGHT - BOTTOM - 12.0 - 16.0 * n as f64,
        );
    }
    save(name, svg);
}

/// A white picture with a title, to which elements are added.
pub fn begin((width, height): (f64, f64), left: f64, title: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="{left}" y="20" font-size="14" font-weight="bold">{title}</text>
"#
    )
}

/// Ends the picture and writes it to `target/bench/<name>.svg`.
pub fn save(name: &str, picture: String) {
    let path = report::folder().join(format!("{name}.svg"));
    std::fs::write(&path, picture + "</svg>\n").expect("write the picture");
    println!("   drawn to {}", path.display());
}

/// The next number of one digit and zeros.
fn round_up(value: f64) -> f64 {
    let unit = 10f64.powf(value.max(1.0).log10().floor());
    (value / unit).ceil() * unit
}
