//! Judges the other crates; nobody depends on it.

mod bench;
mod ci;
mod load;
mod tidy;

use clap::Parser as _;

#[derive(clap::Parser)]
enum Task {
    /// Runs every check: the rooms' walls, formatting, lints, tests, docs, the JSON API's fuzzer.
    Ci(ci::Options),
    /// Measures Debrief beside its peers.
    Bench(bench::Options),
    /// Measures costs that grow with work, and draws them into `bench/plots`.
    Plot(bench::plot::Options),
    /// Sends sessions from many representatives at once, and counts what was kept.
    Load(load::Options),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ci(options) => ci::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Plot(options) => bench::plot::run(&options),
        Task::Load(options) => load::run(&options),
    }
}
