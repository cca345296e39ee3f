//! What is said in English.

use super::super::problems::Trouble;
use super::Beat::{Customer as C, Do, Rep as R};
use super::{Act, Language, Phrases, Script};

/// English.
pub(super) const ENGLISH: Language = Language {
    phrases: Phrases {
        hello: &[
            "Hello {customer}, this is {rep} from the service desk. I have your request {ticket} in front of me. How can I help?",
            "Good day {customer}, {rep} here. I see you opened {ticket} – what is happening?",
            "Hi {customer}! You're through to {rep}. Could you tell me in a few words what's wrong?",
        ],
        hello_back: &[
            "Hi {rep}, thanks for being quick.",
            "Hello! Finally someone 😅",
            "Good morning {rep}",
            "hi",
        ],
        may_i: &[
            "May I take a look at your screen? Please click Allow on the prompt that comes up.",
            "I'd like to see this for myself. A prompt should appear on {host} now – please accept it.",
            "I'm going to request control. Please save whatever you have open first.",
        ],
        yes: &[
            "ok, clicked allow",
            "Done, you should see it",
            "Yes go ahead",
            "Accepted 👍",
            "sure, nothing private open",
        ],
        hold: &[
            "One moment please, I am looking something up.",
            "Bear with me, this takes about {n} seconds.",
            "Thanks. I'm checking the same thing on another machine to compare.",
            "Please don't touch the mouse for a minute, I'm typing in an admin window.",
        ],
        waiting: &[
            "no problem, I'm on the phone anyway",
            "Take your time, I'll get a coffee ☕",
            "ok. I have a meeting at {time} just so you know",
            "is it normal that the screen goes black for a second?",
        ],
        anything: &[
            "Is there anything else I can do for you?",
            "Anything else while I'm connected?",
        ],
        nothing: &[
            "No, that's all. Thank you so much!",
            "nope all good",
            "That was it, thanks {rep} 🙏",
            "Not today, thanks",
        ],
        bye: &[
            "Great. I'll close {ticket} then. You'll get a short survey when I disconnect. Have a good day!",
            "Glad it works. The reference is {ticket} should it come back. Bye!",
        ],
        bye_back: &[
            "bye!",
            "Thanks, bye",
            "Have a nice weekend",
            "You too 😊",
            "Cheers",
        ],
        hand_over: &[
            "This needs somebody from another team. I'm bringing in a colleague, please stay connected.",
            "I'll hand you over to our specialists, they can see what I've already done.",
        ],
        praise: &[
            "Solved within minutes, very friendly.",
            "{rep} explained everything so that even I understood it. 5 stars ⭐",
            "Great as always. Please pass on my thanks to {rep}.",
            "Fast. The problem had bothered me for weeks.",
        ],
        grumble: &[
            "Had to wait {n} minutes although the page said 2.",
            "Works for now, but it's the third time this month. Please look into the cause.",
            "The fix deleted my bookmarks. Otherwise ok.",
        ],
    },
    scripts: SCRIPTS,
};

/// Conversations.
const SCRIPTS: &[Script] = &[
    Script {
        trouble: Trouble::Printer,
        details: &[
            "Printer {printer} does nothing",
            "Nothing comes out of {printer} since this morning, queue says {code}",
        ],
        beats: &[
            C(&[
                "Nothing comes out of {printer} since about {time}. It says 'Error - Printing' in the little window.",
                "I can't print. {printer} shows up grey and every document stays in the queue. There are {n} of them now.",
            ]),
            R(&[
                "Does it happen with every program, or only one?",
                "Can your colleagues print on {printer} right now?",
            ]),
            C(&[
                "every program, Word and Outlook too",
                "Yes, the others can print, it's only my PC",
            ]),
            Do(Act::Look),
            R(&[
                "I see {n} jobs stuck, the oldest one is from {time}. I will stop the spooler and clear them.",
                "The queue is blocked by a damaged job (id {pid}). I'll clear it and restart the print spooler.",
            ]),
            Do(Act::Elevate),
            Do(Act::Tidy),
            R(&["Cleared. Could you print a test page, please?"]),
            C(&[
                "still nothing... now it says {code}",
                "hmm, new message: Windows cannot connect to the printer. {code}",
            ]),
            R(&[
                "{code} means that the driver on your side no longer matches the server. I'm sending you the current one, {ver}.",
                "That's the known driver mismatch after last week's update. I'll install version {ver} for you.",
            ]),
            Do(Act::Upload),
            R(&["Installing. For the record, the package I used: sha256 {hash}"]),
            Do(Act::Registry),
            R(&["Please try again now."]),
            C(&[
                "It prints!! All {n} pages at once now, haha",
                "yes! page is coming out. And in colour",
                "Works. You're a star ⭐",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Slow,
        details: &[
            "laptop extremely slow",
            "Everything takes minutes, fan is loud, {host}",
            "Slow PC since the last update",
        ],
        beats: &[
            C(&[
                "My laptop is so slow I could cook dinner while Excel opens",
                "Everything hangs. Opening a mail takes {n} seconds, I counted",
                "the computer is terribly slow since the update on Monday",
            ]),
            R(&[
                "That sounds annoying. When did you last restart it – really restart, not close the lid?",
                "Is it slow right after you sign in, or does it get worse during the day?",
            ]),
            C(&[
                "Um... I never restart it. I just close it",
                "from the start, already at the login",
                "worse and worse, by {time} I can't do anything",
            ]),
            Do(Act::Inspect),
            R(&[
                "Uptime is {n} days, and drive C: has {gb} GB left. Both are part of it.",
                "Memory is at {pct} %. One browser process (pid {pid}) alone takes {gb} GB.",
            ]),
            Do(Act::Look),
            R(&["I also see a photo sync program starting with Windows. Do you need it?"]),
            C(&[
                "no idea what that is",
                "no, that's from my old phone",
                "Please remove it",
            ]),
            Do(Act::Registry),
            R(&[
                "Removed from startup. Now I'm cleaning temporary files; the Windows update leftovers alone are {gb} GB.",
            ]),
            Do(Act::Shell),
            Do(Act::Tidy),
            R(&[
                "Finished. Please restart now, I will reconnect when {host} is back.",
                "All done: {gb} GB free again. A restart is needed to finish, I'll wait here.",
            ]),
            C(&["ok restarting", "do I lose this chat?"]),
            R(&["I'm back. How does it feel?"]),
            C(&[
                "Night and day. Excel opened in {n} seconds... no wait, in 2",
                "much better, thank you",
                "whoa it's like new",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Vpn,
        details: &[
            "VPN does not connect from home",
            "can't connect to {gateway}, error {code}",
        ],
        beats: &[
            C(&[
                "VPN won't connect, it says 'The certificate is not valid' and then {code}",
                "I'm working from home and the VPN stops at 'Negotiating security policies'. Yesterday it worked",
                "{gateway} times out every time. Internet itself is fine",
            ]),
            R(&[
                "Are you at home, in a hotel, or on a mobile hotspot?",
                "Did anything change – new router, new password, new phone?",
            ]),
            C(&[
                "At home. We got a new router on Saturday",
                "hotel in Leeds, the wifi here is terrible",
                "nothing changed. well, I changed my password on {time} yesterday",
            ]),
            Do(Act::Look),
            R(&["Let me test the line from your side."]),
            Do(Act::Shell),
            R(&[
                "Reply from {gateway}: time={ms}ms, but packets above 1400 bytes don't get through. That's the new router's MTU.",
                "The name resolves, time={ms}ms. But your user certificate expired at {time} today, thumbprint {hash}",
            ]),
            C(&[
                "ok... is that bad?",
                "I have no idea what that means but ok 🙂",
            ]),
            R(&["It's easy to fix. I'm replacing the connection profile."]),
            Do(Act::Upload),
            Do(Act::Registry),
            R(&["Please click Connect again, then approve the sign-in on your phone."]),
            C(&[
                "connecting... connected!",
                "It asks for a code first... ok got it. Green tick ✅",
                "now it works. I get {ip}",
            ]),
            R(&["Perfect, I see you with {ip} on our side. Can you open {share}?"]),
            C(&["yes I see the folders", "Yes. A bit slow but it opens"]),
        ],
    },
    Script {
        trouble: Trouble::Wifi,
        details: &[
            "No Wi-Fi in meeting room {n}",
            "wifi drops every few minutes",
        ],
        beats: &[
            C(&[
                "The wifi drops every {n} minutes, then I have to reconnect by hand",
                "My laptop doesn't see the corp wifi any more, only the guest one",
            ]),
            R(&[
                "Which building and floor are you in?",
                "Is it only this laptop or your phone too?",
            ]),
            C(&[
                "Building B, floor {n}... it was fine upstairs",
                "only the laptop, phone is fine",
            ]),
            Do(Act::Inspect),
            R(&[
                "Your adapter {mac} connects on 2.4 GHz with signal {n} %. The driver is two years old.",
                "I see {n} disconnects since {time}, all with reason 'driver disconnected while associating'.",
            ]),
            Do(Act::Upload),
            R(&[
                "I'm updating the driver to {ver}. You'll lose the connection for about {n} seconds.",
            ]),
            C(&["ok I'm plugged in by cable so no problem", "go"]),
            Do(Act::Look),
            R(&[
                "And I imported the network profile again, the old one had the wrong certificate authority.",
            ]),
            C(&[
                "it shows 'Connected, secured' now",
                "signal is full bars now, thanks",
            ]),
            R(&["Please move around a little with it and see if it stays up."]),
            C(&[
                "walked to the kitchen and back, still connected 👌",
                "So far so good, ping stays at {ms} ms",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Mail,
        details: &[
            "Outlook does not receive mail",
            "Outlook keeps asking for my password",
            "mails stuck in the outbox since {time}",
        ],
        beats: &[
            C(&[
                "Outlook keeps asking for my password. I type it, it asks again. 20 times already",
                "I get no new mail since {time}, but on my phone they arrive",
                "A mail with an attachment is stuck in the Outbox and nothing else goes out",
            ]),
            R(&[
                "What does it say at the bottom right of the Outlook window?",
                "Can you open your mail in the browser?",
            ]),
            C(&[
                "'Disconnected'",
                "Trying to connect...",
                "in the browser it all works",
                "'Working Offline' – oh. is it that?",
            ]),
            Do(Act::Look),
            R(&[
                "I see it: the profile on {host} still points to the old server. The log repeats error {code}.",
                "The offline file has grown to {n}.{n} GB, that's over the limit. Error {code}.",
            ]),
            C(&[
                "Will I lose my mails??",
                "ok. my folders stay, right? I have {n} of them",
            ]),
            R(&[
                "Nothing is lost, it's all on the server. I'll make a new profile and keep the old one for a week.",
                "Don't worry – everything is on the server. I only rebuild the local copy.",
            ]),
            Do(Act::Download),
            Do(Act::Registry),
            Do(Act::Tidy),
            R(&[
                "New profile is set up, it now downloads {n},{pid} messages. That takes a while but you can work.",
            ]),
            C(&[
                "they're coming in! so many",
                "It connects without asking. Finally!!",
                "I see today's mails now 📬",
            ]),
            R(&["Please send a test mail to {user}@{site} with subject {short}."]),
            C(&[
                "sent and arrived",
                "{short} – no wait, I wrote 'test'. Arrived anyway 😄",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Meeting,
        details: &[
            "Camera black in Teams",
            "nobody hears me in meetings",
            "no sound, meeting at {time}!!",
        ],
        beats: &[
            C(&[
                "Nobody can hear me in Teams and my meeting starts at {time}!!",
                "my camera is just black with a line through it",
                "headset works for music but not for calls",
            ]),
            R(&[
                "Let's be quick then. Which headset or camera is it?",
                "Does the camera have a slider or a key that covers it?",
            ]),
            C(&[
                "the one from the company, serial {serial}",
                "Logi something. USB",
                "built in. there is no slider... oh there is a key with a camera on it",
            ]),
            Do(Act::Look),
            R(&[
                "In Teams the microphone is set to 'Stereo Mix', that's why. I choose your headset.",
                "Windows privacy settings block the device for desktop apps. I'll switch that.",
            ]),
            Do(Act::Registry),
            C(&[
                "ok test call says it hears me",
                "I can see myself! terrible hair but I see myself",
                "still black",
            ]),
            R(&[
                "I also update the firmware of the device to {ver}, older ones lose the connection after sleep.",
            ]),
            Do(Act::Upload),
            R(&["Unplug it, count to five, plug it in again please."]),
            C(&[
                "done. Now it says ready",
                "works!! thank you thank you, joining the meeting now",
                "yes. {n} seconds before the meeting 😅",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Password,
        details: &[
            "Account locked",
            "forgot password after vacation",
            "password expired, can't log in to {host}",
        ],
        beats: &[
            C(&[
                "I was on holiday for three weeks and forgot my password 🙈",
                "It says my account is locked. I typed it correctly!",
                "password expired and the change page gives {code}",
            ]),
            R(&[
                "No problem. To make sure it's you: what is your employee number, please?",
                "I'll send a code to your registered phone ending in {n}. Please tell me the code.",
            ]),
            C(&["4{pid}", "it's {pid}{n}", "the code is {short}"]),
            R(&["Thank you, that matches.", "Confirmed, thanks."]),
            R(&[
                "Your account {user} was locked at {time} by {n} failed sign-ins coming from {host} and from a phone.",
                "I see event 4740 for {user} at {time}, caller computer {host}. Something keeps trying the old password.",
            ]),
            C(&[
                "from a phone? ah, my old phone is in the drawer, still switched on",
                "I did change it on the website yesterday",
            ]),
            Do(Act::Look),
            R(&[
                "There are {n} saved entries in Credential Manager with the old password. I'm removing them.",
            ]),
            Do(Act::Shell),
            R(&[
                "Unlocked. Please press Ctrl+Alt+Del, choose Change a password, and take at least 14 characters.",
            ]),
            C(&[
                "it says it doesn't meet the requirements",
                "what about my dog's name? just kidding",
                "ok done, accepted",
            ]),
            R(
                &[
                    "It must differ from the last 24 ones. A short sentence works well, with blanks.",
                ],
            ),
            C(&["Ok now it took it. I'm in!", "done, logged in 🎉"]),
        ],
    },
    Script {
        trouble: Trouble::Factor,
        details: &[
            "New phone, no codes any more",
            "Authenticator lost",
            "MFA: phone broken",
        ],
        beats: &[
            C(&[
                "I got a new phone and the authenticator is empty, now I can't log in anywhere",
                "My phone fell into the lake and with it the sign-in app",
                "it wants a number in the app but the app shows nothing",
            ]),
            R(&[
                "Oh no. Do you still have the old phone, or a recovery code?",
                "Do you still get text messages on {phone}?",
            ]),
            C(&[
                "No, it's gone",
                "old one is wiped already, sorry",
                "yes the number is the same",
            ]),
            R(&[
                "Then I need to check your identity: your manager has to confirm in chat. Who is that?",
                "Please hold your badge into the camera; I compare it with the picture in the directory.",
            ]),
            C(&["it's Ms Hargreaves, she is online", "ok, can you see it?"]),
            R(&[
                "Confirmed, thank you. I reset your methods; a temporary pass is valid until {time}.",
            ]),
            Do(Act::Look),
            Do(Act::Screenshot),
            R(&["Please open the security info page and scan the QR code with the new phone."]),
            C(&[
                "it says 'scan again'",
                "scanned",
                "camera permission... ok, scanned. 6 digits appear",
            ]),
            R(&["Type the number that my page shows: {n}. Then approve."]),
            C(&[
                "approved ✅",
                "ok it's in the list now, 'iPhone of {customer}'",
            ]),
            R(&[
                "I also removed the old device {guid} from your account. Please keep the recovery code in a safe place, not on the phone.",
            ]),
            C(&[
                "will do, on paper like grandma 📝",
                "Thanks! Lesson learned",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Record,
        details: &[
            "CareView hangs on opening patient chart",
            "EHR login error {code} on ward {n}",
            "CareView very slow, URGENT, ward round",
        ],
        beats: &[
            C(&[
                "CareView freezes as soon as I open the medication tab, and we have the ward round at {time}",
                "EHR: 'could not reach application server', {code}. All three PCs at the nurses' station",
                "I can log in to Windows but CareView says my session is open elsewhere",
            ]),
            R(&[
                "Understood, I treat this as urgent. Is it every patient or one chart?",
                "Which station are you on, and does the emergency workstation still work?",
            ]),
            C(&[
                "every patient",
                "Ward {n}, workstation {host}. the emergency one works",
                "one chart only I think, the others open slowly",
            ]),
            Do(Act::Look),
            R(&[
                "Your client still points to app server 03, which has been taken out of service at {time}. I'm switching it to 05.",
                "I see your session hanging on the terminal server since {time} (pid {pid}). I'll end it, unsaved notes in it are lost – is that all right?",
            ]),
            C(&[
                "yes please",
                "Nothing unsaved there. go ahead",
                "ok, but hurry please",
            ]),
            Do(Act::Download),
            Do(Act::Registry),
            R(&[
                "Please start CareView again and open the same chart, without telling me any patient data here.",
            ]),
            C(&[
                "opens now. medication tab too",
                "still loading... there. {n} seconds. That's ok",
                "it works on mine, but not on the one next to me",
            ]),
            R(&[
                "I'm pushing the same correction ({ver}) to all workstations of ward {n}; it takes effect at the next login.",
                "The hotfix {ver} goes to the whole ward tonight. Checksum for your IT nurse: {hash}",
            ]),
            C(&["Great, I'll tell the others", "You saved the round 💙"]),
        ],
    },
    Script {
        trouble: Trouble::Label,
        details: &[
            "Wristband printer prints blank",
            "labels shifted on {printer}",
        ],
        beats: &[
            C(&[
                "The wristband printer {printer} prints everything 1 cm too low, the barcode is cut",
                "{printer} feeds blank wristbands. We are writing by hand now",
            ]),
            R(&[
                "Was the roll changed recently? There are two kinds with different gaps.",
                "Does the light on {printer} blink or is it steady?",
            ]),
            C(&[
                "yes, night shift changed it",
                "steady green",
                "It blinks amber twice, then nothing",
            ]),
            Do(Act::Look),
            R(&[
                "The template expects 25×178 mm, the printer reports 30×203. I'm loading the right one and calibrating.",
            ]),
            Do(Act::Upload),
            R(&["Darkness was at 12, that's too faint for your scanner; I set 18."]),
            Do(Act::Registry),
            R(&["Please print one test wristband with patient TEST, TEST and scan it."]),
            C(&[
                "beep! it reads 00{pid}{n}",
                "position is right now, barcode scans",
                "a bit to the left still but it scans",
            ]),
            R(&[
                "Good. I saved the setting on the printer (serial {serial}), so a restart won't lose it.",
            ]),
            C(&["perfect, thanks from ward {n}", "👍👍"]),
        ],
    },
    Script {
        trouble: Trouble::Invoice,
        details: &[
            "LedgerOne rejects invoice {inv}",
            "e-invoice {inv} validation error",
            "Cannot post invoices, month end!",
        ],
        beats: &[
            C(&[
                "I can't post invoice {inv}, the program says 'document number already assigned' but it isn't",
                "LedgerOne sends e-invoices and the customer's portal rejects them: 'schema 2.3 no longer supported'. {inv} and {n} others",
                "The PDF of {inv} is empty. Month end is today...",
            ]),
            R(&[
                "Let me see {inv} together with you. Which client number in LedgerOne?",
                "When did the last one go through?",
            ]),
            C(&[
                "client {n}",
                "yesterday {time}, {inv} was the first that failed",
            ]),
            Do(Act::Look),
            Do(Act::Download),
            R(&[
                "The validator says: [BR-CO-15] total with VAT does not equal the sum, rule {short}. That's a rounding fault in version {ver}.",
                "The numbering table has a gap: after {inv} the counter was set back at {time}.",
            ]),
            C(&[
                "we updated last night, maybe that's it",
                "a colleague did an import at that time",
            ]),
            R(&["I make a backup of the client first, then run the vendor's repair script."]),
            Do(Act::Tidy),
            Do(Act::Upload),
            R(&[
                "Backup is on {share}\\backup\\ledger-{short}.bak (sha256 {hash}). Script running, {n} rows so far.",
            ]),
            C(&[
                "ok I keep my hands off",
                "how long? the bank closes at {time}",
            ]),
            Do(Act::Registry),
            R(&["Done, {n} documents repaired. Please post {inv} again."]),
            C(&[
                "posted!! validation green",
                "Went through. The PDF has content too",
                "yes, portal answered 'accepted'",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Spreadsheet,
        details: &["macros blocked in {file}", "{file} opens read-only"],
        beats: &[
            C(&[
                "Excel blocks the macros in '{file}' with a red bar since today",
                "The button in {file} does nothing any more. We do payroll with it",
                "{file} says locked for editing by 'another user', but nobody has it",
            ]),
            R(&[
                "Where does the file lie – network drive, mail attachment, or downloaded?",
                "Who made the macro, somebody in house?",
            ]),
            C(&[
                "on {share}",
                "a colleague who left in 2019 😬",
                "downloaded from the portal",
            ]),
            Do(Act::Look),
            R(&[
                "The red bar is the new policy: macros from the internet zone are blocked. {share} was not in the trusted locations.",
                "There is a leftover lock file of {user} from {time}. I'm removing it.",
            ]),
            Do(Act::Registry),
            Do(Act::Tidy),
            R(&[
                "Please close Excel altogether, wait {n} seconds, and open it from the drive again.",
            ]),
            C(&[
                "no red bar now",
                "button works, it calculates row {pid}",
                "now it asks yellow instead of red. I click enable content?",
            ]),
            R(&[
                "Yes, once. For the long run the macro should be signed; I note that in {ticket} for the application team.",
            ]),
            C(&[
                "good, payroll is saved",
                "thx! 💸",
                "Understood, I'll tell my boss",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Drive,
        details: &["S: drive is missing", "cannot open {share}: access denied"],
        beats: &[
            C(&[
                "My S: drive is gone, there's a red X",
                "I click on {share} and it says network path not found, {code}",
                "I moved to another department and see no folders",
            ]),
            R(&[
                "Are you in the office or on VPN at the moment?",
                "Do you see the other drives, H: for example?",
            ]),
            C(&[
                "office",
                "H: is there, only S: is missing",
                "vpn, connected since {time}",
            ]),
            Do(Act::Shell),
            R(&[
                "net use shows S: pointing to the old server fs01, which was switched off on Friday. It's now on fs04.",
                "You're not in the group for {share} yet. The request was approved at {time} but needs a new sign-in.",
            ]),
            Do(Act::Registry),
            Do(Act::Upload),
            R(&["I mapped it again. Please look in This PC."]),
            C(&[
                "S: is back, all files there",
                "there it is! 📁",
                "I see it but 'Projects' says access denied",
            ]),
            R(&[
                "I compared it with a colleague's rights: the group GG-{short} was missing. It's added; sign out and in once.",
            ]),
            C(&[
                "signed in again, now I can open it",
                "ok works, {n} folders",
                "perfect",
            ]),
        ],
    },
    Script {
        trouble: Trouble::Server,
        details: &[
            "Planned maintenance {host}",
            "disk space alert on {host}: {pct} % used",
        ],
        beats: &[
            Do(Act::Look),
            Do(Act::Inspect),
            Do(Act::Shell),
            Do(Act::Elevate),
            Do(Act::Look),
            Do(Act::Upload),
            Do(Act::Look),
            Do(Act::Registry),
            Do(Act::Tidy),
            Do(Act::Look),
            Do(Act::Download),
            Do(Act::Screenshot),
            Do(Act::Look),
        ],
    },
];
