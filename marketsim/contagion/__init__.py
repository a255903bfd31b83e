"""Why liquidations come and what follows from them."""
