"""What people call the objects: names, synonyms, materials and uses, without colour, size or place."""

from __future__ import annotations

# The first entry of each list is the class name as shown to people, the next ones are synonyms, then come looser descriptions.
DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    "box": ("box", "carton", "cardboard box", "package", "cereal box", "parcel", "a packet of food", "a box of crackers",
            "something packed in cardboard", "paper packaging", "tea box", "a container made of cardboard"),
    "can": ("can", "tin", "soda can", "tin can", "soup can", "beer can", "canned food", "a metal can of drink", "coke",
            "a tin of beans", "aluminium can", "cola can"),
    "bottle": ("bottle", "water bottle", "plastic bottle", "glass bottle", "a bottle of juice", "wine bottle", "shampoo bottle",
               "ketchup bottle", "a bottle with a cap", "a container for liquid with a narrow neck", "sauce bottle", "flask"),
    "mug": ("mug", "coffee mug", "tea mug", "coffee cup", "ceramic mug", "a mug with a handle", "something to drink coffee from",
            "something to drink from", "a cup with a handle", "teacup", "drinking mug", "a vessel for hot drinks"),
    "cup": ("cup", "paper cup", "plastic cup", "tumbler", "beaker", "drinking cup", "disposable cup", "a cup without a handle",
            "a cup to go", "a cup for cold drinks", "drinking glass", "party cup"),
    "bowl": ("bowl", "soup bowl", "salad bowl", "cereal bowl", "ceramic bowl", "a deep dish", "something to eat soup from",
             "a dish for cereal", "mixing bowl", "fruit bowl", "rice bowl", "basin"),
    "plate": ("plate", "dinner plate", "dish", "saucer", "flat plate", "ceramic plate", "something to serve food on",
              "a flat dish", "platter", "a plate to eat from", "side plate", "tableware"),
    "ball": ("ball", "tennis ball", "rubber ball", "toy ball", "a round toy", "sphere", "something to throw",
             "a ball to play with", "something that rolls", "bouncy ball", "juggling ball", "a round object"),
    "book": ("book", "paperback", "notebook", "novel", "hardcover", "textbook", "something to read", "a thing with pages",
             "a printed volume", "diary", "manual", "a book with a cover"),
    "block": ("block", "cube", "wooden block", "toy block", "building block", "wooden cube", "a small cube", "brick", "dice",
              "a toy for building towers", "lego brick", "a square piece of wood"),
    "banana": ("banana", "fruit", "a piece of fruit", "something to eat", "a healthy snack", "ripe banana", "curved fruit",
               "plantain", "tropical fruit", "a fruit with a peel", "food for a monkey", "a snack"),
    "pan": ("pan", "frying pan", "skillet", "saucepan", "cooking pan", "something to fry eggs in", "cookware", "wok", "pot",
            "a pan with a long handle", "kitchen pan", "a pan for cooking"),
    "hammer": ("hammer", "tool", "mallet", "a tool for nails", "something to hit nails with", "claw hammer", "a hand tool",
               "sledgehammer", "something to pound with", "a carpenter's tool", "workshop tool", "a hammer with a handle"),
    "tape": ("tape", "roll of tape", "adhesive tape", "duct tape", "sticky tape", "packing tape", "masking tape", "scotch tape",
             "something to stick things together", "a ring", "a roll", "insulating tape"),
    "vase": ("vase", "flower vase", "jar", "urn", "a vessel for flowers", "something to put flowers in", "ceramic vase",
             "pitcher", "pottery", "a decorative vessel", "amphora", "a pot for tulips"),
}  # fmt: skip
# How many leading entries of each list name exactly this kind and no other; they are shipped with a checkpoint as known names.
SYNONYMS_PER_KIND = 7
