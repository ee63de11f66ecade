"""How work ends, finished or not: results that take the place of older ones as a whole, programs that are asked to end."""
