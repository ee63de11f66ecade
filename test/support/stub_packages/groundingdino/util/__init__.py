"""Of Grounding DINO."""
