"""The Hub side of modalmix: what it takes to put a built dataset there, and upstream archives here."""
