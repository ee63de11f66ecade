"""What people call the objects: names, synonyms, materials and uses, without colour, size or place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def _listed(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Kind -> its words, which commas separate."""
    return {kind: tuple(text.split(", ")) for kind, text in texts.items()}


# The first entry of each list is the class name as shown to people, the next ones are synonyms, then come looser descriptions.
DESCRIPTIONS = _listed({
    "box": "box, carton, cardboard box, package, cereal box, parcel, a packet of food, a box of crackers, "
           "something packed in cardboard, paper packaging, tea box, a container made of cardboard",
    "can": "can, tin, soda can, tin can, soup can, beer can, canned food, a metal can of drink, coke, a tin of beans, "
           "aluminium can, cola can",
    "bottle": "bottle, water bottle, plastic bottle, glass bottle, a bottle of juice, wine bottle, shampoo bottle, "
              "ketchup bottle, a bottle with a cap, a container for liquid with a narrow neck, sauce bottle, flask",
    "mug": "mug, coffee mug, tea mug, coffee cup, ceramic mug, a mug with a handle, something to drink coffee from, "
           "something to drink from, a cup with a handle, teacup, drinking mug, a vessel for hot drinks",
    "cup": "cup, paper cup, plastic cup, tumbler, beaker, drinking cup, disposable cup, a cup without a handle, a cup to go, "
           "a cup for cold drinks, drinking glass, party cup",
    "bowl": "bowl, soup bowl, salad bowl, cereal bowl, ceramic bowl, a deep dish, something to eat soup from, "
            "a dish for cereal, mixing bowl, fruit bowl, rice bowl, basin",
    "plate": "plate, dinner plate, dish, saucer, flat plate, ceramic plate, something to serve food on, a flat dish, platter, "
             "a plate to eat from, side plate, tableware",
    "ball": "ball, tennis ball, rubber ball, toy ball, a round toy, sphere, something to throw, a ball to play with, "
            "something that rolls, bouncy ball, juggling ball, a round object",
    "book": "book, paperback, notebook, novel, hardcover, textbook, something to read, a thing with pages, a printed volume, "
            "diary, manual, a book with a cover",
    "block": "block, cube, wooden block, toy block, building block, wooden cube, a small cube, brick, dice, "
             "a toy for building towers, lego brick, a square piece of wood",
    "banana": "banana, fruit, a piece of fruit, something to eat, a healthy snack, ripe banana, curved fruit, plantain, "
              "tropical fruit, a fruit with a peel, food for a monkey, a snack",
    "pan": "pan, frying pan, skillet, saucepan, cooking pan, something to fry eggs in, cookware, wok, pot, "
           "a pan with a long handle, kitchen pan, a pan for cooking",
    "hammer": "hammer, tool, mallet, a tool for nails, something to hit nails with, claw hammer, a hand tool, sledgehammer, "
              "something to pound with, a carpenter's tool, workshop tool, a hammer with a handle",
    "tape": "tape, roll of tape, adhesive tape, duct tape, sticky tape, packing tape, masking tape, scotch tape, "
            "something to stick things together, a ring, a roll, insulating tape",
    "vase": "vase, flower vase, jar, urn, a vessel for flowers, something to put flowers in, ceramic vase, pitcher, pottery, "
            "a decorative vessel, amphora, a pot for tulips",
})  # fmt: skip
# How many leading entries of each list name exactly this kind and no other; they are shipped with a checkpoint as known names.
SYNONYMS_PER_KIND = 7

# Words for the kinds that training data never shows.
HELD_OUT_DESCRIPTIONS = _listed({
    "teapot": "teapot, tea kettle, kettle, tea pot, porcelain teapot, a pot of tea, a pot with a spout",
    "candle": "candle, candlestick, wax candle, candle holder, taper candle, dinner candle, a candle on a stand",
    "funnel": "funnel, plastic funnel, kitchen funnel, filling funnel, a cone with a pipe, oil funnel, a hopper",
    "dumbbell": "dumbbell, hand weight, gym weight, barbell, free weight, fitness weight, a weight to lift",
    "spoon": "spoon, ladle, tablespoon, wooden spoon, soup ladle, serving spoon, a spoon with a long handle",
})  # fmt: skip

# Other ways to say the same. Nothing is ever trained on them: they measure whether names are understood or memorised.
PARAPHRASES = _listed({
    "box": "shipping carton, cracker box, cookie package, a box made of cardboard, mail parcel, food packaging",
    "can": "can of soda, metal tin, drink can, can of tomatoes, energy drink can, tuna tin",
    "bottle": "squeeze bottle, soap bottle, a bottle of water, milk bottle, lotion bottle, a vessel with a screw cap",
    "mug": "cocoa mug, mug of tea, espresso mug, a mug for my coffee, stoneware mug, the thing I drink cocoa from",
    "cup": "plastic tumbler, a cup without handle, soda cup, water glass, takeaway cup, drinking beaker",
    "bowl": "a bowl for soup, noodle bowl, porridge bowl, deep round dish, dessert bowl, a bowl for muesli",
    "plate": "china plate, a plate for dinner, lunch plate, flat round dish, serving plate, cake plate",
    "ball": "baseball, a ball for the dog, rubber sphere, a toy that bounces, round ball, golf ball",
    "book": "storybook, schoolbook, a novel to read, printed book, pocket book, an encyclopedia volume",
    "block": "wood block, a cube made of wood, stacking cube, child's building brick, small square block, toy cube",
    "banana": "a banana to eat, yellow fruit, peeled banana, fresh fruit, bananas, a curved tropical fruit",
    "pan": "a pan for frying, cast iron skillet, omelette pan, non-stick pan, stove pan, frypan",
    "hammer": "a tool to drive nails, steel hammer, carpenter's hammer, nail hammer, framing hammer, rubber mallet",
    "tape": "a roll of adhesive tape, parcel tape, tape roll, painter's tape, gaffer tape, clear sticky tape",
    "vase": "a vase for roses, porcelain vase, bud vase, clay urn, a jar for flowers, tulip vase",
    "teapot": "a kettle for tea, china teapot, a jug to pour tea from, tea brewer, herbal tea pot",
    "candle": "a candle to light, wax taper, a stick of wax with a wick, church candle, table candle",
    "funnel": "a funnel for oil, pouring funnel, lab funnel, a cone to pour liquids through, metal funnel",
    "dumbbell": "a dumbbell for training, exercise weight, workout weight, iron weight, bodybuilding equipment",
    "spoon": "a spoon for soup, cooking spoon, metal spoon, mixing spoon, a scoop for soup",
})  # fmt: skip


def vocabulary(kinds: Sequence[str]) -> dict:
    """What is written beside data of these kinds: `kinds`, `descriptions`, `synonyms_per_kind`, `paraphrases`.

    Raises `ValueError` for a kind without words.
    """
    known = DESCRIPTIONS | HELD_OUT_DESCRIPTIONS
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ValueError(f"kinds: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    return {
        "kinds": list(kinds),
        "descriptions": {kind: list(known[kind]) for kind in kinds},
        "synonyms_per_kind": SYNONYMS_PER_KIND,
        "paraphrases": {kind: list(PARAPHRASES[kind]) for kind in kinds},
    }
