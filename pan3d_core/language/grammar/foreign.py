"""Telling other languages from English, by their letters and by small sets of their commonest words."""

from __future__ import annotations

import re
import unicodedata

from pan3d_core.language.grammar.words import listed

# First words of Unicode's names of letters -> language or family.
SCRIPTS = {
    "CJK": "Chinese or Japanese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HALFWIDTH KATAKANA": "Japanese",
    "HANGUL": "Korean", "CYRILLIC": "Russian or another language in Cyrillic letters", "GREEK": "Greek", "ARABIC": "Arabic",
    "HEBREW": "Hebrew", "DEVANAGARI": "Hindi", "THAI": "Thai", "BENGALI": "Bengali", "TAMIL": "Tamil", "ARMENIAN": "Armenian",
    "GEORGIAN": "Georgian",
}  # fmt: skip
# Words that no English prompt holds; one is enough.
COMMON_WORDS = {
    "German": """nie niemals nein danke aber oben unten der das dem des ein eine einen einem einer eines nicht kein keine
        keinen ohne außer ausser und oder auf
        neben unter
        über zwischen vor hinter rechts rechte rechten linke linken bitte nimm nehmen gib greif greife ich mir rote roter
        rotes roten
        schwarze schwarzer schwarzes schwarzen weiße weißen weißer blaue blauen blauer grüne grünen gelbe gelben kleine kleinen
        große großen größte kleinste becher flasche schüssel teller schachtel alle außerdem etwas zwei drei diese diesen""",
    "French": """jamais rien aucun aucune noire une du avec sauf dans sous entre à côté près celui celle ceux rouges bleue
        noire blanche verte jaune
        gauche droite pas
        bouteille assiette boîte prends prenez prendre donne donnez moi plaît veux ou qui gros grosse deux trois tous toutes""",
    "Spanish": """nunca tampoco ningún ninguna los las unos unas excepto salvo sobre debajo encima junto izquierda derecha rojo
        roja azul negra blanca amarillo
        amarilla pequeño pequeña taza botella plato vaso caja coge agarra favor quiero ese esa esta este más menos""",
    "Italian": """niente nessun nessuna mai il gli della dello dei delle dal dalla nel nella sul sulla senza tranne eccetto
        accanto tra sotto sopra sinistra
        destra rossa nera bianca giallo gialla piccola piccolo tazza bottiglia piatto scatola prendi dammi voglio quello
        quella questo
        questa tutti tutte tutto""",
    "Portuguese": """nunca nenhum nenhuma uma dos da não sem exceto ao lado esquerda direita vermelho vermelha preta preto
        branco branca xícara caneca
        garrafa prato caixa pegue pega quero essa dois três todos""",
    "Dutch": """nooit nee het een niet geen zonder behalve naast onder boven tussen achter voor zwarte witte blauwe groene gele
        kopje fles
        neem geef alstublieft graag wil twee drie alles""",
    "Polish": "nigdy nie bez oprócz obok między czerwony czerwona czerwoną czarny czarna kubek butelka weź podaj proszę który",
    "Turkish": """hayır asla değil hariç kırmızı siyah mavi bardak fincan şişe yanındaki lütfen soldaki sağdaki bana kupa
        kupayı hepsi
        olmayan alma almayın getir yeşil sarı beyaz bütün tüm şey dışında""",
    "Swedish, Danish or Norwegian": """aldrig och ikke inte ett röd röda rød svart blå koppen flaskan krus uten utan bredvid
        svarta muggen vita gröna
        mellom mellan""",
    "Indonesian or Malay": "bukan tidak jangan kecuali tanpa yang cangkir botol hitam merah biru putih",
    "Hindi": "nahi nahin nahee mein",
    "Hungarian": "nem kivéve nélkül fekete piros kék fehér bögre üveg",
    "Finnish": "ilman paitsi muki mukia musta punainen sininen kuppi",
    "Romanian": "fără exceptând negru roșu roşu cană cana sticla albastru",
    "Vietnamese": "không trừ màu cái chai cốc đen",
    "Czech": "není kromě vedle mezi červený červená černý hrnek láhev vezmi prosím",
}
# Words that are also English ones or parts of names; two of one language are needed, and no English word between things.
SHARED_WORDS = {
    "German": "die den mit von am im zum links rot gold blau an in dose hole tasse",
    "French": """le les la un de en bol grand petit au ne des est et sans rouge bleu noir blanc vert petite grande tout
        tasse sur""",
    "Spanish": "la un de en que no al grande el del sin con y todo todos una negro verde dame toma dos tres",
    "Italian": "la un di in le i al vicino lo non con rosso nero bianco verde due e una fra grande",
    "Portuguese": "um o de no na e as os do com azul este",
    "Dutch": "de van met op in links rechts en dat die rode kom pak bord beker",
    "Polish": "na pod do ten ta",
    "Turkish": "al bir ve ver",
    "Swedish, Danish or Norwegian": "en det den og i på ved",
    "Czech": "na pod",
    "Indonesian or Malay": "di dan semua ke",
    "Hindi": "ko ka ki ke sab",
    "Hungarian": "az egy és",
    "Finnish": "ei ja on",
    "Romanian": "nu o un la de",
    "Vietnamese": "",
}
# Articles that begin a prompt tell the language, unless a name follows.
_LEADING = {
    "die": "German",
    "la": "French, Spanish or Italian",
    "le": "French",
    "les": "French",
    "el": "Spanish",
    "lo": "Italian",
}
_NAMES_AFTER_ARTICLES = frozenset(listed("cast casting croix creuset mer marzocco paso pavoni chat"))
_ENGLISH = frozenset(listed("the of with an from for to not is are and or except but on under my that this"))
_ELIDED = re.compile(r"\b(l|d|qu|j|n|c|dell|nell|un|all|sull)'[a-zàâéèêëîïôûù]{3,}")
_ITALIAN_ELISIONS = ("dell", "nell", "un", "all", "sull")


def foreign_language(text: str) -> tuple[str, str] | None:
    """Tell which other language a text seems to be in.

    Args:
        text: Any.

    Returns:
        The language's name and the word that tells, or None for what may be English.
    """
    return _by_script(text) or _by_words(text.lower().replace("’", "'"))


def _by_script(text: str) -> tuple[str, str] | None:
    found: list[tuple[str, str]] = []
    for word in re.findall(r"\w+", text):
        for letter in word:
            name = unicodedata.name(letter, "") if letter.isalpha() else ""
            languages = [language for script, language in SCRIPTS.items() if name.startswith(script)]
            if name and not languages and not name.startswith(("LATIN", "FULLWIDTH LATIN", "MICRO", "FEMININE", "MASCULINE")):
                languages = ["another language"]
            found += [(language, word) for language in languages]
    if any(language == "Japanese" for language, _ in found):  # which writes with Chinese characters, too
        return "Japanese", found[0][1]
    return found[0] if found else None


def _by_words(text: str) -> tuple[str, str] | None:
    elided = _ELIDED.search(text)
    if elided is not None:
        return "Italian" if elided[1] in _ITALIAN_ELISIONS else "French", elided[0]
    words = re.findall(r"[^\W\d_]+", text)
    best: tuple[str, str] | None = None
    best_score = 1
    for language, own in COMMON_WORDS.items():
        sure = [word for word in dict.fromkeys(words) if word in listed(own)]
        likely = [word for word in dict.fromkeys(words) if word in listed(SHARED_WORDS[language])]
        may_count = sure or not _ENGLISH.intersection(words)
        score = 2 * len(sure) + len(likely)
        if may_count and score > best_score:
            best, best_score = (language, (sure or likely)[0]), score
    leads = len(words) > 1 and words[0] in _LEADING and words[1] not in _NAMES_AFTER_ARTICLES
    return (_LEADING[words[0]], words[0]) if best is None and leads else best
