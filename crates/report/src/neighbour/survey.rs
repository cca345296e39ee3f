//! `SupportCustExitSurvey` and `SupportRepExitSurvey`: what was answered when sessions had ended.

use super::Session;
use crate::element::Element;
use crate::sealed::SealedError;
use crate::time::parse_iso;
use crate::write::Xml;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Submitter {
    Customer,
    Rep,
}

impl Submitter {
    /// Where such surveys stand in a session, and what each is called there.
    fn elements(self) -> (&'static str, &'static str) {
        match self {
            Submitter::Customer => ("cust_survey_list", "cust_exit_survey"),
            Submitter::Rep => ("rep_survey_list", "rep_exit_survey"),
        }
    }

    /// The attribute `type`.
    fn word(self) -> &'static str {
        match self {
            Submitter::Customer => "customer",
            Submitter::Rep => "rep",
        }
    }
}

/// Appends the session's surveys, and gives their number. A session that has not ended has none.
pub(super) fn write(
    session: &mut Session<'_>,
    by: Submitter,
    out: &mut Vec<u8>,
) -> Result<u64, SealedError> {
    let (list, name) = by.elements();
    let text = session.text()?;
    // Most sessions have no survey: those are not read at all.
    if !text.contains(name) {
        return Ok(0);
    }
    let element = session.read(&text)?;
    let Some(ended) = element.child("end_time").and_then(secs) else {
        return Ok(0);
    };
    let surveys = element
        .elements_named(list)
        .flat_map(|list| list.elements_named(name));
    let mut n_surveys = 0;
    for survey in surveys {
        n_surveys += 1;
        let told = survey.attribute("timestamp");
        let told = told.filter(|told| told.parse::<i64>().is_ok());
        // A document may not tell when a survey was submitted: not before the session's end.
        let timestamp = told.map_or_else(|| ended.to_string(), str::to_owned);
        write_survey(session, &element, survey, by, &timestamp, out);
    }
    Ok(n_surveys)
}

fn write_survey(
    session: &Session<'_>,
    element: &Element,
    survey: &Element,
    by: Submitter,
    timestamp: &str,
    out: &mut Vec<u8>,
) {
    let submitted = survey.child("submitted_by");
    let gsnumber = survey
        .attribute("gsnumber")
        .or_else(|| submitted?.attribute("gsnumber"));
    let mut submitter = vec![("type", by.word())];
    submitter.extend(gsnumber.map(|gsnumber| ("gsnumber", gsnumber)));
    let submitted = submitted.map(Element::text).unwrap_or_default();
    let copy = |name: &str, from: &Element, xml: &mut Xml| match from.child(name) {
        Some(element) => element.write(session.namespace, None, &mut xml.out),
        // Clients look into these without asking whether they are there.
        None => xml.leaf(name, &[], ""),
    };
    let mut xml = Xml::default();
    let attributes = [("lsid", session.lsid()), ("timestamp", timestamp)];
    xml.nest("exit_survey", &attributes, |xml| {
        xml.leaf("submitted_by", &submitter, &submitted);
        for name in ["primary_rep", "primary_customer", "rep_list"] {
            copy(name, element, xml);
        }
        copy("question_list", survey, xml);
    });
    xml.out.push(b'\n');
    out.extend_from_slice(&xml.out);
}

/// The second that an element of a time tells; none when it is empty.
fn secs(element: &Element) -> Option<i64> {
    let told = element.attribute("timestamp").map(str::trim);
    let told = told.and_then(|told| told.parse().ok());
    told.or_else(|| parse_iso(&element.text()).map(|at| at.secs()))
}
