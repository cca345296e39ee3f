use d::{Actor as Party, ActorKind, At, Body, EventId, EventType, Lsid};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;

/// Texts of every length that is written in another way: none, one byte of length, two.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-zé ]{1,9}",
        (120..140_usize).prop_map(|n| "b".repeat(n)),
        (16_380..16_390_usize).prop_map(|n| "c".repeat(n)),
    ]
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{1,40}"
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..200_u32, any::<u32>()]
}

fn actor() -> impl Strategy<Value = Party> {
    let kind = proptest::sample::select(&ActorKind::ALL[..]);
    (kind, number(), of(text())).prop_map(|(kind, gsnumber, name)| Party {
        kind,
        gsnumber,
        name,
    })
}

fn named() -> impl Strategy<Value = d::Named> {
    (text(), text()).prop_map(|(id, name)| d::Named { id, name })
}

fn category() -> impl Strategy<Value = d::Category> {
    let rows = vec(vec(text(), 0..3), 0..3);
    (text(), vec(text(), 0..3), rows).prop_map(|(name, fields, rows)| d::Category {
        name,
        fields,
        rows,
    })
}

fn session() -> impl Strategy<Value = d::SessionContext> {
    let attribute =
        (id(), of(text()), text()).prop_map(|(code, display_name, value)| d::CustomAttribute {
            code_name: d::CodeName::parse(&code).unwrap(),
            display_name,
            value,
        });
    let group =
        (text(), text(), text()).prop_map(|(kind, id, name)| d::JumpGroup { kind, id, name });
    let site = (id(), of(text()));
    (
        of(site),
        of(named()),
        of(group),
        of(text()),
        vec(attribute, 0..3),
    )
        .prop_map(
            |(site, jumpoint, jump_group, external_key, custom_attributes)| d::SessionContext {
                public_site: site.map(|(id, name)| (d::SiteId::parse(&id).unwrap(), name)),
                jumpoint,
                jump_group,
                external_key,
                custom_attributes,
            },
        )
}

fn address() -> impl Strategy<Value = std::net::SocketAddr> {
    any::<(std::net::IpAddr, u16)>().prop_map(Into::into)
}

fn customer() -> impl Strategy<Value = d::Customer> {
    let info = vec(text(), 5).prop_map(|mut texts| d::CustomerInfo {
        name: texts.remove(0),
        company: texts.remove(0),
        company_code: texts.remove(0),
        issue: texts.remove(0),
        details: texts.remove(0),
    });
    let machine = (of(text()), of(text()), of(text()));
    (number(), text(), of(address()), machine, info).prop_map(
        |(gsnumber, username, public_ip, (private_ip, hostname, os), info)| d::Customer {
            gsnumber,
            username,
            public_ip,
            private_ip,
            hostname,
            os,
            info,
        },
    )
}

fn joined() -> impl Strategy<Value = d::Joined> {
    let machine = (of(address()), of(text()), of(text()), of(text()));
    let invitation =
        proptest::sample::select(&[d::Invitation::Regular, d::Invitation::Invited][..]);
    let names = vec(text(), 4);
    (
        number(),
        id(),
        names,
        machine,
        vec(text(), 0..3),
        invitation,
    )
        .prop_map(
            |(gsnumber, id, mut names, machine, support_teams, invitation)| {
                let (public_ip, private_ip, hostname, os) = machine;
                d::Joined {
                    gsnumber,
                    id: d::RepId::parse(&id).unwrap(),
                    username: names.remove(0),
                    public_display_name: names.remove(0),
                    private_display_name: names.remove(0),
                    display_number: names.remove(0),
                    public_ip,
                    private_ip,
                    hostname,
                    os,
                    support_teams,
                    invitation,
                }
            },
        )
}

fn survey() -> impl Strategy<Value = d::Survey> {
    let texts = vec(text(), 5);
    let question = (texts, vec(text(), 0..3)).prop_map(|(mut texts, answers)| d::Question {
        id: texts.remove(0),
        kind: texts.remove(0),
        label: texts.remove(0),
        name: texts.remove(0),
        report_header: texts.remove(0),
        answers,
    });
    vec(question, 0..3).prop_map(|questions| d::Survey { questions })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        text().prop_map(Body::Text),
        vec(any::<u8>(), 0..300).prop_map(Body::Bytes)
    ]
}

fn event() -> impl Strategy<Value = d::Event> {
    let plain = (
        id(),
        0..=At::MAX.millis(),
        proptest::sample::select(EventType::ALL),
        of(actor()),
        of(actor()),
        of(body()),
    );
    let file = (text(), any::<u64>()).prop_map(|(name, size)| d::FileEntry { name, size });
    let lists = (
        of(text()),
        of(any::<u64>()),
        vec(file, 0..3),
        vec((text(), text()), 0..3),
        vec(category(), 0..2),
    );
    let team = (id(), of(text())).prop_map(|(id, name)| d::TeamRef {
        id: d::TeamId::parse(&id).unwrap(),
        name,
    });
    let recording = (
        proptest::sample::select(&d::RecordingKind::ALL[..]),
        number(),
    )
        .prop_map(|(kind, instance)| d::Recording { kind, instance });
    let parts = (
        of(session()),
        of(customer()),
        of(joined()),
        of(team),
        of(survey()),
        of(recording),
    );
    (plain, lists, parts).prop_map(|(plain, lists, parts)| {
        let (id, at, kind, performed_by, destination, body) = plain;
        let (filename, filesize, files, data, system_information) = lists;
        let (session, customer, representative, team, survey, recording) = parts;
        d::Event {
            performed_by,
            destination,
            body,
            filename,
            filesize,
            files,
            data,
            system_information,
            session: session.map(Box::new),
            customer: customer.map(Box::new),
            representative: representative.map(Box::new),
            team,
            survey: survey.map(Box::new),
            recording,
            ..d::Event::new(
                EventId::parse(&id).unwrap(),
                Lsid::parse("lsid").unwrap(),
                At::from_millis(at).unwrap(),
                kind,
            )
        }
    })
}

proptest! {
    /// What is written by hand is what the messages would write, or else the digests of old
    /// events would no longer fit.
    #[test]
    fn an_event_is_read_as_it_was_and_written_as_its_message_is(
        events in vec(event(), 0..4)
    ) {
        let mut bytes = Vec::new();
        events.iter().for_each(|event| add_event(&mut bytes, event));
        let lsid = Lsid::parse("lsid").unwrap();
        prop_assert_eq!(super::events(&bytes, &lsid).unwrap(), events);
        let mut rest = bytes.as_slice();
        let mut written = Vec::new();
        while !rest.is_empty() {
            let message = Event::decode_length_delimited(&mut rest).unwrap();
            message.encode_length_delimited(&mut written).unwrap();
        }
        prop_assert_eq!(written, bytes);
    }
}

fn bytes_of(events: &[d::Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| add_event(&mut bytes, event));
    bytes
}

/// An event as it is retold: at the whole second, under any id, and with this of it changed.
fn retold(event: &d::Event, change: usize) -> d::Event {
    let mut told = event.clone();
    told.id = EventId::parse("0").unwrap();
    told.at = At::from_secs(event.at.secs()).unwrap();
    match change {
        0 => told.body = Some(Body::Text("other".into())),
        1 => told.data.push(("more".into(), "x".into())),
        2 => told.data.clear(),
        3 => told.kind = EventType::SessionEnd,
        4 => told.at = At::MIN,
        _ => {}
    }
    told
}

proptest! {
    #[test]
    fn what_is_not_retold_makes_up_for_it(
        events in vec(event(), 0..6),
        told in vec((any::<prop::sample::Index>(), 0..9_usize), 0..8),
        damage in (any::<prop::sample::Index>(), 1..=255_u8),
    ) {
        let told: Vec<d::Event> = match events.as_slice() {
            [] => Vec::new(),
            events => told.iter().map(|(n, change)| retold(n.get(events), *change)).collect(),
        };
        let bytes = bytes_of(&events);
        let rest = rest_of(&bytes, "lsid", &told).unwrap();
        prop_assert_eq!(&events_of(&rest, "lsid", &told, bytes.len()).unwrap(), &bytes);
        if !bytes.is_empty() {
            prop_assert!(events_of(&rest, "lsid", &told, bytes.len() - 1).is_err());
        }
        let mut damaged = rest.clone();
        damaged[damage.0.index(rest.len())] ^= damage.1;
        // Bits that fill the last byte may be any.
        let read = events_of(&damaged, "lsid", &told, bytes.len());
        prop_assert!(read.is_err() || read.unwrap() == bytes);
        let cut = damage.0.index(rest.len());
        prop_assert!(events_of(&rest[..cut], "lsid", &told, bytes.len()).is_err());
    }

    #[test]
    fn foreign_bytes_are_no_rest_of_events(bytes in vec(any::<u8>(), 0..200)) {
        let told = [d::Event::new(
            EventId::parse("0").unwrap(),
            Lsid::parse("lsid").unwrap(),
            At::MIN,
            EventType::ChatMessage,
        )];
        prop_assert!(events_of(&bytes, "lsid", &told, 1 << 20).is_err());
    }
}

#[test]
fn of_events_that_are_retold_whole_only_thousandths_are_kept() {
    let event = |n: i64| {
        let id = EventId::parse(&format!("lsid-{n}")).unwrap();
        let at = At::from_millis(1_700_000_000_000 + 777 * n).unwrap();
        d::Event {
            body: Some(Body::Text("text ".repeat(20))),
            ..d::Event::new(id, Lsid::parse("lsid").unwrap(), at, EventType::ChatMessage)
        }
    };
    let events: Vec<d::Event> = (0..100).map(event).collect();
    let told: Vec<d::Event> = events.iter().map(|event| retold(event, 9)).collect();
    let rest = rest_of(&bytes_of(&events), "lsid", &told).unwrap();
    // A checksum, a length and a number; a tag and ten bits each.
    assert_eq!(rest.len(), 4 + 2 + 1 + 100 + 125);
}

/// Archives are full of it.
#[test]
fn what_is_kept_beside_retold_events_is_written_as_ever() {
    let event = |id: &str, millis: i64, kind| {
        let at = At::from_millis(1_700_000_000_000 + millis).unwrap();
        let id = EventId::parse(id).unwrap();
        d::Event::new(id, Lsid::parse("lsid").unwrap(), at, kind)
    };
    let with_body = |event: d::Event, body: &str| d::Event {
        body: Some(Body::Text(body.into())),
        ..event
    };
    let events = [
        event("lsid-0", 1, EventType::SessionStart),
        with_body(event("lsid-1", 1_999, EventType::ChatMessage), "as it was"),
        with_body(event("own", 2_005, EventType::ChatMessage), "what was said"),
        event("own9", 9_000, EventType::SessionEnd),
        event("own10", 2_500, EventType::SessionNoteAdded),
    ];
    let told = [
        retold(&events[0], 9),
        retold(&events[1], 9),
        retold(&events[4], 9),
        retold(&events[2], 0),
    ];
    let rest = rest_of(&bytes_of(&events), "lsid", &told).unwrap();
    let hex: String = rest.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "97b5a423710500000b00036f776e030100010f320d7768617420776173207361696405030139a896\
             96ffbc310318b8030202019c5f007d"
    );
}
