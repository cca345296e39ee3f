//! What people say: conversations about each problem in each language. All written for the demo.

mod cyrillic_greek;
mod east_asian;
mod english;
mod french_spanish;
mod german_polish;
mod semitic;

use super::dice::Dice;
use super::people::Tongue;
use super::problems::Trouble;

/// One step of a conversation. Where a step has several wordings, one is used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beat {
    /// The customer says one of these.
    Customer(&'static [&'static str]),
    /// The representative says one of these.
    Rep(&'static [&'static str]),
    /// The representative does something.
    Do(Act),
}

/// What a representative does at the customer's computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Looks at a window.
    Look,
    /// Reads the system information.
    Inspect,
    /// Sends a tool over.
    Upload,
    /// Takes a log file.
    Download,
    /// Opens a command shell.
    Shell,
    /// Changes the registry.
    Registry,
    /// Gets higher rights.
    Elevate,
    /// Tidies files: a folder, a move, a deletion.
    Tidy,
    /// Takes a picture of the screen.
    Screenshot,
}

/// A conversation about one problem: from the opening to the result.
pub(super) struct Script {
    /// The problem.
    pub(super) trouble: Trouble,
    /// What the customer wrote in the front-end survey.
    pub(super) details: &'static [&'static str],
    /// What is said and done, in order.
    pub(super) beats: &'static [Beat],
}

/// What people say whatever the problem.
pub(super) struct Phrases {
    /// The representative's greeting.
    pub(super) hello: &'static [&'static str],
    /// The customer's answer to it.
    pub(super) hello_back: &'static [&'static str],
    /// The representative asks for permission.
    pub(super) may_i: &'static [&'static str],
    /// The customer agrees.
    pub(super) yes: &'static [&'static str],
    /// The representative asks for patience.
    pub(super) hold: &'static [&'static str],
    /// The customer while waiting.
    pub(super) waiting: &'static [&'static str],
    /// The representative asks whether there is anything else.
    pub(super) anything: &'static [&'static str],
    /// The customer has nothing else.
    pub(super) nothing: &'static [&'static str],
    /// The representative's goodbye.
    pub(super) bye: &'static [&'static str],
    /// The customer's goodbye.
    pub(super) bye_back: &'static [&'static str],
    /// The representative hands over.
    pub(super) hand_over: &'static [&'static str],
    /// A survey comment of a content customer.
    pub(super) praise: &'static [&'static str],
    /// A survey comment of another.
    pub(super) grumble: &'static [&'static str],
}

/// Everything said in one language.
pub(super) struct Language {
    /// The general part.
    pub(super) phrases: Phrases,
    /// The conversations.
    pub(super) scripts: &'static [Script],
}

/// How often customers write in each language.
const SHARES: &[(Tongue, u32)] = &[
    (Tongue::English, 46),
    (Tongue::German, 12),
    (Tongue::French, 8),
    (Tongue::Spanish, 8),
    (Tongue::Polish, 6),
    (Tongue::Japanese, 5),
    (Tongue::Chinese, 4),
    (Tongue::Arabic, 3),
    (Tongue::Hebrew, 3),
    (Tongue::Russian, 3),
    (Tongue::Greek, 2),
];

/// The language of some customer.
pub(super) fn tongue(dice: &mut Dice) -> Tongue {
    dice.weighted(SHARES)
}

/// Everything said in a language.
pub(super) fn language(tongue: Tongue) -> &'static Language {
    match tongue {
        Tongue::English => &english::ENGLISH,
        Tongue::German => &german_polish::GERMAN,
        Tongue::French => &french_spanish::FRENCH,
        Tongue::Spanish => &french_spanish::SPANISH,
        Tongue::Polish => &german_polish::POLISH,
        Tongue::Arabic => &semitic::ARABIC,
        Tongue::Hebrew => &semitic::HEBREW,
        Tongue::Japanese => &east_asian::JAPANESE,
        Tongue::Chinese => &east_asian::CHINESE,
        Tongue::Russian => &cyrillic_greek::RUSSIAN,
        Tongue::Greek => &cyrillic_greek::GREEK,
    }
}

#[cfg(test)]
mod tests {
    use super::super::details::Details;
    use super::super::people;
    use super::*;

    #[test]
    fn every_place_in_every_text_is_known() {
        let mut dice = Dice::new(1, 99, 0);
        for (tongue, _) in SHARES {
            let person = people::name(&mut dice, *tongue);
            let details = Details::new(&mut dice, &person, *tongue, "HOST".into(), "a.example");
            for script in language(*tongue).scripts {
                for beat in script.beats {
                    let texts = match beat {
                        Beat::Customer(texts) | Beat::Rep(texts) => *texts,
                        Beat::Do(_) => continue,
                    };
                    for text in texts.iter().chain(script.details) {
                        let filled = details.fill(&mut dice, text);
                        assert!(!filled.contains(['{', '}']), "{filled}");
                    }
                }
            }
        }
    }
}
