//! Signs of life, and what it means that there are none.

use std::net::IpAddr;

use debrief_domain::At;

use super::{Device, GONE_SECS, Hearing, REORDER_SECS, Waiting, at};
use crate::sources::rustdesk::tell::word;

/// Seconds a connection that is over is remembered.
const OVER_SECS: i64 = 600;
/// Seconds between two signs of life that are noted.
const SEEN_SECS: i64 = 15;
/// Why a session ended that nobody closed.
const SILENT: &str = "the connection fell silent";

impl Device {
    /// A heartbeat: these connections are there.
    pub(in crate::sources::rustdesk) fn beat(
        &mut self,
        hearing: &mut Hearing<'_>,
        connections: &[i32],
        from: IpAddr,
    ) {
        let now = hearing.now.millis();
        self.beats |= !connections.is_empty();
        self.address = Some(from);
        for conn_id in connections {
            let Some(idx) = self.find(*conn_id) else {
                continue;
            };
            let known = &mut self.connections[idx];
            if known.is_gone {
                // The silence was the network's.
                known.is_gone = false;
                known.closed = None;
                known.seen = now;
                if let Some(lsid) = known.lsid.clone() {
                    self.come_back(hearing, &lsid);
                }
            } else if SEEN_SECS * 1_000 <= now - known.seen {
                known.seen = now;
            }
        }
    }

    fn come_back(&mut self, hearing: &mut Hearing<'_>, lsid: &str) {
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.lsid == lsid)
        else {
            return;
        };
        if !std::mem::replace(&mut session.is_open, true) {
            let when = hearing.now;
            if let Some(mut teller) = hearing.teller(lsid) {
                teller.join(when, &session.who, &session.peer, None);
            }
        }
    }

    /// Closes the connections that fell silent, and forgets what is long over. Nothing counts as
    /// silence before `since`, when the server began to listen. Gives messages that waited in vain.
    pub(in crate::sources::rustdesk) fn sweep(
        &mut self,
        hearing: &mut Hearing<'_>,
        since: At,
    ) -> Vec<Waiting> {
        let now = hearing.now.millis();
        for idx in 0..self.connections.len() {
            let known = &self.connections[idx];
            let heard = known.seen.max(since.millis());
            if self.beats && known.closed.is_none() && GONE_SECS * 1_000 <= now - heard {
                self.lose(hearing, idx);
            }
        }
        self.connections.retain(|c| {
            c.closed
                .is_none_or(|closed| now - closed < OVER_SECS * 1_000)
        });
        let is_lost = |waiting: &Waiting| REORDER_SECS * 1_000 <= now - waiting.at;
        let (lost, waiting) = self.waiting.drain(..).partition(is_lost);
        self.waiting = waiting;
        lost
    }

    /// The connection is over, and its last sign of life was its end.
    pub(super) fn lose(&mut self, hearing: &mut Hearing<'_>, idx: usize) {
        let known = &mut self.connections[idx];
        known.closed = Some(known.seen);
        known.is_gone = true;
        let Some(lsid) = known.lsid.clone() else {
            return;
        };
        let key = word(&["gone", &known.conn_id.to_string(), &known.seen.to_string()]);
        let when = at(known.seen, hearing.now);
        let mut of_this = Hearing {
            key: &key,
            now: hearing.now,
            id: hearing.id,
            site: hearing.site,
            tickets: hearing.tickets,
            events: hearing.events,
        };
        self.leave(&mut of_this, &lsid, when, Some(SILENT));
    }
}
