"""Why liquidations come and what follows from them; arrays in, arrays out."""
