//! What is said in German and Polish.

use super::super::problems::Trouble;
use super::Beat::{Customer as C, Do, Rep as R};
use super::{Act, Language, Phrases, Script};

/// German.
pub(super) const GERMAN: Language = Language {
    phrases: Phrases {
        hello: &[
            "Guten Tag {customer}, hier ist {rep} vom Service Desk. Ich habe Ihr Ticket {ticket} vor mir – was kann ich für Sie tun?",
            "Hallo {customer}, mein Name ist {rep}. Worum geht es bei {ticket} genau?",
        ],
        hello_back: &[
            "Grüß Gott!",
            "Hallo {rep}, danke für die schnelle Rückmeldung",
            "Moin",
        ],
        may_i: &[
            "Darf ich mir das auf Ihrem Bildschirm ansehen? Bitte bestätigen Sie gleich das Fenster.",
            "Ich würde gern die Steuerung von {host} übernehmen. Bitte speichern Sie vorher alles.",
        ],
        yes: &[
            "ja, gerne",
            "Habe auf Zulassen geklickt",
            "ok, Sie müssten es jetzt sehen",
        ],
        hold: &[
            "Einen Moment bitte, ich prüfe das.",
            "Das dauert etwa {n} Sekunden, bitte nichts anklicken.",
        ],
        waiting: &[
            "kein Problem, ich warte",
            "Um {time} muss ich in eine Besprechung",
            "Ich hole mir solange einen Kaffee ☕",
        ],
        anything: &["Kann ich sonst noch etwas für Sie tun?"],
        nothing: &[
            "Nein, das war alles. Herzlichen Dank!",
            "nein danke, läuft ja jetzt",
        ],
        bye: &[
            "Sehr gern. Ich schließe {ticket}. Schönen Tag noch!",
            "Freut mich. Falls es wieder auftritt, nennen Sie bitte {ticket}. Auf Wiederhören!",
        ],
        bye_back: &["Tschüss!", "Danke, ebenso", "Schönes Wochenende 🙂"],
        hand_over: &[
            "Dafür hole ich einen Kollegen aus dem Fachteam dazu, bitte bleiben Sie verbunden.",
        ],
        praise: &[
            "Sehr freundlich und kompetent, das Problem war in {n} Minuten gelöst.",
            "Großes Lob an {rep}!",
            "Endlich hat es jemand verstanden. Vielen Dank.",
        ],
        grumble: &[
            "Wartezeit viel zu lang.",
            "Das Problem tritt nun zum dritten Mal auf, bitte endlich die Ursache beheben.",
        ],
    },
    scripts: &[
        Script {
            trouble: Trouble::Printer,
            details: &[
                "Drucker {printer} druckt nicht",
                "Druckaufträge bleiben hängen ({code})",
            ],
            beats: &[
                C(&[
                    "Der Drucker {printer} druckt seit {time} Uhr nichts mehr, die Aufträge bleiben in der Warteschlange.",
                    "Beim Drucken kommt immer die Meldung {code}. Kollegen können aber drucken.",
                ]),
                R(&[
                    "Passiert das bei allen Programmen oder nur bei einem?",
                    "Haben Sie den Rechner heute schon neu gestartet?",
                ]),
                C(&[
                    "bei allen, auch bei der Testseite",
                    "ja, zweimal. Hat nichts gebracht",
                ]),
                Do(Act::Look),
                R(&[
                    "Ich sehe {n} hängende Aufträge. Ich beende die Druckwarteschlange und lösche sie.",
                ]),
                Do(Act::Elevate),
                Do(Act::Tidy),
                R(&[
                    "Zusätzlich spiele ich den aktuellen Treiber {ver} ein, der alte passt nicht mehr zum Druckserver.",
                ]),
                Do(Act::Upload),
                Do(Act::Registry),
                R(&["So, bitte drucken Sie noch einmal."]),
                C(&[
                    "Jetzt kommen alle {n} Seiten auf einmal 😄",
                    "Ja! Er druckt. Sogar beidseitig.",
                    "funktioniert, super",
                ]),
            ],
        },
        Script {
            trouble: Trouble::Vpn,
            details: &[
                "VPN im Homeoffice geht nicht",
                "Verbindung zu {gateway} bricht ab",
            ],
            beats: &[
                C(&[
                    "Im Homeoffice komme ich nicht ins VPN: „Die Überprüfung des Zertifikats ist fehlgeschlagen“",
                    "Das VPN bricht alle {n} Minuten ab, mitten in der Arbeit",
                ]),
                R(&[
                    "Sind Sie per WLAN oder Kabel verbunden? Und welcher Anbieter ist es?",
                    "Seit wann genau tritt das auf?",
                ]),
                C(&[
                    "WLAN, neuer Router seit letzter Woche",
                    "seit der Umstellung auf Glasfaser am Dienstag",
                ]),
                Do(Act::Shell),
                R(&[
                    "Ping zu {gateway}: {ms} ms, aber große Pakete gehen verloren. Ich setze die MTU herunter.",
                    "Ihr Zertifikat ist um {time} Uhr abgelaufen (Fingerabdruck {hash}).",
                ]),
                Do(Act::Registry),
                Do(Act::Upload),
                R(&["Bitte einmal trennen und wieder verbinden, dann am Handy bestätigen."]),
                C(&[
                    "verbunden, grüner Haken",
                    "Läuft! Adresse {ip} wird angezeigt",
                    "dauert ... jetzt. Ja, geht",
                ]),
                R(&["Öffnen Sie bitte zur Probe {share}."]),
                C(&["alles da", "Ordner sind sichtbar, danke"]),
            ],
        },
        Script {
            trouble: Trouble::Invoice,
            details: &[
                "Rechnung {inv} lässt sich nicht buchen",
                "E-Rechnung {inv} wird abgelehnt",
            ],
            beats: &[
                C(&[
                    "LedgerOne lehnt die Rechnung {inv} ab: „Belegnummer bereits vergeben“. Wir haben heute Monatsabschluss!",
                    "Die E-Rechnung {inv} kommt vom Portal zurück, angeblich falsches Schema",
                ]),
                R(&["Welcher Mandant ist es, und wann ging die letzte Rechnung durch?"]),
                C(&[
                    "Mandant {n}, gestern {time} Uhr",
                    "Mandant {n}. Seit dem Update gestern Nacht geht nichts mehr",
                ]),
                Do(Act::Look),
                Do(Act::Download),
                R(&[
                    "Das Prüfprotokoll nennt Regel {short}: Rundungsdifferenz bei der Umsatzsteuer. Das behebt Version {ver}.",
                ]),
                Do(Act::Upload),
                Do(Act::Tidy),
                R(&[
                    "Sicherung liegt unter {share}\\sicherung\\{short}.bak, Prüfsumme {hash}. Das Update läuft.",
                ]),
                C(&[
                    "gut, ich fasse nichts an",
                    "wie lange ungefähr? Die Bank macht um {time} zu",
                ]),
                Do(Act::Registry),
                R(&["Fertig. Bitte buchen Sie {inv} noch einmal."]),
                C(&[
                    "gebucht! Prüfung ist grün ✅",
                    "ist durch, vielen Dank – Abschluss gerettet",
                ]),
            ],
        },
        Script {
            trouble: Trouble::Password,
            details: &["Konto gesperrt nach Urlaub", "Kennwort vergessen"],
            beats: &[
                C(&[
                    "Ich bin aus dem Urlaub zurück und mein Konto {user} ist gesperrt",
                    "Kennwort vergessen, peinlich 🙈",
                ]),
                R(&["Kein Problem. Nennen Sie mir bitte zur Prüfung Ihre Personalnummer."]),
                C(&["{pid}{n}", "Die Personalnummer ist {pid}-{n}"]),
                R(&[
                    "Danke, stimmt. Ich schicke einen Code an Ihre hinterlegte Nummer mit der Endung {n}.",
                ]),
                C(&["Code: {short}", "angekommen, {short}"]),
                Do(Act::Look),
                R(&[
                    "Ihr altes Handy versucht seit {time} Uhr, sich mit dem alten Kennwort anzumelden. Daher die Sperre.",
                ]),
                C(&[
                    "Ach, das liegt in der Schublade!",
                    "ok, das schalte ich aus",
                ]),
                R(&[
                    "Entsperrt. Bitte vergeben Sie nun ein neues Kennwort mit mindestens 14 Zeichen.",
                ]),
                C(&[
                    "angenommen, bin drin",
                    "er will Sonderzeichen ... jetzt geht es",
                ]),
            ],
        },
        Script {
            trouble: Trouble::Mail,
            details: &["Outlook zeigt keine neuen Mails", "Postausgang hängt"],
            beats: &[
                C(&[
                    "Seit {time} Uhr kommen in Outlook keine neuen Mails mehr, am Handy schon",
                    "Eine Mail mit Anhang hängt im Postausgang und blockiert alles",
                ]),
                R(&["Was steht unten rechts in der Leiste von Outlook?"]),
                C(&[
                    "„Getrennt“",
                    "„Es wird versucht, eine Verbindung herzustellen …“",
                ]),
                Do(Act::Look),
                R(&[
                    "Das Profil verweist noch auf den alten Server, Fehler {code}. Ich lege ein neues an; es geht nichts verloren.",
                ]),
                Do(Act::Download),
                Do(Act::Registry),
                R(&["Bitte Outlook öffnen. Die {n} Ordner werden jetzt neu geladen."]),
                C(&[
                    "sie kommen rein!",
                    "Ja, die Mails von heute sind da 📬",
                    "läuft, dauert aber noch",
                ]),
            ],
        },
    ],
};

/// Polish.
pub(super) const POLISH: Language = Language {
    phrases: Phrases {
        hello: &[
            "Dzień dobry {customer}, z tej strony {rep} z działu wsparcia. Mam przed sobą zgłoszenie {ticket}. W czym mogę pomóc?",
            "Witam, tu {rep}. Proszę opisać krótko, co się dzieje.",
        ],
        hello_back: &[
            "Dzień dobry, dziękuję za szybką odpowiedź",
            "Cześć {rep}",
            "dzień dobry!",
        ],
        may_i: &[
            "Czy mogę spojrzeć na Pani/Pana ekran? Proszę kliknąć „Zezwól”.",
            "Chcę przejąć sterowanie komputerem {host}, proszę najpierw zapisać otwarte pliki.",
        ],
        yes: &["tak, proszę", "Kliknięte", "ok, powinno być widać"],
        hold: &["Chwileczkę, sprawdzam.", "To potrwa około {n} sekund."],
        waiting: &[
            "nie ma sprawy, czekam",
            "o {time} mam spotkanie",
            "ok, idę po herbatę 🍵",
        ],
        anything: &["Czy mogę jeszcze w czymś pomóc?"],
        nothing: &["Nie, to wszystko. Bardzo dziękuję!", "nie, działa świetnie"],
        bye: &["Cieszę się. Zamykam {ticket}. Miłego dnia!"],
        bye_back: &["Do widzenia!", "Dziękuję, nawzajem", "pa 🙂"],
        hand_over: &["Dołączam koleżankę z zespołu specjalistów, proszę się nie rozłączać."],
        praise: &[
            "Szybko i bardzo miło, polecam.",
            "{rep} rozwiązał problem w {n} minut. Dziękuję!",
        ],
        grumble: &["Zbyt długi czas oczekiwania.", "Problem wraca co tydzień."],
    },
    scripts: &[
        Script {
            trouble: Trouble::Printer,
            details: &["drukarka {printer} nie drukuje", "błąd drukowania {code}"],
            beats: &[
                C(&[
                    "Drukarka {printer} od {time} nic nie drukuje, a w kolejce jest {n} dokumentów",
                    "Przy drukowaniu wyskakuje błąd {code}",
                ]),
                R(&[
                    "Czy inni mogą drukować na tej drukarce?",
                    "Czy błąd występuje w każdym programie?",
                ]),
                C(&["tak, u innych działa", "w każdym, nawet strona testowa"]),
                Do(Act::Look),
                R(&["Widzę uszkodzone zadanie w kolejce. Czyszczę bufor wydruku."]),
                Do(Act::Elevate),
                Do(Act::Tidy),
                Do(Act::Upload),
                R(&["Zainstalowałem sterownik w wersji {ver}. Proszę spróbować jeszcze raz."]),
                C(&[
                    "Drukuje! 🎉",
                    "wyszło wszystkie {n} stron naraz",
                    "działa, dziękuję",
                ]),
            ],
        },
        Script {
            trouble: Trouble::Slow,
            details: &["komputer bardzo wolny", "wszystko się zawiesza"],
            beats: &[
                C(&[
                    "Komputer działa strasznie wolno, Excel otwiera się {n} sekund",
                    "Od aktualizacji wszystko się zacina",
                ]),
                R(&["Kiedy ostatnio był uruchamiany ponownie?"]),
                C(&[
                    "hmm, nie pamiętam, tylko zamykam pokrywę",
                    "w zeszłym tygodniu chyba",
                ]),
                Do(Act::Inspect),
                R(&[
                    "Pamięć zajęta w {pct} %, na dysku C: zostało {gb} GB. Proces {pid} zużywa najwięcej.",
                ]),
                Do(Act::Tidy),
                Do(Act::Registry),
                R(&[
                    "Usunąłem pliki tymczasowe i zbędny program z autostartu. Proszę uruchomić komputer ponownie.",
                ]),
                C(&["uruchamiam", "już wstał, o wiele szybciej!"]),
                R(&["Świetnie. Teraz wolne jest {n} GB."]),
                C(&["jak nowy 😀", "super, różnica ogromna"]),
            ],
        },
        Script {
            trouble: Trouble::Factor,
            details: &["nowy telefon, brak kodów", "zgubiony telefon służbowy"],
            beats: &[
                C(&[
                    "Mam nowy telefon i aplikacja uwierzytelniająca jest pusta",
                    "Telefon wpadł do wody, nie mogę się zalogować",
                ]),
                R(&["Muszę potwierdzić tożsamość. Kto jest Pani/Pana przełożonym?"]),
                C(&["pani Wójcik, jest dostępna na czacie", "kierownik Śliwa"]),
                R(&["Potwierdzone. Tymczasowy kod dostępu jest ważny do {time}."]),
                Do(Act::Look),
                Do(Act::Screenshot),
                R(&["Proszę zeskanować kod QR nowym telefonem i wpisać liczbę {n}."]),
                C(&["zeskanowane, zatwierdziłam", "jest ✅"]),
                R(&["Stare urządzenie {guid} zostało usunięte z konta."]),
                C(&["dziękuję, już się loguję", "działa"]),
            ],
        },
    ],
};
