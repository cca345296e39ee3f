//! The row about recordings that come in: memory must not depend on their size.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;

use super::super::debrief::Server;
use super::super::deliver::{Http, Keeper as _};
use super::super::events::feeds;
use super::super::load::{Connection, put_head};
use super::super::results::Measured;
use super::super::stand::{Stand, free_bytes, say};
use super::{compared, megabytes, peak_megabytes};

/// Bytes sent at a time; they are made anew each time.
const PIECE_BYTES: usize = 1 << 20;
/// An upload may take this share of the free disk.
const DISK_SHARE: u64 = 3;
/// What makes the server take the bytes for a WebM file, and nothing else of it.
const WEBM_HEAD: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

pub(super) fn memory_of_an_upload(stand: &mut Stand) -> anyhow::Result<Measured> {
    let wanted = stand.scale.upload_bytes;
    let n_bytes = wanted.min(free_bytes(stand.home())? / DISK_SHARE);
    let (mut peaks, mut idles) = (Vec::new(), Vec::new());
    for _ in 0..stand.scale.n_uploads {
        let server = stand.fresh_server()?;
        // The session has to be known, and a server that has answered once is the one to compare.
        let mut feed = feeds(1, 1, &server.token)?.remove(0);
        let batch = feed.next_batch();
        Http::open(server.address)?.keep(batch)?;
        let lsid = batch.text(&batch.events[0].lsid)?.to_owned();
        idles.push(megabytes(&server)?);
        let is_over = AtomicBool::new(false);
        let peak = thread::scope(|scope| {
            let watching = scope.spawn(|| peak_megabytes(&server, &is_over));
            let sent = upload(&server, &lsid, n_bytes);
            is_over.store(true, Ordering::Relaxed);
            let peak = watching.join();
            sent?;
            peak.unwrap_or_else(|_| Err(anyhow::anyhow!("the watching thread panicked")))
        })?;
        peaks.push(peak);
        server.stop()?;
        fs::remove_dir_all(stand.fresh_archive_path())?;
    }
    say(&format!("uploaded {} MB each time", n_bytes / 1_000_000));
    let measured = compared("MB", peaks, idles, |peak, idle| peak - idle);
    let size = format!("{:.1} GB", n_bytes as f64 / 1e9);
    Ok(measured.noted(match n_bytes < wanted {
        true => format!("{size}: the disk has no room for more"),
        false => format!("{size} each"),
    }))
}

fn upload(server: &Server, lsid: &str, n_bytes: u64) -> anyhow::Result<()> {
    let target = format!("/api/v1/sessions/{lsid}/recordings/session/0");
    let mut connection = Connection::open(server.address)?;
    connection.send(&put_head(&target, &server.token, n_bytes))?;
    let mut chance = fastrand::Rng::with_seed(1);
    let mut piece = vec![0; PIECE_BYTES];
    chance.fill(&mut piece);
    piece[..WEBM_HEAD.len()].copy_from_slice(&WEBM_HEAD);
    let mut n_left = n_bytes;
    while 0 < n_left {
        let n_here = usize::try_from(n_left).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
        connection.send(&piece[..n_here])?;
        n_left -= n_here as u64;
        // No piece is like another one; making each anew would cost more than receiving it.
        let place = chance.usize(..PIECE_BYTES);
        piece[place] = piece[place].wrapping_add(1);
    }
    let received = connection.receive_as(201, &mut io::sink());
    received.context("the recording was not kept")?;
    Ok(())
}
