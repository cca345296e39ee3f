//! A line chart as SVG: both axes logarithmic, colours that read on light and on dark.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 76.0;
/// One for each line; all of them about as bright as the grey of the text.
const COLOURS: [&str; 3] = ["#2f81d8", "#d9730d", "#2e9e62"];
const TEXT: &str = "#808080";
/// An axis without such a span has ticks at 1, 2 and 5 instead of powers of ten only.
const DECADES_MIN: f64 = 2.5;

/// Points that belong together.
pub(super) struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub(super) fn new(name: &str, points: Vec<(f64, f64)>) -> Line {
        let name = name.into();
        Line { name, points }
    }
}

/// A chart. Its texts are ours: none of them is escaped.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What the axes show, with their units.
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    pub(super) lines: Vec<Line>,
}

impl Chart {
    /// The drawing; `about` stands below it.
    pub(super) fn svg(&self, about: &str) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Axis::over(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = String::new();
        let mut put = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        put(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"{TEXT}\">"
        ));
        put(format!("<title>{}</title>", self.title));
        put(format!(
            "<text x=\"{LEFT}\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{}</text>",
            self.title
        ));
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in x.ticks() {
            let at = x.place(tick);
            put(rule((at, TOP), (at, bottom)));
            put(format!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                number(tick)
            ));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            put(rule((LEFT, at), (right, at)));
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                number(tick)
            ));
        }
        put(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, right),
            bottom + 40.0,
            self.x
        ));
        put(format!(
            "<text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(TOP, bottom),
            self.y
        ));
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let mut path = String::new();
            for (idx, point) in line.points.iter().enumerate() {
                let (at_x, at_y) = (x.place(point.0), y.place(point.1));
                let step = if idx == 0 { 'M' } else { 'L' };
                // Writing to a string cannot fail.
                let _ = write!(path, "{step}{at_x:.1} {at_y:.1}");
                put(format!(
                    "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
                ));
            }
            put(format!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ));
        }
        for (idx, (line, colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let at = LEFT + 150.0 * idx as f64;
            put(format!(
                "<text x=\"{at:.1}\" y=\"38\" fill=\"{colour}\">● {}</text>",
                line.name
            ));
        }
        put(format!(
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"11\">{about}</text>",
            HEIGHT - 10.0
        ));
        put("</svg>".into());
        out
    }
}

fn rule(from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{TEXT}\" \
         stroke-opacity=\"0.3\"/>",
        from.0, from.1, to.0, to.1
    )
}

/// A logarithmic axis from a place of the drawing to another.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis for these values, all of which are above 0, with round ends.
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Axis {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        assert!(0.0 < least && least <= most);
        let round = |value: f64, up: bool| {
            let decade = 10_f64.powf(value.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
            let mut fitting = steps.into_iter();
            // A hair of room for what rounding did to the value's own decade.
            let found = match up {
                true => fitting.find(|step| value <= step * 1.000_001),
                false => fitting.rfind(|step| *step <= value * 1.000_001),
            };
            found.unwrap_or(value)
        };
        // Less than a decade would make noise look like a slope.
        let most = round(most, true);
        let least = round(least.min(most / 10.0), false);
        Axis {
            least,
            most,
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value / self.least).log10() / (self.most / self.least).log10();
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let n_decades = (self.most / self.least).log10();
        let steps: &[f64] = if n_decades < DECADES_MIN {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.least.log10().floor());
        while decade <= self.most * 1.000_001 {
            ticks.extend(steps.iter().map(|step| step * decade));
            decade *= 10.0;
        }
        ticks.retain(|tick| self.least * 0.999 <= *tick && *tick <= self.most * 1.001);
        ticks
    }
}

/// A tick's number as people write it.
fn number(value: f64) -> String {
    if value < 1.0 {
        let n_decimals = -value.log10().floor() as usize;
        return format!("{value:.n_decimals$}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if 0 < idx && (digits.len() - idx).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_ends_and_ticks_within() {
        let axis = Axis::over([0.3, 7.0, 4_000.0].into_iter(), 0.0, 100.0);
        let ticks: Vec<String> = axis.ticks().into_iter().map(number).collect();
        assert_eq!(ticks, ["1", "10", "100", "1,000"]);
        assert_eq!(
            (number(axis.least), number(axis.most)),
            ("0.2".into(), "5,000".into())
        );
        assert_eq!(
            (axis.place(axis.least), axis.place(axis.most)),
            (0.0, 100.0)
        );
        let axis = Axis::over([20_000.0, 50_000.0].into_iter(), 0.0, 1.0);
        let ticks: Vec<String> = axis.ticks().into_iter().map(number).collect();
        assert_eq!(ticks, ["5,000", "10,000", "20,000", "50,000"]);
    }

    #[test]
    fn a_single_value_still_has_an_axis() {
        let axis = Axis::over([1.0].into_iter(), 0.0, 1.0);
        assert!(axis.least < axis.most);
    }

    #[test]
    fn a_drawing_is_one_line_after_the_other() {
        let chart = Chart {
            title: "t",
            x: "x (MB)",
            y: "y (ms)",
            lines: vec![Line::new(
                "a",
                vec![(1.0, 1.0), (10.0, 100.0), (100.0, 10.0)],
            )],
        };
        let svg = chart.svg("here");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(
            svg.contains("d=\"M84.0 364.0L390.0 44.0L696.0 204.0\""),
            "{svg}"
        );
    }
}
