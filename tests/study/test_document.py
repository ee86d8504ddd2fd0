"""A study's file is read within bounds, and nothing in it is guessed."""

import contextlib
import json
import math
import os

import pytest
import yaml
from helpers.project import ROOT
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.errors import UserError
from noise2mask.study.document import MOST_DEEP, ReadError, parse, read_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024_05", "2024_05"),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-05-01", "2024-05-01"),
        ("1e-4", 1e-4),
        ("1.0e-3", 1e-3),
        (".5", 0.5),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("-3", -3),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("'3'", "3"),
        ("!!str 3", "3"),
        ("!!float 3", 3.0),
        ("!!int '3'", 3),
        ("1_000", "1_000"),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("x: &x {b: 1, e: 3}\ny: {b: 2, <<: [*x, {b: 4, f: 5}]}",
         {"x": {"b": 1, "e": 3}, "y": {"b": 2, "e": 3, "f": 5}}),
        ("{1e-4: a, 2018: b, no: c, true: d, 0.30: e}",
         {"1e-4": "a", "2018": "b", "no": "c", "true": "d", "0.30": "e"}),
    ],
)  # fmt: skip
def test_what_a_value_means(text, value):
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "config").glob("*.yaml")))
def test_the_studies_of_the_project_mean_what_yaml_1_1_says_too(name):
    path = ROOT / "config" / name
    assert read_document(path) == yaml.safe_load(path.read_text())


BOMB = "\n".join(
    ["a0: &a0 {k0: 1, k1: 2}"]
    + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n + 1}: 1}}" for n in range(1, 20)]
)
CHAIN = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 1200))])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: !!timestamp 2024-05-01", ", line 2: the tag '!!timestamp' is not read; write"),
        ("a: !!python/object:os.system x", "the tag '!!python/object:os.system' is not read"),
        ("a: !!binary aGk=", "the tag '!!binary' is not read"),
        ("a: !!set {b, c}", "the tag '!!set' is not read"),
        ("a: !mine 3", "the tag '!mine' is not read"),
        ("a: !!int x", "'x' is no int"),
        ("a: 1\nb: 2\na: 3", ", line 3: the key 'a' stands twice; remove one"),
        ("{1: a, '1': b}", "the key '1' stands twice"),
        ("? [a, b]\n: 1", "a key is a word, not a list or a mapping"),
        ('a: "\\0"', "a character in it can be in no name and no text file"),
        ('a: "\\uD800"', ""),
        ("<<: 3", "a merge key (<<) takes a mapping or a list of mappings"),
        ("a: &a [*a]", "an anchor names a part of itself"),
        (f"a: {'[' * 10_000}{']' * 10_000}", f"more than {MOST_DEEP} mappings and lists inside"),
        (CHAIN, f"anchors bring more than {MOST_DEEP} levels inside one another"),
        (BOMB, "anchors and merge keys make more than 100000 values of it"),
        (f"a: {'9' * 5000}", "a number of 5000 digits; give it 40 at most"),
        ("a: *b", "is not readable YAML: "),
        ("a: 1\n--- \nb: 2", "is not readable YAML: "),
        ("a: \x00", "is not readable YAML: "),
        ("- a\n" * 1000, "must hold a mapping of study fields, got ['a', "),
        ("", "must hold a mapping of study fields, got None"),
    ],
)
def test_what_is_not_read_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_document(path)
    said = str(caught.value)
    assert sentence in said
    assert said.startswith(str(path))
    assert said.endswith(".")
    assert len(said) < 500


def test_no_file_that_is_none_and_none_too_large(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("pipe.yaml", "."):
        with pytest.raises(UserError, match="is no regular file; a study is a UTF-8 text file"):
            read_document(tmp_path / name)
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(UserError, match="has 100000000 bytes; a study is a text file of at most"):
        read_document(tmp_path / "large.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(tmp_path / "mine.yaml") == {"a": 1}


WORDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | WORDS
    | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
def test_what_is_written_as_json_is_read_back(value):
    assert parse(json.dumps(value)) == value


@given(st.text(max_size=200) | st.text("{}[]&*<:,!'\"|->\n \t#%@`ab1.e", max_size=60))
def test_any_text_is_read_or_told(text):
    with contextlib.suppress(ReadError, yaml.YAMLError):
        parse(text)
