"""The words the mock knows: what its sentences are made of, and the whole words of its tokenizer."""


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

_COMMON = """
about above across after again against almost along already also although always among another answer anything
around asked away back because become been before began behind being below between both bring brought build
called came cannot change child children city close come could country course days didn't different does doing
done don't door down during each early earth eight else enough even ever every everything example eyes face fact
false family father feel feet field find fire first five follow food form found four from full function gave
general girl give given goes going good government great green group grow hand hard have head hear heard heart
hello help here high himself home hope house however hundred idea important inside into it's itself just keep
kind knew know land language large last later learn least leave left less letter life light like line list
little live long look love made make many matter mean might mind model moment money more morning most mother
move much must myself name near need never next night nothing number often once only open order other ought over
page paper part people perhaps person picture place play point possible power present press problem prompt put
question quick quite rather reach read real reason request result return right river room round said same school
second seem sentence server service several shall short should show side since sleep small some something
sometimes soon sound space speak stand start state step still stop story street string strong such sure system
table take talk teach tell than thank that their them themselves then there these they thing think this those
thought thousand three through time today together token told took toward town tree true turn under until upon
used using very voice wait walk want warm watch water weather week well went were what when where whether which
while white whole whose will wind with within without woman wonder word words work world would write year years
young your user assistant system content message tool null type object
"""


def _words() -> tuple[str, ...]:
    sentences = " ".join((*SUBJECTS, *VERBS, *OBJECTS, *TAILS, _COMMON))
    return tuple(sorted({word for word in sentences.split() if word.isascii() and word.isalpha()}))


WORDS = _words()
