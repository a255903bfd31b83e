"""What a user states: models, loader, library, and the arrays built from them."""
