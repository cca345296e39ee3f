use expect_test::{Expect, expect};

use super::*;
use crate::dialect::Dialect;
use crate::read::read_own;

fn read(session: &str) -> Transcript {
    transcript(&read_own(session.as_bytes(), Dialect::NAMESPACE).unwrap())
}

#[track_caller]
fn check(session: &str, expect: Expect) {
    expect.assert_eq(&read(session).to_text());
}

fn chat(body: &str) -> String {
    format!(
        "<session lsid=\"a\"><session_details>\
         <event timestamp=\"0\" event_type=\"Chat Message\">{body}</event>\
         </session_details></session>"
    )
}

fn said(body: &str) -> String {
    read(&chat(body)).lines[0].text.clone()
}

const SESSION: &str = r#"<session lsid="l1">
<start_time timestamp="1733239565">2024-12-03T15:26:05+00:00</start_time>
<end_time timestamp="1733239700">2024-12-03T15:28:20+00:00</end_time>
<public_site id="1">Default</public_site>
<customer_list><customer gsnumber="2"><username>Cleo</username></customer></customer_list>
<rep_list>
<representative gsnumber="1" id="7"><private_display_name>Ann Bell</private_display_name></representative>
<representative gsnumber="3" id="7"><private_display_name>Ann Bell</private_display_name></representative>
</rep_list>
<session_details>
<event timestamp="1733239565" event_type="Session Start"/>
<event timestamp="1733239565" event_type="Conference Owner Changed">
<destination type="system" gsnumber="0">Pre-start Conference</destination>
<data><value name="owner" value="Pre-start Conference"/></data></event>
<event timestamp="1733239566" event_type="Conference Member Added"><performed_by type="customer" gsnumber="2">Cleo</performed_by></event>
<event timestamp="1733239567" event_type="Conference Owner Changed"><destination type="representative" gsnumber="1"></destination></event>
<event timestamp="1733239568" event_type="Session Foreground Window Changed"/>
<event timestamp="1733239570" event_type="Chat Message"><performed_by type="representative" gsnumber="1"></performed_by><destination type="everyone" gsnumber="0">Everyone</destination><body>Hello
[2024-12-03T15:26:10+00:00] Cleo (customer): I owe you 10 €</body></event>
<event timestamp="1733239571" event_type="Chat Message"><performed_by type="customer" gsnumber="2">Cleo</performed_by><destination type="representative" gsnumber="1">Ann Bell</destination><body>psst</body></event>
<event timestamp="1733239572" event_type="File Upload"><performed_by type="representative" gsnumber="1">Ann Bell</performed_by><filename>a.exe</filename><filesize>12345</filesize></event>
<event timestamp="1733239573" event_type="Files Shared"><performed_by type="customer" gsnumber="2">Cleo</performed_by><files><file><filename>a</filename><filesize>1</filesize></file><file><filename>b</filename><filesize>2000</filesize></file><file><filename>c</filename></file></files></event>
<event timestamp="1733239574" event_type="Session Note Added"><performed_by type="representative" gsnumber="1">Ann Bell</performed_by><body>Call back.</body></event>
<event timestamp="1733239575" event_type="Quantum Leap"/>
<event timestamp="soon" event_type="Session End"/>
</session_details></session>"#;

#[test]
fn every_line_says_when_who_and_what_and_no_message_passes_for_another() {
    check(
        SESSION,
        expect![[r#"
            Transcript of session l1
            Customer: Cleo
            Representatives: Ann Bell
            Public site: Default
            Start: 2024-12-03T15:26:05+00:00
            End: 2024-12-03T15:28:20+00:00

            [2024-12-03T15:26:05+00:00] * The session started.
            [2024-12-03T15:26:05+00:00] * The session now belongs to “Pre-start Conference”.
            [2024-12-03T15:26:06+00:00] * Cleo joined the session.
            [2024-12-03T15:26:07+00:00] * Ann Bell now owns the session.
            [2024-12-03T15:26:10+00:00] Ann Bell (representative): Hello
                [2024-12-03T15:26:10+00:00] Cleo (customer): I owe you 10 €
            [2024-12-03T15:26:11+00:00] Cleo (customer) to Ann Bell (representative): psst
            [2024-12-03T15:26:12+00:00] * The file “a.exe” (12 kB) was uploaded by Ann Bell.
            [2024-12-03T15:26:13+00:00] * The files “a” (1 B), “b” (2.0 kB), “c” were shared by Cleo.
            [2024-12-03T15:26:14+00:00] * Ann Bell added a note: Call back.
            [2024-12-03T15:26:15+00:00] * Quantum Leap.
            [unknown] * The session ended.
        "#]],
    );
}

#[test]
fn the_json_says_the_same_with_numbers_and_nulls() {
    let text = read(SESSION).to_json();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["start_timestamp"], 1_733_239_565);
    assert_eq!(value["end_time"], "2024-12-03T15:28:20+00:00");
    assert_eq!(value["representatives"], json!(["Ann Bell"]));
    let lines = value["lines"].as_array().unwrap();
    assert_eq!(lines.len(), read(SESSION).lines.len());
    let private = lines.iter().find(|line| line["text"] == "psst").unwrap();
    assert_eq!(
        *private,
        json!({
            "time": "2024-12-03T15:26:11+00:00",
            "timestamp": 1_733_239_571,
            "kind": "chat",
            "event_type": "Chat Message",
            "from": { "type": "customer", "name": "Cleo" },
            "to": { "type": "representative", "name": "Ann Bell" },
            "text": "psst",
        })
    );
    assert_eq!(lines[lines.len() - 1]["time"], Value::Null);
}

#[test]
fn what_cannot_be_seen_is_shown() {
    assert_eq!(
        said("<encoded_body>AGEb\n/w==</encoded_body>"),
        "␀a␛\u{fffd}"
    );
    assert_eq!(said("<encoded_body>AGEb/w</encoded_body>"), "␀a␛\u{fffd}");
    assert_eq!(
        said("<encoded_body>no base64!</encoded_body>"),
        "no base64!"
    );
    assert_eq!(
        said("<body>a&#xD;\nb&#xD;c&#x85;d\u{2028}e\u{7f}</body>"),
        "a\nb\nc\nd\ne␡"
    );
    assert_eq!(said("<body>\u{202e}שלום 👋</body>"), "\u{202e}שלום 👋");
    assert!(read(&chat("")).lines.is_empty());
}

#[test]
fn a_name_stays_on_its_line_in_its_direction_and_within_its_limit() {
    let long = "n".repeat(NAME_CHARS_MAX);
    for (given, shown) in [
        ("a\nb\u{202e}c", "a b\u{fffd}c"),
        (&*long, &*long),
        (&format!("{long}n"), &format!("{long}…")),
        ("  ", "Customer"),
    ] {
        let body = format!("<performed_by type=\"customer\">{given}</performed_by><body>x</body>");
        assert_eq!(read(&chat(&body)).lines[0].who.name, shown);
    }
}

#[test]
fn an_empty_session_has_an_empty_transcript() {
    check(
        "<session/>",
        expect![[r#"
        Transcript of session 
        Customer: 
        Representatives: 
        Public site: 1
        Start: unknown
        End: no end is known

    "#]],
    );
    let value: Value = serde_json::from_str(&read("<session/>").to_json()).unwrap();
    assert_eq!(value["lines"], json!([]));
}

#[test]
fn every_type_but_two_has_a_sentence() {
    for kind in EventType::ALL {
        let name = kind.name();
        let session = format!(
            "<session><session_details><event event_type=\"{name}\"/></session_details></session>"
        );
        let lines = read(&session).lines;
        let silent = [
            EventType::ChatMessage,
            EventType::SessionForegroundWindowChanged,
        ];
        assert_eq!(lines.is_empty(), silent.contains(kind), "{name}");
        for line in lines {
            assert!(line.text.ends_with('.'), "{name}: {}", line.text);
            assert!(!line.text.contains(" ."), "{name}: {}", line.text);
        }
    }
}
