//! What is said in French and Spanish.

use super::super::problems::Trouble;
use super::Beat::{Customer as C, Do, Rep as R};
use super::{Act, Language, Phrases, Script};

/// French.
pub(super) const FRENCH: Language = Language {
    phrases: Phrases {
        hello: &[
            "Bonjour {customer}, ici {rep} du centre de services. J’ai votre demande {ticket} sous les yeux. Que se passe-t-il ?",
            "Bonjour, {rep} à votre écoute. Pouvez-vous me décrire le problème en quelques mots ?",
        ],
        hello_back: &["Bonjour, merci d’être si rapide !", "Bonjour {rep}", "bjr"],
        may_i: &[
            "Puis-je regarder votre écran ? Une fenêtre va s’ouvrir, cliquez sur Autoriser.",
            "Je vais prendre la main sur {host}. Enregistrez d’abord votre travail, s’il vous plaît.",
        ],
        yes: &["oui, allez-y", "C’est fait", "d’accord, j’ai cliqué"],
        hold: &[
            "Un instant, je vérifie.",
            "Cela prend environ {n} secondes, ne touchez à rien s’il vous plaît.",
        ],
        waiting: &[
            "pas de souci",
            "J’ai une réunion à {time}, juste pour info",
            "je vais chercher un café ☕",
        ],
        anything: &["Puis-je faire autre chose pour vous ?"],
        nothing: &[
            "Non, c’est parfait, merci beaucoup !",
            "non merci, tout marche",
        ],
        bye: &["Avec plaisir. Je clôture {ticket}. Bonne journée !"],
        bye_back: &["Au revoir !", "Merci, à vous aussi", "Bon week-end 🙂"],
        hand_over: &[
            "Je fais venir un collègue de l’équipe spécialisée, restez connecté s’il vous plaît.",
        ],
        praise: &[
            "Très efficace et très aimable, merci à {rep}.",
            "Réglé en {n} minutes, bravo !",
        ],
        grumble: &[
            "Trop d’attente.",
            "Le même problème était déjà apparu la semaine dernière, à suivre…",
        ],
    },
    scripts: &[
        Script {
            trouble: Trouble::Vpn,
            details: &[
                "VPN ne se connecte pas depuis la maison",
                "erreur {code} sur {gateway}",
            ],
            beats: &[
                C(&[
                    "Depuis la maison le VPN ne se connecte plus, il affiche « échec de la négociation » puis {code}",
                    "Le VPN coupe toutes les {n} minutes",
                ]),
                R(&["Êtes-vous en Wi-Fi ou par câble ? Avez-vous changé de box récemment ?"]),
                C(&[
                    "Wi-Fi, et oui, nouvelle box depuis samedi",
                    "par câble, rien n’a changé",
                ]),
                Do(Act::Shell),
                R(&[
                    "{gateway} répond en {ms} ms, mais votre certificat a expiré à {time} (empreinte {hash}).",
                ]),
                Do(Act::Upload),
                Do(Act::Registry),
                R(&[
                    "J’ai remplacé le profil. Essayez de vous reconnecter, puis validez sur votre téléphone.",
                ]),
                C(&[
                    "connecté !",
                    "Ça marche, j’ai l’adresse {ip}",
                    "il réfléchit… ah, c’est vert ✅",
                ]),
                R(&["Parfait. Ouvrez {share} pour vérifier, s’il vous plaît."]),
                C(&["je vois tous les dossiers", "oui, tout est là"]),
            ],
        },
        Script {
            trouble: Trouble::Mail,
            details: &[
                "Outlook demande sans cesse le mot de passe",
                "messages bloqués dans la boîte d’envoi",
            ],
            beats: &[
                C(&[
                    "Outlook me demande le mot de passe toutes les deux minutes",
                    "Plus aucun message depuis {time}, alors que sur le téléphone ils arrivent",
                ]),
                R(&["Qu’est-ce qui est affiché en bas à droite de la fenêtre ?"]),
                C(&["« Déconnecté »", "« Tentative de connexion… »"]),
                Do(Act::Look),
                R(&[
                    "Le profil pointe encore vers l’ancien serveur, d’où l’erreur {code}. J’en crée un nouveau, rien ne sera perdu.",
                ]),
                C(&["ouf, j’ai {n} dossiers classés", "d’accord"]),
                Do(Act::Download),
                Do(Act::Registry),
                R(&["Voilà. Envoyez un message d’essai à {user}@{site}, avec l’objet {short}."]),
                C(&["envoyé et reçu 📬", "tout arrive d’un coup !"]),
            ],
        },
        Script {
            trouble: Trouble::Printer,
            details: &[
                "l’imprimante {printer} n’imprime plus",
                "file d’attente bloquée",
            ],
            beats: &[
                C(&[
                    "L’imprimante {printer} ne sort plus rien, {n} documents attendent",
                    "Message {code} à chaque impression",
                ]),
                R(&["Vos collègues peuvent-ils imprimer ?"]),
                C(&["oui, il n’y a que moi", "non, personne à l’étage"]),
                Do(Act::Look),
                R(&["La file est bloquée par un document endommagé (n° {pid}). Je la vide."]),
                Do(Act::Tidy),
                Do(Act::Upload),
                R(&["Le pilote {ver} est installé. Une page de test, s’il vous plaît ?"]),
                C(&["elle sort, en couleur !", "ça imprime, merci 🖨️"]),
            ],
        },
        Script {
            trouble: Trouble::Record,
            details: &[
                "CareView bloqué au service {n}",
                "dossier patient inaccessible",
            ],
            beats: &[
                C(&[
                    "CareView se fige dès que j’ouvre un dossier, et la visite commence à {time}",
                    "Erreur {code} à la connexion sur {host}",
                ]),
                R(&["Je traite cela en urgence. Est-ce pour tous les dossiers ?"]),
                C(&["tous", "oui, et sur les trois postes"]),
                Do(Act::Look),
                Do(Act::Download),
                R(&["Le poste vise encore un serveur arrêté à {time}. Je corrige l’adresse."]),
                Do(Act::Registry),
                R(&["Relancez CareView, sans me communiquer de données de patient."]),
                C(&["ça s’ouvre enfin", "parfait, {n} secondes et c’est bon"]),
            ],
        },
    ],
};

/// Spanish.
pub(super) const SPANISH: Language = Language {
    phrases: Phrases {
        hello: &[
            "¡Buenos días, {customer}! Soy {rep}, del centro de soporte. Tengo delante la incidencia {ticket}. ¿Qué ocurre?",
            "Hola {customer}, le atiende {rep}. ¿Me explica brevemente el problema?",
        ],
        hello_back: &[
            "Hola, gracias por responder tan rápido",
            "Buenas {rep}",
            "¡hola!",
        ],
        may_i: &[
            "¿Me permite ver su pantalla? Pulse Permitir en la ventana que aparecerá.",
            "Voy a tomar el control de {host}; guarde antes lo que tenga abierto, por favor.",
        ],
        yes: &["sí, adelante", "Ya he pulsado", "vale, listo"],
        hold: &[
            "Un momento, por favor, lo compruebo.",
            "Tardará unos {n} segundos, no toque nada.",
        ],
        waiting: &[
            "sin problema",
            "tengo reunión a las {time}",
            "voy por un café ☕",
        ],
        anything: &["¿Puedo ayudarle en algo más?"],
        nothing: &["No, eso es todo. ¡Muchas gracias!", "no, ya funciona todo"],
        bye: &["Me alegro. Cierro la incidencia {ticket}. ¡Que tenga un buen día!"],
        bye_back: &["¡Adiós!", "Igualmente, gracias", "¡Buen fin de semana! 🙂"],
        hand_over: &[
            "Incorporo a un compañero del equipo especializado; no cierre la ventana, por favor.",
        ],
        praise: &[
            "Atención excelente, {rep} lo resolvió en {n} minutos.",
            "Muy amable y muy claro. ¡Gracias!",
        ],
        grumble: &[
            "Demasiada espera.",
            "Es la tercera vez que pasa, ojalá sea la última.",
        ],
    },
    scripts: &[
        Script {
            trouble: Trouble::Password,
            details: &["cuenta bloqueada", "olvidé la contraseña en vacaciones"],
            beats: &[
                C(&[
                    "Mi cuenta {user} está bloqueada y la contraseña es correcta, lo juro",
                    "Volví de vacaciones y no recuerdo la contraseña 🙈",
                ]),
                R(&["No pasa nada. Para verificar su identidad, ¿me dice su número de empleado?"]),
                C(&["{pid}{n}", "es el {pid}"]),
                R(&["Gracias, coincide. Le envío un código al móvil acabado en {n}."]),
                C(&["{short}", "me llegó: {short}"]),
                Do(Act::Look),
                R(&[
                    "Veo {n} intentos fallidos desde un teléfono a las {time}. Guarda la contraseña antigua.",
                ]),
                C(&[
                    "¡es mi móvil viejo! está en un cajón",
                    "ah, la tableta de casa",
                ]),
                R(&["Desbloqueada. Elija ahora una contraseña nueva, de al menos 14 caracteres."]),
                C(&["aceptada, ya estoy dentro 🎉", "pide símbolos… ahora sí"]),
            ],
        },
        Script {
            trouble: Trouble::Invoice,
            details: &["factura {inv} rechazada", "LedgerOne da error {code}"],
            beats: &[
                C(&[
                    "El portal rechaza la factura {inv} y hoy cerramos el mes",
                    "LedgerOne se cierra al contabilizar {inv}, error {code}",
                ]),
                R(&["¿Desde cuándo? ¿Funcionó alguna después de la actualización?"]),
                C(&[
                    "la última entró ayer a las {time}",
                    "ninguna, llevamos {n} pendientes",
                ]),
                Do(Act::Look),
                Do(Act::Download),
                R(&[
                    "El validador indica la regla {short}: diferencia de redondeo en el IVA. Lo corrige la versión {ver}.",
                ]),
                Do(Act::Upload),
                Do(Act::Tidy),
                R(&["Copia de seguridad hecha en {share}\\copia\\{short}.bak (sha256 {hash})."]),
                Do(Act::Registry),
                R(&["Listo, pruebe otra vez con {inv}."]),
                C(&["¡aceptada! ✅", "ya ha entrado, menos mal"]),
            ],
        },
        Script {
            trouble: Trouble::Wifi,
            details: &["el wifi se corta", "sin red en el aula {n}"],
            beats: &[
                C(&[
                    "El wifi se corta cada {n} minutos y estoy dando clase",
                    "El portátil no ve la red del colegio, solo la de invitados",
                ]),
                R(&["¿Le pasa también con el móvil?"]),
                C(&["no, solo con el portátil", "el móvil va bien"]),
                Do(Act::Inspect),
                R(&[
                    "El adaptador {mac} tiene un controlador de hace dos años. Le instalo la versión {ver}.",
                ]),
                Do(Act::Upload),
                Do(Act::Look),
                R(&["Perderá la conexión unos segundos."]),
                C(&["ya ha vuelto", "ok, conectada otra vez"]),
                R(&["¿Qué señal tiene ahora? Aquí veo {ms} ms de latencia."]),
                C(&["todas las rayas 📶", "perfecto, va como nunca"]),
            ],
        },
        Script {
            trouble: Trouble::Slow,
            details: &["ordenador lentísimo", "se queda colgado"],
            beats: &[
                C(&[
                    "El ordenador va lentísimo, tarda {n} segundos en abrir un correo",
                    "Se queda pensando con cada clic",
                ]),
                R(&["¿Cuándo lo reinició por última vez?"]),
                C(&["nunca, solo cierro la tapa", "la semana pasada, creo"]),
                Do(Act::Inspect),
                R(&["La memoria está al {pct} % y quedan {gb} GB en el disco. Voy a limpiar."]),
                Do(Act::Tidy),
                Do(Act::Registry),
                R(&["Reinicie, por favor; me conectaré de nuevo cuando {host} esté en marcha."]),
                C(&["reiniciando…", "ya está, ¡qué diferencia!"]),
            ],
        },
    ],
};
