"""The words that the mock's sentences are made of."""


def _phrases(text: str) -> list[str]:
    return text.split("|")


SUBJECTS = _phrases(
    "a quiet harbour|the old lighthouse|every lantern|the morning train|a patient gardener|the north wind"
    "|a small boat|the last visitor|the village clock|a curious heron|the long river|a paper kite"
    "|the baker's daughter|an early snow|the empty theatre|the mountain road|a borrowed umbrella|the orchard"
    "|the night ferry|a silver teapot|the summer rain|the library cat|a distant bell|the harvest moon"
)
VERBS = _phrases(
    "remembers|follows|waits for|carries|listens to|gathers|watches over|returns to|sings of|measures"
    "|keeps|crosses|welcomes|paints|forgives|outlasts|answers|borrows|repairs|wakes"
)
OBJECTS = _phrases(
    "the first light|a handful of stories|the sleeping town|its own reflection|the narrow bridge"
    "|seven copper coins|the scent of bread|a letter from the coast|the slow tide|an open window"
    "|the colour of autumn|a map without names|the sound of oars|the children of the square|a field of barley"
    "|the silence after music|a promise made in spring|the warm stones|a row of poplars|the evening post"
)
TAILS = _phrases(
    "|before anyone is awake|with great care|as it always has|under a pale sky|without a word"
    "|for reasons of its own|while the kettle hums|on the way home|and asks for nothing|until the lamps are lit"
    "|in the oldest part of the town|like a friend|at the edge of the map"
)
