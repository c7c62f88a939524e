"""How many names are asked for ahead of whoever asks for them one by one."""

from yas3fs.fs.entries import Scan

NAMES = [f"{number:04}" for number in range(1000)]


def walk(names: list[str]) -> tuple[list[int], list[str]]:
    """The sizes of the batches, and all that was asked for ahead, of a walk over ``names``."""
    scan = Scan(list(NAMES))
    sizes, ahead = [], set[str]()
    for name in names:
        if name not in ahead:
            batch = scan.batch(name)
            sizes.append(len(batch))
            ahead.update(batch)
    return sizes, sorted(ahead)


def test_who_goes_on_gets_ever_more() -> None:
    sizes, ahead = walk(NAMES)
    assert sizes[:6] == [8, 16, 32, 64, 128, 256]
    assert ahead == NAMES[1:9] + [n for n in NAMES[10:] if n in ahead]
    assert len(sizes) < 12


def test_who_begins_in_the_middle_is_followed_from_there() -> None:
    _, ahead = walk(NAMES[500:520])
    assert ahead[0] == "0501"


def test_skipping_a_few_names_is_still_a_walk() -> None:
    sizes, _ = walk(NAMES[::5])
    assert max(sizes) >= 128


def test_who_jumps_about_soon_gets_nothing() -> None:
    jumps = [NAMES[(number * 377) % 1000] for number in range(50)]
    sizes, ahead = walk(jumps)
    assert len(ahead) <= 12
    assert sizes[3:] == [0] * len(sizes[3:])


def test_a_name_that_is_not_unknown_asks_for_nothing() -> None:
    assert Scan(list(NAMES)).batch("elsewhere") == []
