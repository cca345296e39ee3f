//! Judges the other crates; nobody depends on it.

mod bench;

use clap::Parser as _;

#[derive(clap::Parser)]
enum Task {
    /// Measures Debrief beside its peers.
    Bench(bench::Options),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Bench(options) => bench::run(&options),
    }
}
