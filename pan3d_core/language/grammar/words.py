"""The words that the grammar of prompts knows: each table says what its phrases do. docs/prompts.md lists the same tables.

Whatever stands in no table is a word with a meaning of its own (a thing, a material, a use) and may be part of a noun.
"""

from __future__ import annotations


def listed(words: str) -> tuple[str, ...]:
    """Split a text into its words; "_" stands for a blank within one of them."""
    return tuple(word.replace("_", " ") for word in words.split())


# Phrase -> measure and sign; the measures are computed in `relations.py`. The longest phrase that fits is taken.
SIZE_WORDS = {
    "small": ("size", -1), "smallest": ("size", -1), "smaller": ("size", -1), "little": ("size", -1), "tiny": ("size", -1),
    "tiniest": ("size", -1), "littlest": ("size", -1), "mini": ("size", -1), "large": ("size", 1), "largest": ("size", 1),
    "larger": ("size", 1), "big": ("size", 1), "biggest": ("size", 1), "bigger": ("size", 1), "huge": ("size", 1),
    "tall": ("height", 1), "tallest": ("height", 1), "taller": ("height", 1), "flat": ("height", -1), "flattest": ("height", -1),
    "flatter": ("height", -1), "short": ("height", -1), "shortest": ("height", -1), "shorter": ("height", -1),
    "long": ("length", 1), "longest": ("length", 1), "longer": ("length", 1), "wide": ("width", 1), "widest": ("width", 1),
    "wider": ("width", 1), "narrowest": ("width", -1), "narrower": ("width", -1), "narrow": ("thickness", -1),
    "thin": ("thickness", -1), "thinnest": ("thickness", -1), "thinner": ("thickness", -1), "slim": ("thickness", -1),
    "thick": ("thickness", 1), "thickest": ("thickness", 1), "thicker": ("thickness", 1), "fat": ("thickness", 1),
}  # fmt: skip
_SIDES = {
    "left": ("leftness", 1), "right": ("leftness", -1), "front": ("forward", -1), "back": ("forward", 1),
    "rear": ("forward", 1), "middle": ("centrality", 1), "center": ("centrality", 1), "centre": ("centrality", 1),
    "foreground": ("forward", -1), "background": ("forward", 1),
}  # fmt: skip
ROBOT_WORDS = ("robot", "arm", "gripper", "base", "myself", "yourself")
_ROBOT = ("the robot", "me", "you", "the arm", "the gripper", "the base", "the robot arm")
CAMERA_WORDS = ("camera", "cameras", "lens", "lenses")  # places are meant as the robot sees them, wherever cameras are
_NEAR = ("nearest to", "closest to", "near", "near to", "close to", "next to", "in front of", "nearest", "beside", "closer to")
_FAR = ("far from", "farthest from", "furthest from", "far away from", "farthest away from", "furthest away from", "away from")
PLACE_WORDS = {
    "leftmost": ("leftness", 1), "rightmost": ("leftness", -1), "left most": ("leftness", 1), "right most": ("leftness", -1),
    "most left": ("leftness", 1), "most right": ("leftness", -1), "furthest left": ("leftness", 1),
    "farthest left": ("leftness", 1), "furthest right": ("leftness", -1), "farthest right": ("leftness", -1),
    "nearest": ("forward", -1), "closest": ("forward", -1), "near": ("forward", -1), "close": ("forward", -1),
    "nearer": ("forward", -1), "closer": ("forward", -1), "nearby": ("forward", -1), "farthest": ("forward", 1),
    "furthest": ("forward", 1), "far": ("forward", 1), "farther": ("forward", 1), "further": ("forward", 1),
    "farther away": ("forward", 1), "further away": ("forward", 1), "farthest away": ("forward", 1),
    "furthest away": ("forward", 1), "far away": ("forward", 1), "most distant": ("forward", 1), "frontmost": ("forward", -1),
    "rearmost": ("forward", 1), "hindmost": ("forward", 1), "central": ("centrality", 1), "far left": ("leftness", 1),
    "far right": ("leftness", -1), "left hand": ("leftness", 1), "right hand": ("leftness", -1), "in front": ("forward", -1),
    "behind": ("forward", 1), "at the front": ("forward", -1), "at the back": ("forward", 1), "on top": ("elevation", 1),
    "topmost": ("elevation", 1), "uppermost": ("elevation", 1), "upper": ("elevation", 1), "top": ("elevation", 1),
    "high": ("elevation", 1), "higher": ("elevation", 1), "highest": ("elevation", 1), "low": ("elevation", -1),
    "lowest": ("elevation", -1),
    "lower": ("elevation", -1), "bottom": ("elevation", -1), "lowermost": ("elevation", -1), "at the bottom": ("elevation", -1),
    "at the top": ("elevation", 1), "on the bottom": ("elevation", -1), "on the top": ("elevation", 1),
    **_SIDES,
    **{
        f"{before} {side}{after}": meaning for side, meaning in _SIDES.items()
        for before in ("on the", "to the", "at the", "in the", "on", "at", "on the far", "at the far", "to the far")
        for after in ("", " side", " hand side", " of the table", " side of the table", " of the scene")
    },
    **{f"{before} {whose} {side}": _SIDES[side] for side in ("left", "right") for before in ("on", "to", "at")
       for whose in ("your", "the robot's")},
    **{f"{phrase} {robot}": ("forward", -1) for phrase in _NEAR for robot in _ROBOT},
    **{f"{phrase} {robot}": ("forward", 1) for phrase in _FAR for robot in _ROBOT},
}  # fmt: skip
# "second from the left" counts from the end that the measure names.
COUNTED_FROM = {
    f"{start}{side}": _SIDES.get(side, (("elevation", 1 if side == "top" else -1)))
    for side in ("left", "right", "front", "back", "top", "bottom")
    for start in ("from the ", "from ", "counting from the ", "counted from the ")
}
RELATIONS = {
    "next to": "near", "beside": "near", "near": "near", "near to": "near", "nearby": "near", "close to": "near", "by": "near",
    "closest to": "near", "nearest to": "near", "closer to": "near", "adjacent to": "near", "alongside": "near",
    "nearest": "near",
    "to the left of": "left", "on the left of": "left", "left of": "left", "on the left side of": "left",
    "to the left side of": "left", "at the left of": "left", "to the right of": "right", "on the right of": "right",
    "right of": "right", "on the right side of": "right", "to the right side of": "right", "at the right of": "right",
    "in front of": "front", "behind": "behind", "in back of": "behind", "farthest from": "far", "furthest from": "far",
    "far from": "far", "farthest away from": "far", "furthest away from": "far", "far away from": "far", "away from": "far",
    "between": "between", "in between": "between", "in the middle of": "between", "on": "on", "on top of": "on", "atop": "on",
    "upon": "on", "onto": "on", "in": "in", "inside": "in", "inside of": "in", "within": "in", "into": "in", "above": "above",
    "over": "above", "under": "under", "below": "under", "beneath": "under", "underneath": "under", "touching": "touching",
    "against": "touching", "leaning on": "touching", "leaning against": "touching", "in contact with": "touching",
    "opposite": "opposite", "opposite of": "opposite", "opposite to": "opposite", "across from": "opposite",
    "on the other side of": "opposite", "touches": "touching", "does touch": "touching", "containing": "holding",
    "holding": "holding", "carrying": "holding",
}  # fmt: skip
# "the bowl with the banana in it": the first thing holds the second.
HOLDING = {"in it": "holding", "inside": "holding", "inside it": "holding", "inside of it": "holding", "on it": "carrying",
           "on top": "carrying", "on top of it": "carrying", "next to it": "near", "beside it": "near", "under it": "on",
           "in them": "holding", "on them": "carrying", "below it": "on", "behind it": "front"}  # fmt: skip

REQUESTS = (
    "could you please", "can you please", "would you please", "could you", "can you", "would you", "will you", "i would like",
    "i want", "i need", "i am looking for", "i am", "give me", "hand me", "bring me", "show me", "pass me", "get me", "fetch me",
    "find me", "grab me", "pick up", "pick", "grab", "grasp", "take", "take away", "fetch", "get", "give", "bring", "hand over",
    "find", "lift", "lift up", "where is", "where are", "look for", "there is", "there are", "segment", "choose", "select",
    "move", "remove", "detect",
    "locate", "i want to have", "what is", "what are", "what lies", "what stands", "is there", "are there", "do you see",
    "let us",
    "i choose", "want", "can you see",
    "looking for", "would like", "you can", "you may", "you should", "you must", "i said", "i mean", "reach for", "go for",
    "we need", "we want", "can i have", "may i have", "could i have", "touch", "need", "collect", "point to", "point at",
    "include",
    "consider", "prefer", "i prefer", "get rid of", "have", "i would like to have", "give us", "bring us", "pick out",
    "put down", "do", "pass",
)  # fmt: skip
POLITE = (
    "please", "now", "thanks", "thank you", "for me", "to me", "for us", "kindly", "hello", "hi", "hey", "ok", "okay", "robot",
    "just", "simply", "first of all", "up", "over to me", "from the table", "off the table", "on the table", "on the desk",
    "on the floor", "on my desk", "on this table", "from the desk", "off the desk", "in the scene", "in the picture",
    "in the image", "in view", "of the scene", "that you see", "you see", "you can see", "that you can see", "visible", "instead",
    "thanks a lot", "thank you very much", "yes", "well", "so", "then", "immediately", "directly", "actually", "maybe",
    "definitely", "certainly", "surely", "absolutely", "probably", "really", "basically",
    "exactly", "precisely", "indeed", "again", "always", "anyway", "yeah", "ideally", "preferably", "specifically", "especially",
    "particularly", "carefully", "quickly", "slowly", "gently", "slightly", "mainly", "mostly", "likely", "somehow", "clearly",
)  # fmt: skip
# "leave the mug where it is": behind what is not meant only; elsewhere they would turn the meaning round.
LEFT_ALONE = ("alone", "where it is", "where they are", "untouched", "aside", "in peace")
ARTICLES = frozenset(listed("the a an whichever that this these those some any my your"))
# Links before a place; alone they tell how a thing lies.
POSTURES = frozenset(
    listed("""standing lying sitting resting hidden hiding concealed seen kept tucked stuck stacked hung hanging stored wedged
        nestled parked propped perched balanced dropped jammed trapped""")
)
LINKS = frozenset(
    listed("""is are was were be being coloured colored color colour colors colours shade located placed
        positioned situated sized size found lies stands sits lays stood""")
) | POSTURES | {"that is", "which is", "that are", "which are", "who is", "in color", "in colour", "of color", "of colour",
"in size"}  # fmt: skip
ANYTHING = frozenset(
    listed("""one ones object objects thing things item items something anything everything whatever
        kind kinds type types sort sorts""")
)
POINTED_AT = frozenset(
    ("one", "ones", "kind", "kinds", "type", "types", "sort", "sorts")
)  # means something only beside a word that tells objects apart

_AUXILIARIES = listed("""is are was were do does did can could would should must may will has have""")
_WHO = ("", "i ", "you ", "we ", "please ")
NOT_WORDS = frozenset(
    ("not", "non", "un", "never", "no", "nor", "neither", "is neither", "are neither", "you never", "not any", "not either")
    + tuple(f"{who}{verb} not" for verb in _AUXILIARIES for who in _WHO)
)
NOT_AFTER_ONE = ("nothing", "none")  # "a ball, but nothing red"
EXCEPT_PHRASES = (
    "except", "except for", "except from", "excepting", "excluding", "exclude", "with the exception of", "other than", "besides",
    "apart from", "aside from", "save for", "save", "sans", "barring", "minus", "instead of", "rather than", "not counting",
    "leaving out",
    "not including", "different from", "else than", "else but", "else except", "excl", "exc", "other from", "in place of",
    "in lieu of", "in preference to", "with exception of", "with the exclusion of", "to the exclusion of", "exclusive of",
    "as opposed to",
)  # fmt: skip
AVOID_PHRASES = (
    "avoid", "leave", "leave out", "ignore", "skip", "omit", "forget", "forget about", "never mind", "nevermind",
    "stay away from", "keep away from", "keep off", "steer clear of", "keep your hands off", "hands off", "stay clear of",
    "ignoring",
    "avoiding", "skipping", "disregard", "beware of", "watch out for", "reject", "discard", "dismiss", "shun", "ban",
    "deny", "forbid", "bypass", "neglect", "abandon", "drop", "keep", "protect", "guard", "be careful with", "careful with",
    "be careful of", "careful of", "hate", "dislike", "i hate", "i dislike", "omitting",
)  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(
    listed("""one two three four five six seven eight nine ten eleven twelve"""), 1)}  # fmt: skip
COUNTS: dict[str, tuple[int, str]] = {
    **{word: (number, "some") for word, number in NUMBERS.items()},
    **{f"exactly {word}": (number, "exactly") for word, number in NUMBERS.items()},
    **{f"only {word}": (number, "exactly") for word, number in NUMBERS.items()},
    **{f"at least {word}": (number, "at least") for word, number in NUMBERS.items()},
    "a couple of": (2, "some"), "a couple": (2, "some"), "a pair of": (2, "some"), "couple of": (2, "some"),
    "dozen": (12, "some"),
    "both": (2, "exactly"), "only": (1, "exactly"), "single": (1, "some"), "all": (1, "all"), "every": (1, "all"),
    "each": (1, "all"), "all of": (1, "all"), "each of": (1, "all"), "every one of": (1, "all"), "both of": (2, "exactly"),
}  # fmt: skip
PAIRS = frozenset(
    listed("""scissors glasses sunglasses pliers tongs shoes socks gloves trousers pants jeans headphones tweezers""")
)
ORDINALS = {word: number for number, word in enumerate(
    listed("""first second third fourth fifth sixth seventh eighth ninth tenth"""), 1)} | {
    "last": -1, "second last": -2, "second to last": -2, "next to last": -2, "penultimate": -2}  # fmt: skip
OTHERS = frozenset(listed("""other others another else remaining rest different otherwise"""))
COMPLEMENTS = frozenset(listed("of with for to from"))  # begin what belongs to a noun: bottle of water, something to drink from
# Behind a thing, these before another one put it in the first one's place, or make an order of both.
TURNS = ("then", "instead", "actually", "i mean", "again")
MOVES = ("move", "put down", "lift", "lift up", "take", "bring", "give", "pass", "get")  # a place behind them may be where to
PREFERS = ("prefer", "i prefer")  # "to" and "over" behind them tell what is not wanted
# Behind what is wanted, they may take a thing out of it as well as ask for it.
TAKES_OUT = ("remove", "take away", "get rid of", "put down", "pass")
# After "to", "that" or "I" a use is told, in which these are ordinary words: "the thing I drink from", "to put flowers in".
PUT = frozenset(
    listed("""put pour place lay hang keep store cook eat serve sit stand fry drink stir bake boil plant""")
)  # ... in it
IN_USES = frozenset(
    listed(
        """i you we people my your me can could be is are in on into out onto at off up down together by through has have over"""
    )
)
GIVEN_BY = frozenset(("i", "you", "we", "people"))

# What nobody sees in these pictures; in a use they are ordinary words ("something to open bottles with").
PROPERTIES = listed("""empty full clean dirty broken damaged cracked intact open opened closed wet dry heavy
        expensive cheap valuable fragile old new used unused rotten stale unripe wrong correct average medium normal typical
        usual regular inner outer lightweight upright tilted fallen inverted rotated upside_down""")
SAY_NOT = "say with 'not' or 'except' what is not meant"
# Verbs that turn what follows away, in all their forms: "decline mug", "a box that differs from the red one".
TURNED_AWAY = listed("""abhor annul banish blacklist blocklist boycott censor circumvent decline denounce deny despise detest
        differ disallow disapprove disavow disclaim disown disqualify distrust ditch eliminate embargo eschew evade evict exclude
        exempt exile forego forgo loathe mistrust negate nullify omit oppose oust outlaw overlook postpone prevent prohibit
        rebuff refuse reject relinquish renounce replace repudiate rescind resent resist revoke shirk shun sidestep snub spurn
        subtract substitute suppress veto waive withdraw withhold""")
# Words that change a meaning and that no rule above takes: the prompt is refused, with this reason.
REFUSED: dict[str, tuple[str, ...]] = {
    "a condition is not understood": listed("""if unless when whenever while until till because since whether though
        although however once before after provided depending lest whereas wherever hence thus therefore moreover nevertheless
        nonetheless meanwhile notwithstanding considering regarding concerning following given pending afterwards beforehand
        accordingly consequently furthermore in_case as_long_as"""),
    "a question for more than an object is not understood": ("who", "whom", "whose", "why", "how", "what", "where", "how many",
    "how much"),
    "what it refers to is not known": listed("""content contents it its itself he
        him his himself she her hers they them their theirs
        themselves us our ours each_other here there yonder
        over_there same such my_left my_right myself yourself ourselves anyone anybody everyone
        everybody someone somebody noone whoever whomever elsewhere everywhere somewhere anywhere own next former
        latter previous mine yours i you we me""")
    + ("each other", "one another", "over there", "over here"),
    SAY_NOT: TURNED_AWAY
    + listed("""refrain abstain desist forbidden prohibited disallowed banned taboo
        unwanted undesired excepted excluded omitted rejected refused verboten contraindicated anti
        nope nah nay no_longer no_more anymore stay stays
        remain remains staying absence absent antonym avoidance contrary converse denial despite
        exclusion exclusive exempt exemption illicit ineligible invalid inverse irrespective moratorium
        nada naught negation negative negatory nein nix nil null nought nyet offlimits omission prohibition
        refusal rejection removal replacement unacceptable undesirable unneeded unnecessary unsuitable untouchable
        zilch""")
    + ("in spite of", "in the absence of", "in exchange for", "in contrast to", "alternative to", "alternative for",
    "counterpart of"),
    "how many is not said": listed("""few fewer several many most half lots plenty dozens hundred thousand thirteen twenty
        thirty pairs_of enough much numerous various multiple""")
    + ("a few", "a lot of", "at most", "no more than", "more than", "fewer than", "less than", "up to", "about", "roughly"),
    "nothing is left to take": ("nothing", "none", "nobody", "nowhere", "no one"),
    "it describes no thing": listed("stop cancel abort wait halt quit zero 0 pause sorry oops"),
    "how sure or how often is not understood": listed("""hardly barely scarcely rarely seldom partly often sometimes usually
        twice thrice"""),
    "what a thing lacks cannot be seen": ("without", "lacking", "missing", "free of", "devoid of", "with no",
    "lack", "lacks", "fail", "fails", "failing", "free"),
    "this property cannot be seen": PROPERTIES,
    "this comparison is not understood": listed("""than like unlike similar as too very more less least rather quite almost""")
    + ("nearly", "equal", "compared"),
    "this measure cannot be seen": listed("""heavier lightest heaviest oldest newest older newer cheapest dearest cheaper
        priciest hottest coldest warmest fullest
        darker brighter paler emptier fuller softer harder colder hotter redder bluer greener blacker whiter emptiest
        cleanest dirtiest softest hardest strongest weakest best worst better worse sharpest prettiest nicest freshest
        brightest darkest lighter_than favorite favourite"""),
    "this relation is not understood": listed("""about across along amid among amongst around at beyond down during except
        for_which off outside out away apart together beside_each_other past per throughout
        through toward towards via up around beyond versus vs surrounding surrounded covered facing toward alongside northern
        southern eastern western north_of south_of east_of west_of"""),
    "this word has no place here": listed("""am been do does did done have has had having will would shall should may might
        must could can ought cannot but and or
        yet also even ever still already possibly perhaps either"""),
}  # fmt: skip

# Among these, what may be part of a name: "coke zero"; and in front of one: "a stop sign".
MAY_NAME = frozenset(listed("zero twenty thirty"))
MAY_BEGIN_NAMES = frozenset(listed("stop wait pause"))

# Behind a number they make an amount of something that is not measured.
UNITS = frozenset(
    listed("""mm cm dm m km inch inches feet foot ft metre metres meter meters centimetre centimetres centimeter centimeters
    millimetre millimetres millimeter millimeters g kg gram grams kilogram kilograms lb oz ounces ml cl l litre litres liter
    liters degrees degree percent""")
)

# Words in -less that are names rather than tell what is missing.
NAMES_IN_LESS = frozenset(listed("stainless wireless cordless seedless boneless endless brushless tubeless paperless"))

# What requests, too, that may be a name behind an article: "the drop box".
ALSO_NOUNS = frozenset(listed("drop lift pick guard touch segment ban grab keep use"))

# Names that begin with a word of negation.
LEXICAL = (
    "non stick",
    "non slip",
    "non alcoholic",
    "non dairy",
    "non fiction",
    "no name",
    "nonstick",
    "nonslip",
    "nonalcoholic",
    "nondairy",
    "nonfiction",
    "nonsense",
    "nonfat",
    "nonna",
)
# Words of one or two letters that name things; others are slips or left over from contractions.
SHORT_NAMES = frozenset(listed("tv pc cd dj dc xl xs oz ml cl kg mm cm uv id pi ox ax la le de el"))

# Words in -est that are no superlatives; other superlatives are of measures that cannot be seen.
NOT_SUPERLATIVE = frozenset(
    listed("""arrest breast budapest bucharest chest conquest contest crest digest earnest ernest everest forest guest harvest
        honest interest invest manifest midwest modest northwest priest protest quest rainforest request southwest suggest
        tempest unrest west nest vest test pest zest jest""")
)

# Things people keep in rooms. A word that means one of these rather than a known class is meant for none of the classes.
OTHER_THINGS = listed("""spoon fork knife scissors screwdriver wrench pliers drill saw screw apple pear potato tomato
    carrot bread cheese
    egg cake phone laptop tablet keyboard computer-mouse monitor charger cable headphones camera remote-control battery lamp
    candle clock watch wallet purse key umbrella shoe sock shirt hat glove towel sponge toothbrush toothpaste comb soap teddy-bear
    doll toy-car puzzle playing-cards pen pencil marker ruler eraser stapler paper-clip envelope newspaper calculator chair sofa
    table bed pillow blanket shelf cabinet door window mirror plant tree car bicycle dog cat bird dinosaur person hand robot
    backpack suitcase basket bucket broom guitar drum kettle toaster blender microwave refrigerator rope chain magnet lighter
    syringe pill gun sword stone shell feather""")
