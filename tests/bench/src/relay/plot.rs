//! A plot as SVG: curves over a logarithmic axis.

use std::fmt::Write as _;

use crate::spread::Spread;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;
const COLOURS: [&str; 2] = ["#1b6ca8", "#c8553d"];
/// About so many lines across.
const LINES: f64 = 5.0;

pub struct Point {
    pub x: f64,
    pub y: Spread,
}

pub struct Curve {
    pub name: String,
    pub points: Vec<Point>,
}

/// Where values stand on the paper.
struct Scale {
    x: (f64, f64),
    top: f64,
}

impl Scale {
    fn of(curves: &[Curve]) -> Self {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let least = points().map(|point| point.x).fold(f64::INFINITY, f64::min);
        let most = points().map(|point| point.x).fold(least * 2.0, f64::max);
        Self { x: (least.ln(), most.ln()), top: points().map(|point| point.y.most).fold(0.0, f64::max) * 1.1 }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value.ln() - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

/// At most two curves. Each point has a bar from its least to its most.
pub fn draw(title: &str, x_name: &str, y_name: &str, curves: &[Curve]) -> String {
    let scale = Scale::of(curves);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, (LEFT, TOP - 20.0), "start", &format!("{title}, {y_name}"));
    text(&mut svg, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0), "middle", x_name);
    axes(&mut svg, &scale, curves);
    for (curve, colour) in curves.iter().zip(COLOURS) {
        draw_curve(&mut svg, &scale, curve, colour);
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String, scale: &Scale, curves: &[Curve]) {
    let step = round_step(scale.top / LINES);
    let mut value = 0.0;
    while value <= scale.top {
        line(svg, (LEFT, scale.y(value)), (WIDTH - RIGHT, scale.y(value)), "#ddd");
        text(svg, (LEFT - 8.0, scale.y(value) + 4.0), "end", &format!("{value}"));
        value += step;
    }
    for point in curves.first().map_or(&[][..], |curve| &curve.points) {
        let x = scale.x(point.x);
        line(svg, (x, scale.y(0.0)), (x, scale.y(0.0) + 5.0), "#444");
        text(svg, (x, scale.y(0.0) + 20.0), "middle", &format!("{}", point.x));
    }
}

fn draw_curve(svg: &mut String, scale: &Scale, curve: &Curve, colour: &str) {
    let path: Vec<String> =
        curve.points.iter().map(|point| format!("{:.1},{:.1}", scale.x(point.x), scale.y(point.y.median))).collect();
    put(
        svg,
        format_args!("<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", path.join(" ")),
    );
    for Point { x, y } in &curve.points {
        let x = scale.x(*x);
        line(svg, (x, scale.y(y.least)), (x, scale.y(y.most)), colour);
        put(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>", scale.y(y.median)));
    }
    if let Some(last) = curve.points.last() {
        text(svg, (scale.x(last.x) + 10.0, scale.y(last.y.median) + 4.0), "start", &curve.name);
    }
}

/// 1, 2 or 5 times a power of ten: the next at or above it.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|&step| step >= least).unwrap_or(10.0 * power)
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    put(svg, format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"));
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>"));
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("a string takes it");
}
