"""Text for people: nothing in it acts on a terminal, and counts have the right plural."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.text import format_duration, format_size, printable, quantity


@given(st.text(st.characters(codec=None)))
def test_no_character_is_left_that_a_terminal_acts_on_or_hides(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


def test_control_bidirectional_and_zero_width_characters_are_escaped() -> None:
    assert printable("\x1b[31m\x07é\u202e\u200b\n\ud800 €") == (
        r"\x1b[31m\x07é\u202e\u200b\n\ud800 €"
    )


@pytest.mark.parametrize(
    ("count", "noun", "wanted"),
    [
        (1, "minute", "1 minute"),
        (0, "minute", "0 minutes"),
        (2_000, "raw fix", "2,000 raw fixes"),
        (2, "activity", "2 activities"),
        (2, "message of type lwt", "2 messages of type lwt"),
        (2, "signal without a position", "2 signals without a position"),
    ],
)
def test_a_count_has_the_right_plural(count: int, noun: str, wanted: str) -> None:
    assert quantity(count, noun) == wanted


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.9, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
        (1e9, "11574 d"),
    ],
)
def test_durations_use_the_largest_unit_that_they_have_two_of(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (76_842_528_768, "76.8 GB"),
        (5_000_000_000_000_000, "5000.0 TB"),
    ],
)
def test_sizes_use_the_largest_unit_that_they_have_one_of(count: int, text: str) -> None:
    assert format_size(count) == text
