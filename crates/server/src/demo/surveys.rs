//! Exit surveys of customers and representatives.

use debrief_domain::{EventType, Question, Survey};

use super::problems;
use super::stage::Stage;

/// The customer rates the session.
pub(super) fn customer(stage: &mut Stage<'_>) {
    stage.wait(10, 120);
    let rating = stage
        .dice
        .weighted(&[(5_u32, 52), (4, 26), (3, 11), (2, 6), (1, 5)]);
    let phrases = stage.phrases();
    let comments = if rating < 4 {
        phrases.grumble
    } else {
        phrases.praise
    };
    let comment = if stage.dice.happens(60) {
        stage.word(comments)
    } else {
        String::new()
    };
    let solved = if rating < 3 { "No" } else { "Yes" };
    let rating = rating.to_string();
    let questions = vec![
        question(
            1,
            "radio",
            "How satisfied are you with this session?",
            "rating",
            &rating,
        ),
        question(2, "radio", "Was your problem solved?", "solved", solved),
        question(
            3,
            "textarea",
            "Anything you would like to tell us?",
            "comments",
            &comment,
        ),
    ];
    let actor = stage.customer_actor();
    stage.act(EventType::CustomerExitSurvey, actor).survey = Some(Box::new(Survey { questions }));
}

/// The representative records what was done.
pub(super) fn representative(stage: &mut Stage<'_>) {
    stage.wait(5, 60);
    let resolution = problems::problem(stage.trouble).resolution;
    let rating = stage.dice.count(2, 5).to_string();
    let comment = stage.word(&[
        "",
        "{ticket}: cause was {code} on {host}.",
        "Third case this week, see {share}\\kb\\{short}.",
        "Customer will call again if needed.",
    ]);
    let mut tools = question(
        13,
        "checkbox",
        "Which tools did you use?",
        "tools",
        "Screen sharing",
    );
    for tool in [
        "File transfer",
        "Command shell",
        "Registry",
        "System information",
    ] {
        if stage.dice.happens(35) {
            tools.answers.push(tool.to_owned());
        }
    }
    let questions = vec![
        question(
            11,
            "radio",
            "How difficult was this case?",
            "rating",
            &rating,
        ),
        question(12, "select", "Resolution", "resolution", resolution),
        tools,
        question(14, "textarea", "Comments", "comments", &comment),
    ];
    let actor = stage.lead();
    stage.act(EventType::RepresentativeExitSurvey, actor).survey =
        Some(Box::new(Survey { questions }));
}

/// A question with its answer; without one when the answer is empty.
fn question(id: u32, kind: &str, label: &str, name: &str, answer: &str) -> Question {
    let answers = if answer.is_empty() {
        Vec::new()
    } else {
        vec![answer.to_owned()]
    };
    Question {
        id: id.to_string(),
        kind: kind.to_owned(),
        label: label.to_owned(),
        name: name.to_owned(),
        report_header: name.replace('_', " "),
        answers,
    }
}
