//! The row about a report that a database of XML makes: BaseX, filled with Debrief's own document.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::super::basex::{BASEX_MISSING, Basex};
use super::super::census::Census;
use super::super::results::Measured;
use super::super::stand::{Stand, say};
use super::part::Part;
use super::{MEGABYTE, missing, rounds};

/// Java compiles while it runs: BaseX is asked for so long before it is measured.
const WARMING: Duration = Duration::from_secs(15);

pub(super) fn against_basex(stand: &mut Stand) -> anyhow::Result<Measured> {
    let folder = stand.home().join("basex");
    let Some(basex) = Basex::start(&folder)? else {
        return Ok(missing(BASEX_MISSING));
    };
    let document = folder.join("report.xml");
    let mut file = BufWriter::new(File::create(&document)?);
    let part = Part::oldest(stand, &mut file)?;
    file.flush()?;
    let began = Instant::now();
    let mut reporting = basex.reporting(&document)?;
    let secs = began.elapsed().as_secs_f64();
    say(&format!("BaseX read the document in {secs:.1} s"));
    let theirs = reporting.report()?;
    part.check_facts("BaseX", theirs.len() as u64)?;
    let (ours, theirs) = (Census::of(&document)?, Census::read(theirs.as_slice())?);
    ensure!(ours == theirs, "BaseX answers other sessions");
    let began = Instant::now();
    while began.elapsed() < WARMING {
        reporting.report_bytes()?;
    }
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [&mut || part.sent_by_debrief(stand), &mut || {
            let began = Instant::now();
            let mut n_reports = 0.0;
            while n_reports == 0.0 || began.elapsed() < stand.scale.sample {
                reporting.report_bytes()?;
                n_reports += 1.0;
            }
            // The same facts count as many bytes as ours, though BaseX writes them in fewer.
            let megabytes = n_reports * part.xml_bytes as f64 / MEGABYTE;
            Ok(megabytes / began.elapsed().as_secs_f64())
        }],
    )?;
    drop((reporting, basex));
    fs::remove_dir_all(&folder)?;
    Ok(part.compared(debrief, peer))
}
