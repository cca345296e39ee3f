//! Documents with everything in them that the vendor's document names, and much that it does
//! not, in every spelling that XML has for the same thing.

use debrief_domain::EventType;
use proptest::prelude::*;

use crate::tape::Tape;

/// A document, and what an index must find in it.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// The first byte behind the root.
    pub(crate) end: usize,
    pub(crate) sessions: Vec<Told>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:#?}\n{}", self.sessions, self.text)
    }
}

/// What the index must know of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) lsid: String,
    pub(crate) lseq: Option<u64>,
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    pub(crate) site: String,
    pub(crate) owners: Vec<String>,
    pub(crate) teams: Vec<String>,
    pub(crate) last_event: Option<i64>,
    pub(crate) n_events: u64,
}

/// Documents of at most three sessions.
pub(crate) fn documents(choices_max: usize) -> impl Strategy<Value = Document> {
    Tape::shorter_than(choices_max).prop_map(|mut tape| document(&mut tape))
}

/// The document of these choices.
pub(crate) fn document(tape: &mut Tape) -> Document {
    let own = tape.of(NAMESPACES);
    let prefix = match own {
        "" => "",
        _ => tape.of(&["", "b:", "bt-1.x:"]),
    };
    let mut maker = Maker { tape, own, prefix };
    let mut text = String::new();
    text.push_str(maker.tape.of(&["", "\u{FEFF}"]));
    text.push_str(maker.tape.of(DECLARATIONS));
    text.push_str(
        maker
            .tape
            .of(&["", "\n", "<!-- <made> & kept -->\n", "<?note a=b?>"]),
    );
    let declaration = match (own, prefix.strip_suffix(':')) {
        ("", _) => String::new(),
        (_, None) => format!(" xmlns=\"{own}\""),
        (_, Some(prefix)) => format!(" xmlns:{prefix}='{own}'"),
    };
    text.push_str(&format!(
        "<{prefix}session_list{declaration}\n xmlns:f=\"urn:f?a=1&amp;b='2'\" xmlns:xsi=\"{XSI}\">"
    ));
    let n_sessions = maker.tape.of(&[1, 0, 2, 3]);
    let mut sessions = Vec::new();
    for idx in 0..n_sessions {
        text.push_str(&maker.gap());
        let (session, told) = maker.session(idx);
        text.push_str(&session);
        sessions.push(told);
    }
    text.push_str(&maker.gap());
    text.push_str(&format!(
        "</{prefix}session_list{}>",
        maker.tape.of(&["", " ", "\n"])
    ));
    let end = text.len();
    text.push_str(maker.tape.of(&["", "\n", "<!-- end -->", "\r\n<?end?>\n"]));
    Document {
        text,
        end,
        sessions,
    }
}

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const OUT: &str = debrief_report::Dialect::NAMESPACE;

const NAMESPACES: &[&str] = &[
    OUT,
    "",
    "http://www.bomgar.com/namespaces/API/reporting",
    "https://www.beyondtrust.com/namespaces/API/reporting",
    "urn:odd?a=1&amp;b=2",
];

const DECLARATIONS: &[&str] = &[
    "",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>",
    "<?xml version=\"1.0\"?>\r\n",
];

/// What texts are made of.
const FRAGMENTS: &[&str] = &[
    "a",
    "Unknown",
    " ",
    "\n",
    "\t",
    "\r",
    "\r\n",
    "  two  ",
    "<&>\"'",
    "]]>",
    "]]",
    "&amp;",
    "&#65;",
    "<b>no tag</b>",
    "<!-- no comment -->",
    "Jürgen Größe",
    "日本語",
    "😀👩\u{200D}👩\u{200D}👧🏳\u{FE0F}",
    "𝔘𐍈\u{10FFFF}",
    "שלום \u{202E}مرحبا\u{202C}",
    "e\u{301}\u{FFFD}",
    "\u{7F}\u{85}\u{A0}\u{2028}\u{FEFF}",
    "C:\\Temp\\x.txt",
    "=1+1",
    "\\n",
    "-1",
];

const IDS: &[&str] = &["1", "22", "-1", "rep.x", "a@b", "Z_9"];

struct Maker<'t> {
    tape: &'t mut Tape,
    own: &'static str,
    prefix: &'static str,
}

impl Maker<'_> {
    // ---- Text ----

    fn raw(&mut self) -> String {
        let n_fragments = self.tape.pick(4);
        (0..n_fragments).map(|_| self.tape.of(FRAGMENTS)).collect()
    }

    /// Character data that says anything.
    fn text(&mut self) -> String {
        let raw = self.raw();
        self.spelt(&raw)
    }

    /// Character data that says this.
    fn spelt(&mut self, raw: &str) -> String {
        let mut out = String::new();
        let style = self.tape.pick(5);
        if style == 4 && !raw.is_empty() {
            // The judge leaves a carriage return in a section as it is, against section 2.11 of
            // XML 1.0.
            let inner = raw.replace("]]>", "]]]]><![CDATA[>");
            let inner = inner.replace('\r', "]]>&#13;<![CDATA[");
            return format!("<![CDATA[{inner}]]>");
        }
        let mut characters = raw.chars().peekable();
        while let Some(c) = characters.next() {
            let code = c as u32;
            // The judge keeps one before a reference or an end too.
            let is_judged_well = characters.peek().is_some_and(char::is_ascii_alphanumeric);
            match (c, style) {
                ('<', 0 | 3) => out.push_str("&lt;"),
                ('&', 0 | 3) => out.push_str("&amp;"),
                ('>', 0 | 3) => out.push_str("&gt;"),
                ('"', 3) => out.push_str("&quot;"),
                ('\'', 3) => out.push_str("&apos;"),
                ('>', 1) if !out.ends_with(']') => out.push('>'),
                ('<' | '&' | '>', 1) => out.push_str(&format!("&#{code};")),
                ('<' | '&' | '>', _) => out.push_str(&format!("&#x{code:X};")),
                ('\r', 0 | 1) => out.push_str("&#13;"),
                ('\r', _) if !is_judged_well => out.push_str("&#13;"),
                (_, 2) if !c.is_ascii_alphanumeric() => out.push_str(&format!("&#x{code:x};")),
                _ => out.push(c),
            }
        }
        if style == 3 {
            out.push_str("<!-- in the text -->");
        }
        out
    }

    // ---- Attributes ----

    /// An attribute that says this.
    fn attribute(&mut self, name: &str, raw: &str) -> String {
        let quote = self.tape.of(&['"', '\'']);
        let style = self.tape.pick(3);
        let mut value = String::new();
        for c in raw.chars() {
            let code = c as u32;
            match (c, style) {
                ('<', _) => value.push_str("&lt;"),
                ('&', _) => value.push_str("&amp;"),
                ('"', _) if quote == '"' => value.push_str("&quot;"),
                ('\'', _) if quote == '\'' => value.push_str("&#39;"),
                ('\t' | '\n' | '\r', 0) => value.push_str(&format!("&#{code};")),
                (_, 2) if !c.is_ascii_alphanumeric() => value.push_str(&format!("&#x{code:X};")),
                _ => value.push(c),
            }
        }
        let space = self.tape.of(&[" ", "\n   ", "  "]);
        let equals = self.tape.of(&["=", " = "]);
        format!("{space}{name}{equals}{quote}{value}{quote}")
    }

    /// An attribute that is missing, empty or says anything.
    fn any_attribute(&mut self, name: &str) -> String {
        match self.tape.pick(4) {
            0 => String::new(),
            1 => self.attribute(name, ""),
            _ => {
                let raw = self.raw();
                self.attribute(name, &raw)
            }
        }
    }

    /// An attribute that is an id; the second value is the one an index must find.
    fn id_attribute(&mut self, name: &str) -> (String, Option<&'static str>) {
        match self.tape.pick(8) {
            0 => (String::new(), None),
            1 => (self.attribute(name, ""), None),
            _ => {
                let id = self.tape.of(IDS);
                (self.attribute(name, id), Some(id))
            }
        }
    }

    /// Attributes that no document names; some bait a reader that looks at local names only.
    fn unknown_attributes(&mut self) -> String {
        let raw = self.raw();
        match self.tape.pick(24) {
            1 => self.attribute("extra", &raw),
            2 => self.attribute("f:id", "trap"),
            3 => format!(" xmlns:g='urn:g'{}", self.attribute("g:timestamp", &raw)),
            4 => format!(
                "{} xmlns:g='urn:g?\"&lt;'{}",
                self.attribute("f:lsid", "trap"),
                self.attribute("g:lsid", &raw)
            ),
            5 => self.attribute("xsi:nil", "true"),
            6 => self.attribute("xml:lang", "de-CH"),
            7 if !self.prefix.is_empty() => {
                let name = format!("{}extra", self.prefix);
                self.attribute(&name, &raw)
            }
            8 => self.attribute("größe.1-\u{B7}", &raw),
            _ => String::new(),
        }
    }

    // ---- Elements ----

    /// What may stand between elements and says nothing.
    fn gap(&mut self) -> String {
        let gap = self.tape.of(&[
            "",
            "\n",
            "\n        ",
            " ",
            "\r\n\t",
            "\n<!-- a <comment> & such -->\n",
        ]);
        gap.into()
    }

    fn element(&mut self, name: &str, attributes: &str, inner: &str) -> String {
        let prefix = self.prefix;
        let unknown = self.unknown_attributes();
        let space = self.tape.of(&["", " ", "\n"]);
        if inner.is_empty() && self.tape.pick(2) == 1 {
            return format!("<{prefix}{name}{attributes}{unknown}{space}/>");
        }
        format!("<{prefix}{name}{attributes}{unknown}{space}>{inner}</{prefix}{name}{space}>")
    }

    /// An element with elements in it, and between them what says nothing or is unknown.
    fn container(&mut self, name: &str, attributes: &str, children: Vec<String>) -> String {
        let mut inner = String::new();
        for child in children {
            inner.push_str(&self.gap());
            if self.tape.pick(16) == 15 {
                inner.push_str(&self.unknown(0));
                inner.push_str(&self.gap());
            }
            inner.push_str(&child);
        }
        inner.push_str(&self.gap());
        self.element(name, attributes, &inner)
    }

    /// An element with text in it that is missing, empty, there or there several times.
    fn leaf(&mut self, name: &str) -> Vec<String> {
        self.leaf_with(name, &[])
    }

    fn leaf_with(&mut self, name: &str, attributes: &[&str]) -> Vec<String> {
        let n = self.tape.of(&[0, 1, 1, 1, 1, 1, 1, 2, 3]);
        let one = |maker: &mut Self| {
            let attributes: String = attributes.iter().map(|a| maker.any_attribute(a)).collect();
            let text = if maker.tape.pick(5) == 0 {
                String::new()
            } else {
                maker.text()
            };
            maker.element(name, &attributes, &text)
        };
        (0..n).map(|_| one(self)).collect()
    }

    fn leaves(&mut self, names: &[&str]) -> Vec<String> {
        names.iter().flat_map(|name| self.leaf(name)).collect()
    }

    /// A container that is missing, or has any number of children.
    fn list(
        &mut self,
        name: &str,
        attributes: &str,
        child: impl FnMut(&mut Self) -> String,
    ) -> Vec<String> {
        if self.tape.pick(5) == 0 {
            return Vec::new();
        }
        let children = self.several(child);
        vec![self.container(name, attributes, children)]
    }

    fn several(&mut self, mut child: impl FnMut(&mut Self) -> String) -> Vec<String> {
        let n = self.tape.of(&[0, 1, 1, 3, 2]);
        (0..n).map(|_| child(self)).collect()
    }

    /// An element that no document names.
    fn unknown(&mut self, depth: usize) -> String {
        let prefix = self.prefix;
        let text = self.text();
        let attribute = self.any_attribute("more");
        let inner = if depth < 3 && self.tape.pick(3) == 2 {
            let first = self.unknown(depth + 1);
            let second = self.unknown(depth + 1);
            format!("{text}{first}{}{second}", self.gap())
        } else {
            text
        };
        let own = self.own;
        match self.tape.pick(10) {
            0 => {
                let attributes = self.attribute("id", "trap") + &attribute;
                self.element("rep_join_time", &attributes, &inner)
            }
            1 => format!("<f:extra f:a='1'{attribute}>{inner}</f:extra>"),
            2 => format!("<g:one xmlns:g='urn:g' g:id='trap' id='trap'><g:two/>{inner}</g:one>"),
            3 => format!(
                "<x xmlns='urn:x' xmlns:h='urn:h' h:a='1'{attribute}>\
                 <team_list><team id='trap'/> </team_list>{inner_of_x}</x>",
                inner_of_x = if prefix.is_empty() { "" } else { &inner }
            ),
            4 if !own.is_empty() => format!("<x xmlns=\"\"{attribute}><data> </data></x>"),
            5 => format!("<f:session_chat_view_url>{inner}</f:session_chat_view_url>"),
            6 => "<f:representative id='trap'><f:session_owner>1</f:session_owner>\
                  </f:representative>"
                .into(),
            7 => format!(
                "<x xmlns='{OUT}'{attribute}>same vocabulary<y>{}</y></x>",
                "z"
            ),
            8 if !own.is_empty() => {
                format!("<f:x><back xmlns='{own}'{attribute}> <back/> </back></f:x>")
            }
            _ => self.element("été_1", " xsi:type='t'", &inner),
        }
    }

    // ---- A session ----

    fn session(&mut self, idx: usize) -> (String, Told) {
        let mut told = Told {
            lsid: format!(
                "{idx}{}",
                self.tape
                    .of(&["a", "c69a8e10bea9428f816cfababe9815fe", "-_X"])
            ),
            ..Told::default()
        };
        // What has most in it chooses first.
        let details = self.session_details(&mut told);
        let surveys = [
            ("cust_survey_list", "cust_exit_survey"),
            ("rep_survey_list", "rep_exit_survey"),
        ]
        .map(|(list, survey)| self.list(list, "", |maker| maker.survey(survey)));
        let mut children = self.header(&mut told);
        children.extend(self.links());
        children.extend(self.leaf("file_transfer_count"));
        children.extend(self.leaf("file_move_count"));
        children.extend(self.leaf("file_delete_count"));
        children.extend(self.parties(&mut told));
        children.extend(surveys.concat());
        children.extend(details);
        if self.tape.pick(6) == 5 {
            let by = self.tape.pick(children.len());
            children.rotate_left(by);
        }
        told.owners.sort();
        told.owners.dedup();
        told.teams.sort();
        told.teams.dedup();
        let lsid = told.lsid.clone();
        let attributes = self.attribute("lsid", &lsid);
        (self.container("session", &attributes, children), told)
    }

    fn header(&mut self, told: &mut Told) -> Vec<String> {
        let mut children = self.leaf("session_type");
        match self.tape.pick(4) {
            0 => {}
            1 => children.push(self.element("lseq", "", "")),
            _ => {
                let lseq = self.tape.pick(60_000) as u64;
                told.lseq = Some(lseq);
                children.push(self.element("lseq", "", &lseq.to_string()));
            }
        }
        told.start = self.secs();
        children.push(self.time("start_time", told.start));
        match self.tape.pick(4) {
            0 => {}
            1 => {
                let attribute = self.tape.of(&["", " timestamp=''"]);
                children.push(self.element("end_time", attribute, ""));
            }
            _ => {
                let end = self.secs();
                told.end = Some(end);
                children.push(self.time("end_time", end));
            }
        }
        children.extend(self.leaf("duration"));
        told.site = "1".into();
        if self.tape.pick(4) != 0 {
            let (attribute, id) = self.id_attribute("id");
            told.site = id.unwrap_or("1").into();
            let text = self.text();
            children.push(self.element("public_site", &attribute, &text));
        }
        children.extend(self.leaf_with("jumpoint", &["id"]));
        children.extend(self.leaf("external_key"));
        let custom = self.list("custom_attributes", "", |maker| {
            let names = maker.any_attribute("display_name") + &maker.any_attribute("code_name");
            let text = maker.text();
            maker.element("custom_attribute", &names, &text)
        });
        children.extend(custom);
        children
    }

    fn secs(&mut self) -> i64 {
        1_475_308_800 + self.tape.pick(60_000) as i64 * 7
    }

    /// A time in attribute and text, or in one of them.
    fn time(&mut self, name: &str, secs: i64) -> String {
        let at = debrief_domain::At::from_secs(secs).unwrap();
        let iso = debrief_report::iso(at);
        let secs = secs.to_string();
        match self.tape.pick(4) {
            0 => {
                let attribute = self.attribute("timestamp", &secs);
                self.element(name, &attribute, "")
            }
            1 => self.element(name, "", &iso),
            _ => {
                let attribute = self.attribute("timestamp", &secs);
                self.element(name, &attribute, &iso)
            }
        }
    }

    fn address(&mut self, name: &str) -> Vec<String> {
        let address = match self.tape.pick(6) {
            0 => return Vec::new(),
            1 => "",
            2 => "  ",
            3 => "<![CDATA[https://old.example/?a=1&b=2]]>",
            _ => "https://old.example:8443/session_download?lsid=l%3Dx%3Bh%3D0&amp;view=1",
        };
        vec![self.element(name, "", address)]
    }

    fn links(&mut self) -> Vec<String> {
        let mut children = Vec::new();
        for name in [
            "session_chat_view_url",
            "session_chat_download_url",
            "session_recording_view_url",
            "session_recording_download_url",
        ] {
            children.extend(self.address(name));
        }
        for kind in ["show_my_screen_recording", "command_shell_recording"] {
            let mut instance = 0;
            children.extend(self.list(&format!("{kind}s"), "", |maker| {
                let attribute = match maker.tape.pick(4) {
                    0 => String::new(),
                    1 => maker.attribute("instance", "x"),
                    _ => maker.attribute("instance", &instance.to_string()),
                };
                instance += 1;
                let mut links = maker.address("download_url");
                links.extend(maker.address("view_url"));
                if maker.tape.pick(4) == 3 {
                    links.reverse();
                }
                maker.container(kind, &attribute, links)
            }));
        }
        children
    }

    fn parties(&mut self, told: &mut Told) -> Vec<String> {
        let mut children = self.leaf_with("primary_customer", &["gsnumber"]);
        children.extend(self.leaf_with("jump_group", &["type", "id"]));
        if self.tape.pick(3) != 0 {
            let (attribute, id) = self.id_attribute("id");
            told.owners.extend(id.map(String::from));
            let attributes = self.any_attribute("gsnumber") + &attribute;
            let text = self.text();
            children.push(self.element("primary_rep", &attributes, &text));
        }
        if self.tape.pick(3) != 0 {
            let (attribute, id) = self.id_attribute("id");
            told.teams.extend(id.map(String::from));
            let text = self.text();
            children.push(self.element("primary_team", &attribute, &text));
        }
        children.extend(self.list("customer_list", "", Self::customer));
        children.extend(self.list("rep_list", "", |maker| maker.representative(told)));
        children.extend(self.list("team_list", "", |maker| {
            let (attribute, id) = maker.id_attribute("id");
            told.teams.extend(id.map(String::from));
            let attributes = attribute + &maker.any_attribute("primary_team");
            let text = maker.text();
            maker.element("team", &attributes, &text)
        }));
        children
    }

    fn customer(&mut self) -> String {
        let names = [
            "username",
            "public_ip",
            "private_ip",
            "hostname",
            "os",
            "primary_cust",
        ];
        let mut children = self.leaves(&names);
        if self.tape.pick(4) != 0 {
            let names = ["name", "company", "company_code", "issue", "details"];
            let info = self.leaves(&names);
            children.push(self.container("info", "", info));
        }
        let attributes = self.any_attribute("gsnumber");
        self.container("customer", &attributes, children)
    }

    fn representative(&mut self, told: &mut Told) -> String {
        let (attribute, id) = self.id_attribute("id");
        let attributes = self.any_attribute("gsnumber") + &attribute;
        let mut children = self.leaves(&[
            "username",
            "display_name",
            "public_display_name",
            "private_display_name",
            "display_number",
            "public_ip",
            "private_ip",
            "hostname",
            "os",
        ]);
        match self.tape.pick(4) {
            0 => {}
            1 => children.push(self.element("session_owner", "", "")),
            2 => children.push(self.element("session_owner", "", "0")),
            _ => {
                told.owners.extend(id.map(String::from));
                children.push(self.element("session_owner", "", "1"));
            }
        }
        children.extend(self.leaves(&["primary_rep", "seconds_involved", "invited"]));
        self.container("representative", &attributes, children)
    }

    fn survey(&mut self, name: &str) -> String {
        let attributes = self.any_attribute("gsnumber") + &self.any_attribute("timestamp");
        let mut children = self.leaf_with("submitted_by", &["type", "gsnumber"]);
        children.extend(self.list("question_list", "", |maker| {
            let attribute = maker.any_attribute("id");
            let mut parts = maker.leaves(&["type", "label", "name", "report_header"]);
            parts.extend(maker.list("answer_list", "", |maker| {
                let text = maker.text();
                maker.element("answer", "", &text)
            }));
            maker.container("question", &attribute, parts)
        }));
        self.container(name, &attributes, children)
    }

    fn session_details(&mut self, told: &mut Told) -> Vec<String> {
        let n = self.tape.of(&[0, 1, 3, 8]);
        if n == 0 && self.tape.pick(2) == 0 {
            return Vec::new();
        }
        let events = (0..n).map(|_| self.event(told)).collect();
        vec![self.container("session_details", "", events)]
    }

    fn event(&mut self, told: &mut Told) -> String {
        told.n_events += 1;
        let mut attributes = String::new();
        if self.tape.pick(8) != 0 {
            let secs = self.secs();
            told.last_event = told.last_event.max(Some(secs));
            attributes.push_str(&self.attribute("timestamp", &secs.to_string()));
        }
        let kind = match self.tape.pick(10) {
            0 => "Session Mouse Left Clicked",
            _ => self.tape.of(EventType::ALL).name(),
        };
        attributes.push_str(&self.attribute("event_type", kind));
        let mut children = Vec::new();
        for party in ["performed_by", "destination"] {
            children.extend(self.leaf_with(party, &["type", "gsnumber"]));
        }
        let body = self.tape.of(&["body", "encoded_body"]);
        children.extend(self.leaves(&[body, "filename", "filesize"]));
        if self.tape.pick(4) == 3 {
            children.extend(self.list("system_information", "", Self::category));
        }
        if self.tape.pick(3) == 2 {
            children.extend(self.list("files", "", |maker| {
                let parts = maker.leaves(&["filename", "filesize"]);
                maker.container("file", "", parts)
            }));
        }
        children.extend(self.list("data", "", |maker| {
            let attributes = maker.any_attribute("name") + &maker.any_attribute("value");
            maker.container("value", &attributes, Vec::new())
        }));
        self.container("event", &attributes, children)
    }

    fn category(&mut self) -> String {
        let field = |maker: &mut Self| {
            let attributes = maker.any_attribute("id") + &maker.any_attribute("name");
            let text = maker.text();
            maker.element("field", &attributes, &text)
        };
        let mut children = self.list("description", "", field);
        children.extend(self.list("data", "", |maker| {
            let cells = maker.several(field);
            maker.container("row", "", cells)
        }));
        let attributes = self.any_attribute("name");
        self.container("category", &attributes, children)
    }
}
