//! Names of people and companies in the languages of the demo organisation. All invented.

use super::super::dice::Dice;

/// A language, and with it a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tongue {
    /// English.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Polish.
    Polish,
    /// Arabic.
    Arabic,
    /// Hebrew.
    Hebrew,
    /// Japanese.
    Japanese,
    /// Chinese.
    Chinese,
    /// Russian.
    Russian,
    /// Greek.
    Greek,
}

/// A text in its own script and in plain ASCII.
type Pair = (&'static str, &'static str);

/// A person's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    /// The given name in its script.
    pub(crate) given: &'static str,
    /// The family name in its script.
    family: &'static str,
    /// The given name in ASCII.
    given_ascii: &'static str,
    /// The family name in ASCII.
    family_ascii: &'static str,
    /// The order and the joint of the two.
    order: Order,
}

/// How a full name is put together.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Given name, blank, family name.
    GivenFirst,
    /// Family name, blank, given name.
    FamilyFirst,
    /// Family name, given name, nothing between.
    FamilyFirstTight,
}

impl Name {
    /// The whole name in its script.
    pub(crate) fn full(&self) -> String {
        match self.order {
            Order::GivenFirst => format!("{} {}", self.given, self.family),
            Order::FamilyFirst => format!("{} {}", self.family, self.given),
            Order::FamilyFirstTight => format!("{}{}", self.family, self.given),
        }
    }

    /// The account name made of it.
    pub(crate) fn username(&self) -> String {
        format!("{}.{}", self.given_ascii, self.family_ascii)
    }
}

/// What a language calls its people and companies.
struct Culture {
    /// Given names; men at even places, women at odd ones.
    given: &'static [Pair],
    /// Family names; where they differ, men's at even places and women's at odd ones.
    family: &'static [Pair],
    /// Whether the family name follows the given name's gender.
    agrees: Agreement,
    /// The order of names.
    order: Order,
    /// Companies.
    companies: &'static [&'static str],
}

/// Whether a family name has two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// One for all.
    None,
    /// One for men, one for women.
    Gender,
}

/// A person who speaks the language.
pub(crate) fn name(dice: &mut Dice, tongue: Tongue) -> Name {
    let culture = culture(tongue);
    let given_idx = dice.between(0, culture.given.len() as i64 - 1) as usize;
    let mut family_idx = dice.between(0, culture.family.len() as i64 - 1) as usize;
    if culture.agrees == Agreement::Gender {
        family_idx = family_idx / 2 * 2 + given_idx % 2;
    }
    let (given, given_ascii) = culture.given[given_idx];
    let (family, family_ascii) = culture.family[family_idx];
    Name {
        given,
        family,
        given_ascii,
        family_ascii,
        order: culture.order,
    }
}

/// A company where the language is spoken.
pub(crate) fn company(dice: &mut Dice, tongue: Tongue) -> &'static str {
    let chosen: &&str = dice.pick(culture(tongue).companies);
    chosen
}

/// The table row of a language.
fn culture(tongue: Tongue) -> &'static Culture {
    match tongue {
        Tongue::English => &ENGLISH,
        Tongue::German => &GERMAN,
        Tongue::French => &FRENCH,
        Tongue::Spanish => &SPANISH,
        Tongue::Polish => &POLISH,
        Tongue::Arabic => &ARABIC,
        Tongue::Hebrew => &HEBREW,
        Tongue::Japanese => &JAPANESE,
        Tongue::Chinese => &CHINESE,
        Tongue::Russian => &RUSSIAN,
        Tongue::Greek => &GREEK,
    }
}

/// English names.
const ENGLISH: Culture = Culture {
    given: &[
        ("Oliver", "oliver"),
        ("Grace", "grace"),
        ("Marcus", "marcus"),
        ("Priya", "priya"),
        ("Dylan", "dylan"),
        ("Siobhán", "siobhan"),
        ("Trevor", "trevor"),
        ("Hannah", "hannah"),
        ("Kwame", "kwame"),
        ("Beth", "beth"),
        ("Rohan", "rohan"),
        ("Imogen", "imogen"),
        ("Desmond", "desmond"),
        ("Latisha", "latisha"),
        ("Callum", "callum"),
        ("Zoë", "zoe"),
        ("Patrick", "patrick"),
        ("Naomi", "naomi"),
        ("Gareth", "gareth"),
        ("Eleanor", "eleanor"),
    ],
    family: &[
        ("Whitfield", "whitfield"),
        ("O’Donnell", "odonnell"),
        ("Okafor", "okafor"),
        ("Hargreaves", "hargreaves"),
        ("Mistry", "mistry"),
        ("Lindqvist", "lindqvist"),
        ("Pemberton", "pemberton"),
        ("Castellano", "castellano"),
        ("Brennan", "brennan"),
        ("Nakamura-Hill", "nakamurahill"),
        ("Adeyemi", "adeyemi"),
        ("Ferris", "ferris"),
        ("Blackwood", "blackwood"),
        ("Tremblay", "tremblay"),
        ("McAllister", "mcallister"),
        ("Sandoval", "sandoval"),
        ("Underhill", "underhill"),
        ("Varga", "varga"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "Kestrel Services Ltd",
        "Harrow & Pine LLP",
        "Bluewater Logistics",
        "Tidewell Foods Inc.",
        "Copperfield Dental",
        "Northgate Veterinary",
        "Ashdown Civil Engineering",
        "Fern & Sons 🌿",
        "Rook Street Bakery",
        "Halcyon Insurance Group",
    ],
};

/// German names.
const GERMAN: Culture = Culture {
    given: &[
        ("Jürgen", "juergen"),
        ("Anke", "anke"),
        ("Matthias", "matthias"),
        ("Käthe", "kaethe"),
        ("Björn", "bjoern"),
        ("Sabine", "sabine"),
        ("Torsten", "torsten"),
        ("Übeyde", "uebeyde"),
        ("Lukas", "lukas"),
        ("Marlene", "marlene"),
        ("Florian", "florian"),
        ("Gönül", "goenuel"),
    ],
    family: &[
        ("Größler", "groessler"),
        ("Vogelsang", "vogelsang"),
        ("Müller-Brandt", "muellerbrandt"),
        ("Weißenfels", "weissenfels"),
        ("Kröger", "kroeger"),
        ("Schütte", "schuette"),
        ("Aydın", "aydin"),
        ("Hölzl", "hoelzl"),
        ("Petersen", "petersen"),
        ("Jäschke", "jaeschke"),
        ("von der Aue", "vonderaue"),
        ("Brückner", "brueckner"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "Bäckerei Größler GmbH & Co. KG",
        "Stadtwerke Nordhaide",
        "Möbelhaus Jäschke",
        "Kanzlei Weißenfels",
        "Spedition Hölzl",
        "Metallbau Kröger e. K.",
        "Praxis am Südring",
    ],
};

/// French names.
const FRENCH: Culture = Culture {
    given: &[
        ("Étienne", "etienne"),
        ("Aurélie", "aurelie"),
        ("Loïc", "loic"),
        ("Maëlle", "maelle"),
        ("Baptiste", "baptiste"),
        ("Chloé", "chloe"),
        ("François", "francois"),
        ("Fatou", "fatou"),
        ("Théo", "theo"),
        ("Hélène", "helene"),
    ],
    family: &[
        ("Lefèvre", "lefevre"),
        ("Garçon", "garcon"),
        ("Bréchard", "brechard"),
        ("d’Aubigny", "daubigny"),
        ("N’Diaye", "ndiaye"),
        ("Prévost", "prevost"),
        ("Thibault", "thibault"),
        ("Çelik", "celik"),
        ("Montagné", "montagne"),
        ("Roussel", "roussel"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "Boulangerie des Trois Chênes",
        "Cabinet Prévost & Associés",
        "Transports Bréchard SARL",
        "Mairie de Saint-Véran-le-Haut",
        "Clinique des Glycines",
        "Fromagerie d’Aubigny",
    ],
};

/// Spanish names.
const SPANISH: Culture = Culture {
    given: &[
        ("José Ángel", "joseangel"),
        ("Begoña", "begona"),
        ("Íñigo", "inigo"),
        ("Lucía", "lucia"),
        ("Andrés", "andres"),
        ("Inés", "ines"),
        ("Joaquín", "joaquin"),
        ("María José", "mariajose"),
        ("Raúl", "raul"),
        ("Ximena", "ximena"),
    ],
    family: &[
        ("Muñoz Peña", "munoz"),
        ("Ibáñez", "ibanez"),
        ("Núñez del Río", "nunez"),
        ("Echeverría", "echeverria"),
        ("Bermúdez", "bermudez"),
        ("Castaño", "castano"),
        ("Quiñones", "quinones"),
        ("Valdés", "valdes"),
        ("Sepúlveda", "sepulveda"),
        ("Arango", "arango"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "Panadería El Sueño",
        "Gestoría Ibáñez e Hijos, S.L.",
        "Colegio Nuestra Señora del Río",
        "Transportes Núñez",
        "Clínica Dental Sepúlveda",
        "Cooperativa Agrícola La Campiña",
    ],
};

/// Polish names.
const POLISH: Culture = Culture {
    given: &[
        ("Łukasz", "lukasz"),
        ("Małgorzata", "malgorzata"),
        ("Przemysław", "przemyslaw"),
        ("Agnieszka", "agnieszka"),
        ("Michał", "michal"),
        ("Żaneta", "zaneta"),
        ("Wojciech", "wojciech"),
        ("Grażyna", "grazyna"),
        ("Paweł", "pawel"),
        ("Kinga", "kinga"),
    ],
    family: &[
        ("Wiśniewski", "wisniewski"),
        ("Wiśniewska", "wisniewska"),
        ("Zieliński", "zielinski"),
        ("Zielińska", "zielinska"),
        ("Wójcik", "wojcik"),
        ("Wójcik", "wojcik"),
        ("Gołębiowski", "golebiowski"),
        ("Gołębiowska", "golebiowska"),
        ("Śliwa", "sliwa"),
        ("Śliwa", "sliwa"),
        ("Brzęczek", "brzeczek"),
        ("Brzęczek", "brzeczek"),
    ],
    agrees: Agreement::Gender,
    order: Order::GivenFirst,
    companies: &[
        "Piekarnia Złoty Kłos",
        "Biuro Rachunkowe Wójcik",
        "Szpital Miejski w Łęgowie",
        "Hurtownia Śliwa sp. z o.o.",
        "Zakład Mechaniczny Brzęczek",
    ],
};

/// Arabic names.
const ARABIC: Culture = Culture {
    given: &[
        ("خالد", "khalid"),
        ("مريم", "maryam"),
        ("يوسف", "yousef"),
        ("ليلى", "layla"),
        ("طارق", "tariq"),
        ("نورة", "noura"),
        ("سامي", "sami"),
        ("هدى", "huda"),
    ],
    family: &[
        ("الحربي", "alharbi"),
        ("المنصوري", "almansouri"),
        ("حداد", "haddad"),
        ("الخطيب", "alkhatib"),
        ("درويش", "darwish"),
        ("العمري", "alomari"),
        ("قاسم", "qasim"),
        ("النجار", "alnajjar"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "شركة الواحة للتجارة",
        "مستشفى النخيل",
        "مكتب درويش للمحاسبة",
        "مطاحن الصحراء",
    ],
};

/// Hebrew names.
const HEBREW: Culture = Culture {
    given: &[
        ("איתן", "eitan"),
        ("נועה", "noa"),
        ("יונתן", "yonatan"),
        ("תמר", "tamar"),
        ("אורי", "uri"),
        ("שירה", "shira"),
        ("גיא", "guy"),
        ("מיכל", "michal"),
    ],
    family: &[
        ("ברק", "barak"),
        ("שפירא", "shapira"),
        ("אלמוג", "almog"),
        ("פרידמן", "friedman"),
        ("בן־דוד", "bendavid"),
        ("אזולאי", "azoulay"),
        ("גרין", "green"),
        ("הדר", "hadar"),
    ],
    agrees: Agreement::None,
    order: Order::GivenFirst,
    companies: &[
        "מאפיית הדר בע״מ",
        "משרד עו״ד שפירא",
        "מרפאת השרון",
        "אלמוג לוגיסטיקה",
    ],
};

/// Japanese names.
const JAPANESE: Culture = Culture {
    given: &[
        ("健太", "kenta"),
        ("陽菜", "hina"),
        ("大輔", "daisuke"),
        ("美咲", "misaki"),
        ("翔", "sho"),
        ("さくら", "sakura"),
        ("浩二", "koji"),
        ("由美子", "yumiko"),
    ],
    family: &[
        ("高橋", "takahashi"),
        ("渡邉", "watanabe"),
        ("斎藤", "saito"),
        ("小野寺", "onodera"),
        ("長谷川", "hasegawa"),
        ("五十嵐", "igarashi"),
        ("髙木", "takagi"),
        ("森", "mori"),
    ],
    agrees: Agreement::None,
    order: Order::FamilyFirst,
    companies: &[
        "株式会社小野寺製作所",
        "みなと総合病院",
        "有限会社さくら印刷",
        "東浜物流株式会社",
    ],
};

/// Chinese names.
const CHINESE: Culture = Culture {
    given: &[
        ("伟", "wei"),
        ("晓燕", "xiaoyan"),
        ("建国", "jianguo"),
        ("丽华", "lihua"),
        ("志强", "zhiqiang"),
        ("梦琪", "mengqi"),
        ("浩然", "haoran"),
        ("秀英", "xiuying"),
    ],
    family: &[
        ("王", "wang"),
        ("欧阳", "ouyang"),
        ("陈", "chen"),
        ("赵", "zhao"),
        ("黄", "huang"),
        ("诸葛", "zhuge"),
        ("林", "lin"),
        ("郭", "guo"),
    ],
    agrees: Agreement::None,
    order: Order::FamilyFirstTight,
    companies: &[
        "华东精密机械有限公司",
        "晨光食品集团",
        "同济路社区医院",
        "远航国际货运代理",
    ],
};

/// Russian names.
const RUSSIAN: Culture = Culture {
    given: &[
        ("Дмитрий", "dmitriy"),
        ("Екатерина", "ekaterina"),
        ("Алексей", "aleksey"),
        ("Ольга", "olga"),
        ("Тимур", "timur"),
        ("Наталья", "natalya"),
        ("Артём", "artyom"),
        ("Юлия", "yuliya"),
    ],
    family: &[
        ("Соколов", "sokolov"),
        ("Соколова", "sokolova"),
        ("Жуков", "zhukov"),
        ("Жукова", "zhukova"),
        ("Щербаков", "shcherbakov"),
        ("Щербакова", "shcherbakova"),
        ("Мельник", "melnik"),
        ("Мельник", "melnik"),
    ],
    agrees: Agreement::Gender,
    order: Order::GivenFirst,
    companies: &[
        "ООО «Северный ветер»",
        "Клиника «Здоровье плюс»",
        "Типография Щербаковых",
        "АО «Волгатранс»",
    ],
};

/// Greek names.
const GREEK: Culture = Culture {
    given: &[
        ("Γιώργος", "giorgos"),
        ("Ελένη", "eleni"),
        ("Νίκος", "nikos"),
        ("Κατερίνα", "katerina"),
        ("Σπύρος", "spyros"),
        ("Δέσποινα", "despoina"),
    ],
    family: &[
        ("Παπαδάκης", "papadakis"),
        ("Παπαδάκη", "papadaki"),
        ("Οικονόμου", "oikonomou"),
        ("Οικονόμου", "oikonomou"),
        ("Βλάχος", "vlachos"),
        ("Βλάχου", "vlachou"),
        ("Καραγιάννης", "karagiannis"),
        ("Καραγιάννη", "karagianni"),
    ],
    agrees: Agreement::Gender,
    order: Order::GivenFirst,
    companies: &[
        "Φούρνος Παπαδάκης Α.Ε.",
        "Λογιστικό Γραφείο Οικονόμου",
        "Ναυτιλιακή Αιγαίου",
        "Κλινική Άγιος Νικόλαος",
    ],
};
