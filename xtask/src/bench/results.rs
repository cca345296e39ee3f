//! What was measured, as a table for people and as `bench/results.json` for programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::big::Extra;
use super::rows::{Better, Row};

/// Where the results of a kind of run go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// A file of the folder `bench`.
    json: &'static str,
    /// What stands around its table in `bench/README.md`.
    table_begin: &'static str,
    table_end: &'static str,
}

pub(super) const USUAL: Place = Place {
    json: "results.json",
    table_begin: "<!-- table: written by `cargo xtask bench` -->",
    table_end: "<!-- end of table -->",
};
pub(super) const BIG: Place = Place {
    json: "results-big.json",
    table_begin: "<!-- table: written by `cargo xtask bench --big` -->",
    table_end: "<!-- end of the big table -->",
};

/// A cell of the table with nothing to tell.
const NONE: &str = "–";

/// What a row found.
pub(super) enum Measured {
    /// One value per repeat in each list.
    Done {
        /// What both sides are measured in.
        unit: &'static str,
        debrief: Vec<f64>,
        peer: Vec<f64>,
        ratios: Vec<f64>,
        /// What this run did otherwise than the row says.
        note: Option<String>,
    },
    /// The row could not run on this machine, and what would change that.
    Missing { why: String },
}

impl Measured {
    /// The same, with what this run did otherwise than the row says.
    pub(super) fn noted(mut self, text: String) -> Measured {
        if let Measured::Done { note, .. } = &mut self {
            *note = Some(text);
        }
        self
    }
}

/// Median, least and most.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert!(!sorted.is_empty());
        let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        Spread {
            median: f64::midpoint(sorted[low], sorted[high]),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }

    fn show(self) -> String {
        let Spread { median, min, max } = self;
        format!("{} ({}–{})", short(median), short(min), short(max))
    }
}

/// The middle of several values.
pub(super) fn median(values: &[f64]) -> f64 {
    Spread::of(values).median
}

/// Everything a run found.
pub(super) struct Results {
    pub(super) n_sessions: u32,
    pub(super) n_repeats: u32,
    /// What part of the archive the rows ask for, where it is not all of it.
    pub(super) range: Option<String>,
    pub(super) rows: Vec<(&'static Row, Measured)>,
    /// What has no peer.
    pub(super) extras: Vec<Extra>,
}

/// The shape of `bench/results.json`, from the performance page §3.
#[derive(Serialize)]
struct Document {
    machine: String,
    commit: String,
    rows: Vec<RowDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extras: Vec<ExtraDocument>,
}

#[derive(Serialize)]
struct ExtraDocument {
    name: &'static str,
    unit: &'static str,
    median: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Serialize)]
struct RowDocument {
    name: &'static str,
    against: &'static str,
    ratio: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    goal: Option<f64>,
    stretch: Option<f64>,
    better: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Results {
    /// A Markdown table that reads well on a terminal too.
    pub(super) fn table(&self) -> String {
        let header = [
            "row", "what", "Debrief", "peer", "unit", "ratio", "goal", "stretch", "reached",
        ];
        let header = header.map(str::to_owned);
        let rows: Vec<_> = self.rows.iter().map(|(row, got)| cells(row, got)).collect();
        let lines: Vec<&[String; 9]> = [&header].into_iter().chain(&rows).collect();
        let widths: [usize; 9] = std::array::from_fn(|column| {
            let width = |line: &&[String; 9]| line[column].chars().count();
            lines.iter().map(width).max().unwrap_or(0)
        });
        let mut table = String::new();
        for (line_idx, line) in lines.into_iter().enumerate() {
            for (cell, &width) in line.iter().zip(&widths) {
                table.push_str(&format!("| {cell:width$} "));
            }
            table.push_str("|\n");
            if line_idx == 0 {
                let rule = widths.map(|width| format!("|{}", "-".repeat(width + 2)));
                table.push_str(&format!("{}|\n", rule.concat()));
            }
        }
        table
    }

    /// What has no peer, as a table of its own; nothing when there is nothing.
    pub(super) fn extras_table(&self) -> String {
        if self.extras.is_empty() {
            return String::new();
        }
        let mut table = String::from("\n| what | |\n|---|---|\n");
        for extra in &self.extras {
            table.push_str(&format!("| {} | {} |\n", extra.name, extra.told()));
        }
        table
    }

    /// Writes `results.json`, and the table into the README beside it.
    pub(super) fn write(
        &self,
        workspace: &Path,
        place: Place,
        commit: String,
    ) -> anyhow::Result<()> {
        let folder = workspace.join("bench");
        let document = Document {
            machine: machine()?,
            commit,
            rows: self.rows.iter().map(|(row, got)| json(row, got)).collect(),
            extras: self.extras.iter().map(extra_json).collect(),
        };
        let range = self.range.as_ref();
        let range = range.map(|range| format!("; whole-range rows ask for {range}"));
        let heading = format!(
            "{}; {} sessions, {} repeats; commit `{}`{}.",
            document.machine,
            self.n_sessions,
            self.n_repeats,
            document.commit,
            range.unwrap_or_default()
        );
        let json = serde_json::to_string_pretty(&document)?;
        fs::write(folder.join(place.json), json + "\n")?;
        let readme = folder.join("README.md");
        let text = fs::read_to_string(&readme).context("cannot read `bench/README.md`")?;
        let block = format!("{heading}\n\n{}{}", self.table(), self.extras_table());
        fs::write(readme, with_block(&text, &block, place)?)?;
        Ok(())
    }
}

/// A row in one line.
pub(super) fn line(row: &Row, got: &Measured) -> String {
    if let Measured::Missing { why } = got {
        return format!("{}: {why}", row.key);
    }
    let [key, _, debrief, peer, unit, ratio, _, _, reached] = cells(row, got);
    format!("{key}: {debrief}, peer {peer} {unit}: {ratio}, {reached}")
}

impl Extra {
    /// The values with their unit.
    pub(super) fn told(&self) -> String {
        match &self.values {
            Ok(values) => format!("{} {}", Spread::of(values).show(), self.unit),
            Err(why) => why.clone(),
        }
    }
}

fn cells(row: &Row, got: &Measured) -> [String; 9] {
    let (debrief, peer, unit, ratio, reached) = match got {
        Measured::Done {
            unit,
            debrief,
            peer,
            ratios,
            note: _,
        } => {
            let ratio = Spread::of(ratios);
            (
                Spread::of(debrief).show(),
                Spread::of(peer).show(),
                (*unit).to_owned(),
                ratio.show(),
                reached(row, ratio.median).to_owned(),
            )
        }
        Measured::Missing { why } => {
            let none = || NONE.to_owned();
            (none(), none(), none(), none(), why.clone())
        }
    };
    let sign = match row.better {
        Better::Higher => "≥",
        Better::Lower => "≤",
    };
    let note = match got {
        Measured::Done { note, .. } => note.as_deref(),
        Measured::Missing { .. } => None,
    };
    let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
    let what = format!("{}; against {}{note}", row.name, row.against);
    let wanted = |value: f64| format!("{sign} {}", short(value));
    let (goal, stretch) = match row.goals {
        Some(goals) => (wanted(goals.goal), wanted(goals.stretch)),
        None => (NONE.to_owned(), NONE.to_owned()),
    };
    let key = row.key.to_owned();
    [
        key, what, debrief, peer, unit, ratio, goal, stretch, reached,
    ]
}

fn reached(row: &Row, ratio: f64) -> &'static str {
    let Some(goals) = row.goals else {
        return NONE;
    };
    let meets = |wanted: f64| match row.better {
        Better::Higher => wanted <= ratio,
        Better::Lower => ratio <= wanted,
    };
    if meets(goals.stretch) {
        return "stretch";
    }
    if meets(goals.goal) { "goal" } else { "no" }
}

fn json(row: &Row, got: &Measured) -> RowDocument {
    let (ratio, why, note) = match got {
        Measured::Done { ratios, note, .. } => (Some(Spread::of(ratios)), None, note.clone()),
        Measured::Missing { why } => (None, Some(why.clone()), None),
    };
    RowDocument {
        name: row.name,
        against: row.against,
        ratio: ratio.map(|ratio| rounded(ratio.median)),
        min: ratio.map(|ratio| rounded(ratio.min)),
        max: ratio.map(|ratio| rounded(ratio.max)),
        goal: row.goals.map(|goals| goals.goal),
        stretch: row.goals.map(|goals| goals.stretch),
        better: match row.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        },
        why,
        note,
    }
}

fn extra_json(extra: &Extra) -> ExtraDocument {
    let spread = extra.values.as_ref().ok().map(|values| Spread::of(values));
    ExtraDocument {
        name: extra.name,
        unit: extra.unit,
        median: spread.map(|spread| rounded(spread.median)),
        min: spread.map(|spread| rounded(spread.min)),
        max: spread.map(|spread| rounded(spread.max)),
        why: extra.values.as_ref().err().cloned(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let n_decimals = match value.abs() {
        size if 100.0 <= size => 0,
        size if 10.0 <= size => 1,
        size if 1.0 <= size => 2,
        _ => 3,
    };
    format!("{value:.n_decimals$}")
}

/// The text with `block` between its two marker comments.
fn with_block(text: &str, block: &str, place: Place) -> anyhow::Result<String> {
    let begin = text.find(place.table_begin);
    let begin = begin.map(|at| at + place.table_begin.len());
    let end = text.find(place.table_end);
    let (begin, end) = begin
        .zip(end)
        .context("`bench/README.md` has no place for the table")?;
    ensure!(begin <= end, "the markers in `bench/README.md` are swapped");
    Ok(format!("{}\n{block}{}", &text[..begin], &text[end..]))
}

/// The processor and its cores; nothing that tells whose machine it is.
pub(super) fn machine() -> anyhow::Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot ask about the processor")?;
    let field = |line: &str, name: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    let model = cpus.lines().find_map(|line| field(line, "model name"));
    let n_cores = cpus.lines().filter_map(|line| field(line, "processor"));
    let model = model.unwrap_or_else(|| "unknown processor".into());
    Ok(format!("{model}, {} cores", n_cores.count()))
}

/// The commit that was built, and whether its code has been changed since.
pub(super) fn commit(workspace: &Path) -> anyhow::Result<String> {
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(workspace)
            .output()
            .context("cannot run git")?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let id = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--", "crates", "Cargo.lock"])?;
    let mark = if changes.is_empty() { "" } else { "-changed" };
    Ok(format!("{id}{mark}"))
}

#[cfg(test)]
mod tests {
    use super::super::rows::Goals;
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = |median, min, max| Spread { median, min, max };
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), spread(2.0, 1.0, 3.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), spread(2.5, 1.0, 4.0));
    }

    #[test]
    fn a_row_without_goals_reaches_none_and_fails_none() {
        let row = |goals| Row {
            key: "key",
            name: "name",
            against: "peer",
            goals,
            better: Better::Higher,
            measure: |_| unreachable!(),
        };
        let done = || Measured::Done {
            unit: "MB/s",
            debrief: vec![3.0],
            peer: vec![2.0],
            ratios: vec![1.5],
            note: None,
        };
        let shown = |goals| cells(&row(goals), &done())[5..].join(" | ");
        assert_eq!(shown(None), "1.50 (1.50–1.50) | – | – | –");
        let (goal, stretch) = (1.5, 2.0);
        let goals = Some(Goals { goal, stretch });
        assert_eq!(shown(goals), "1.50 (1.50–1.50) | ≥ 1.50 | ≥ 2.00 | goal");
        let document = json(&row(None), &done());
        let document = serde_json::to_value(document).expect("a document");
        assert_eq!(document["ratio"], 1.5);
        assert!(document["goal"].is_null());
        assert!(document["stretch"].is_null());
    }

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let around = |place: Place, block: &str| {
            format!(
                "a\n{}\n{block}\n{}\nb\n",
                place.table_begin, place.table_end
            )
        };
        let (usual, big) = (around(USUAL, "old"), around(BIG, "old"));
        let new = with_block(&(usual.clone() + &big), "new\n", USUAL).expect("both markers");
        assert_eq!(new, around(USUAL, "new") + &big);
        let new = with_block(&(usual.clone() + &big), "new\n", BIG).expect("both markers");
        assert_eq!(new, usual + &around(BIG, "new"));
        assert!(with_block("a", "new", USUAL).is_err());
    }
}
