"""How wild the cell is: surfaces, surroundings, light and cameras beyond the plain one; knows appearance, not objects' shapes."""
