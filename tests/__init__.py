"""The tests, in folders by what they are about; `conftest.py` has what all of them share."""
