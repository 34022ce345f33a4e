"""Degrees, attributes, identities, mapping, partition, requests: what is written comes back, or the line is named."""

import numpy as np
import pytest
from hypothesis import strategies as st
from releases import READ, edit, given, read, refusal, said
from test_texts import FILES_OF, HEADER, row, text_of

from conversion.release.errors import ConflictError, FormatError
from conversion.release.official import part_of
from conversion.release.vocabulary import ATTRIBUTES, HQ, PARTITION_ENDS, STANDARD

SUBSETS = st.sampled_from([HQ, STANDARD])


def numbers(subset):
    """Some file numbers, each once."""
    most = subset.first + subset.images - 1
    return st.lists(st.integers(subset.first, most), min_size=1, max_size=30, unique=True)


def table(subset, width, values):
    """{file number: values} of some rows."""
    return numbers(subset).flatmap(lambda some: st.fixed_dictionaries({n: st.tuples(*[values] * width) for n in some}))


def whole(subset, rows, width):
    """The same by file number, -1 where there is none."""
    expected = np.full((subset.first + subset.images, width), -1)
    for number, values in rows.items():
        expected[number] = values
    return expected


def check_read(name, text, subset, expected, count, kind):
    found, counted = READ[name](text, "file", subset)
    assert found.dtype == kind
    assert np.array_equal(found, expected.reshape(found.shape))
    assert counted == count


# ----------------------------------------------------------------------------------------------------- what comes back


@given(st.data(), SUBSETS, st.booleans(), examples=30)
def test_degrees_come_back(data, subset, headed):
    rows = data.draw(table(subset, 5, st.integers(0, 5)))
    order = data.draw(st.permutations(range(5))) if headed else range(5)
    fillers = [None, [], ["-1"] * 5, ["None"] * 5, ["NaN"] * 5, ["null", "-1", "null", "-1", "N/A"]]
    unlabeled = data.draw(st.sampled_from(fillers)) if len(rows) > 1 else None
    names = data.draw(st.sampled_from(["Bangs Eyeglasses No_Beard Smiling Young", "bangs eyeglasses beard smiling age",
                                       "BANGS eyeglasses no-beard smiling Age"])).split()  # fmt: skip
    first = data.draw(st.sampled_from([["img_name"], []]))
    lines = [[*first, *(names[i] for i in order)]] if headed else []
    lines += [[subset.file_name(number), *(str(values[i]) for i in order)] for number, values in rows.items()]
    if unlabeled is not None:
        lines[-1][1:] = unlabeled
        rows.popitem()
    check_read("degrees", data.draw(text_of(lines)), subset, whole(subset, rows, 5), len(rows), np.int8)


@given(st.data(), SUBSETS, st.sampled_from(["-1", "0"]), st.booleans(), st.booleans(), examples=15)
def test_attributes_come_back(data, subset, no, counted, named):
    rows = data.draw(table(subset, 40, st.integers(0, 1)))
    order = data.draw(st.permutations(range(40)))
    lines = ([[str(len(rows))]] if counted else []) + [["image_id"] * named + [ATTRIBUTES[i] for i in order]]
    lines += [[subset.file_name(number), *((no, "1")[values[i]] for i in order)] for number, values in rows.items()]
    check_read("attributes", data.draw(text_of(lines)), subset, whole(subset, rows, 40), len(rows), np.int8)


@given(st.data(), SUBSETS, st.booleans(), examples=30)
def test_identities_come_back(data, subset, headed):
    rows = data.draw(table(subset, 1, st.integers(1, 10177)))
    lines = [["image_id", "identity"]] if headed else []
    lines += [[subset.file_name(number), str(value)] for number, (value,) in rows.items()]
    check_read("identity", data.draw(text_of(lines)), subset, whole(subset, rows, 1), len(rows), np.int32)


@given(st.data(), st.booleans(), st.booleans(), examples=30)
def test_the_mapping_comes_back(data, headed, longer):
    """From its own file, and from the image_list.txt of progressive GANs, which has two checksums more."""
    pairs = dict(zip(data.draw(numbers(HQ)), data.draw(numbers(STANDARD))))
    sums = [["proc_md5", "final_md5"]] + [["0" * 31 + "a", f"{number:032x}"] for number in pairs]
    lines = [["idx", "orig_idx", "orig_file"]] if headed else []
    lines += [[str(number), str(other - 1), f"{other:06d}.jpg"] for number, other in pairs.items()]
    if longer:
        lines = [line + more for line, more in zip(lines, sums[not headed :])]
    check_read("mapping", data.draw(text_of(lines)), HQ, whole(HQ, pairs, 1), len(pairs), np.int32)


def split_by_hand(number):
    return next(split for split, end in enumerate(PARTITION_ENDS) if number <= end)


@given(st.data(), examples=30)
def test_the_partition_is_held_against_the_three_ranges(data):
    found = data.draw(numbers(STANDARD))
    lines = [[f"{number:06d}.jpg", str(split_by_hand(number))] for number in found]
    header = data.draw(st.sampled_from([[], [["image_id", "partition"]]]))  # as Kaggle's has it
    assert READ["partition"](data.draw(text_of(header + lines)), "file") == (None, len(found))
    wrong = data.draw(st.integers(0, len(lines) - 1))
    lines[wrong][1] = str((int(lines[wrong][1]) + data.draw(st.integers(1, 2))) % 3)
    text = "".join(" ".join(words) + "\n" for words in lines)
    with pytest.raises(ConflictError, match=rf"^file: line {wrong + 1}: \d, where CelebA puts {lines[wrong][0]} into "):
        said("partition", text)


def test_the_ends_of_the_splits():
    edges = [1, 162770, 162771, 182637, 182638, 202599]
    assert part_of(np.array(edges)).tolist() == [0, 0, 1, 1, 2, 2] == [split_by_hand(n) for n in edges]


FILLERS = ["", "None", "none", "NONE", "null", "NULL", "nan", "NaN", "NA", "n/a", "N/A", "-1"]


@pytest.mark.parametrize("filler", FILLERS)
def test_fillers(filler):
    assert said("degrees", f"0.jpg 1 1 1 1 1\n1.jpg{f' {filler}' * 5}\n") == [-1] * 5
    assert said("degrees", f"0.jpg,1,1,1,1,1\n1.jpg{f',{filler}' * 5}\n") == [-1] * 5
    assert READ["degrees"](f"0.jpg 1 1 1 1 1\n1.jpg{f' {filler}' * 5}\n".encode(), "file", HQ)[1] == 1
    assert said("identity", f"0.jpg 5\n1.jpg {filler}\n") == -1
    if filler != "-1":  # which says no there
        assert said("attributes", ATTRIBUTE_ROWS.replace(row("1.jpg"), row("1.jpg", filler))) == [-1] * 40
    assert said("requests_txt", f"0.jpg\tA\n1.jpg\t{filler}\n") == ""


# ------------------------------------------------------------------------------------------------------ what is refused
# (reader, bytes, how the message begins after "file: ")

ATTRIBUTE_ROWS, DEGREE_ROWS = FILES_OF["attributes"][0], FILES_OF["degrees"][0]
NO_DEGREES = "2.5 x 999999999999 0x5 +3 1e0 ٣ ３ ½ --1 1_0 1- O \xa05".split(" ")
NO_HQ_NAMES = "30000.jpg 00001.jpg 000001.jpg 0.png zero.jpg 99999999.jpg -1.jpg ../0.jpg 1.jp".split()
OTHER_DEGREES = {
    "Bangs Eyeglasses No_Beard Smiling Old": "'Old'",
    "Bangs Eyeglasses Beard No_Beard Young": "'Beard', 'No_Beard'",
    "Bangs Bangs No_Beard Smiling Young": "'Bangs', 'Bangs'",
}
FORTY = ". These are the forty binary attributes, which other projects keep under this name. "


def mapping(*lines):
    return "".join(f"{line}\n" for line in ("0 8 000009.jpg", *lines))


# fmt: off
REFUSED = [
    *[("degrees", f"0.jpg 0 0 0 0 0\n1.jpg 0 0 {word} 0 0\n", f"line 2: {word!r}, expected a degree from 0 to 5")
      for word in NO_DEGREES],
    *[("degrees", f"0.jpg 0 0 0 0 0\n1.jpg 0 0 {word} 0 0\n", f"line 2: {word}, expected a degree from 0 to 5")
      for word in ("6", "-2")],
    *[("identity", f"0.jpg 5\n1.jpg {word}\n", f"line 2: {word!r}, expected the number of an identity")
      for word in ("5.0", "+5", "0x5", "1e3", "٣", "Bob", "1000000000", "99999999999")],
    *[(name, f"0.jpg{more}\n{other}{more}\n", f"line 2: {other!r} is no image of the hq subset, whose files are")
      for other in NO_HQ_NAMES for name, more in (("degrees", " 0" * 5), ("identity", " 1"), ("requests_txt", "\tA"))],
    *[("partition", f"000001.jpg 0\n{other} 0\n", f"line 2: '{other}' is no image of the standard subset, whose files")
      for other in ("000000.jpg", "202600.jpg", "999999.jpg", "1.jpg")],
    *[("degrees", f"img_name {names}\n0.jpg 1 1 1 1 1\n", f"the header names {strange}, expected 5 names, Bangs to ")
      for names, strange in OTHER_DEGREES.items()],
    *[("attributes", ATTRIBUTE_ROWS.replace(name, other), f"the header names {strange}, expected 40 names, 5_o_")
      for name, other, strange in (("No_Beard", "Beard", "'Beard'"), ("Bald", "bald", "'bald'"),
                                   ("Bald", "Bangs", "'Bangs', 'Bangs'"), ("5_o", "5-o", "'5-o_Clock_Shadow'"))],

    # Rows of other words.
    ("degrees", "0.jpg 0 0 0 0 0\n1.jpg 0 0 0 0\n", "line 2: 5 words, expected 6: '1.jpg 0 0 0 0'"),
    ("degrees", f"{row('0.jpg')}\n", f"line 1: 41 words, expected 6: '0.jpg{' 1' * 37} '{FORTY}"),
    ("mapping", mapping("1 41 000042.jpg x"), "line 2: 4 words, expected 3"),
    ("degrees", "0.jpg,0,0,0,0,0\n1.jpg 0 0 0 0 0\n", "line 2: '1.jpg 0 0 0 0 0' is no image"),
    ("identity", "0.jpg 5\n1.jpg 7,7\n", "line 2: '7,7', expected the number"),
    ("identity", ",image_id,identity\n0,0.jpg,5\n1,1.jpg,7\n", "line 2: starts with '0 0.jpg 5'"),

    # Values that are missing.
    ("degrees", "0.jpg 0 0 0 0 0\n1.jpg 1 2 -1 -1 3\n", "line 2: 2 of 5 values are missing"),
    ("degrees", "0.jpg,0,0,0,0,0\n1.jpg,1,,3,4,5\n", "line 2: 1 of 5 values are missing"),
    ("mapping", mapping("1 None 000042.jpg"), "line 2: 1 of 2 values are missing"),
    ("attributes", ATTRIBUTE_ROWS.replace(" -1", " nan").replace(" 1", " nan"), "3 rows, and not one"),

    # Values that cannot be.
    ("identity", "0.jpg 5\n1.jpg -7\n", "line 2: -7, expected the number of an identity"),
    ("attributes", ATTRIBUTE_ROWS.replace("1.jpg 1", "1.jpg 2"), "line 4: 2, expected -1 or 1"),
    ("attributes", ATTRIBUTE_ROWS.replace("1.jpg 1", "1.jpg 0"), "line 4: 0, in a file that also writes -1; expected"),
    ("mapping", mapping("1 42 000042.jpg"), "line 2: 1, 42 and 000042.jpg; expected an HQ file num"),
    ("mapping", mapping("1 8 000009.jpg"), "two HQ images come from 000009.jpg, where each has its own"),
    ("partition", "000001.jpg None\n", "line 1: no number, expected 0, 1 or 2"),
    ("degrees", DEGREE_ROWS + "0.jpg 1 1 1 1 2\n", "lines 2 and 5: 0.jpg stands twice, with different values"),
    ("requests_txt", "0.jpg\tA\n1.jpg\tB\n0.jpg\tC\n", "lines 1 and 3: 0.jpg stands twice"),

    # Count and header.
    ("attributes", ATTRIBUTE_ROWS.replace("3\n", "4\n", 1), "line 1 says 4 rows, the file holds 3: it is cut off"),
    ("attributes", ATTRIBUTE_ROWS.replace(HEADER + "\n", ""), "no header with the forty attribute names"),
    ("identity", "garbage\n0.jpg 5\n", "'garbage' is no header of rows of 2 words"),
    ("degrees", DEGREE_ROWS.split("\n")[0] + "\n", "1 lines, and no row"),
    ("degrees", "0.jp 1 1 1 1 1\n1.jpg 0 1 2 3 4\n", "line 1: starts with '0.jp 1 1 1 1 1', expected a row"),

    # Something else in between and at the end.
    ("identity", "0.jpg 5\ngarbage\n1.jpg 7\n", "line 2: 'garbage' is no image"),
    ("attributes", ATTRIBUTE_ROWS.replace("3\n", "4\n", 1) + "garbage\n", "line 6: 'garbage' is no image"),
    ("degrees", DEGREE_ROWS * 2, "line 5: 'Bangs', expected a degree"),

    # Requests.
    ("requests_txt", "0.jpg\tA\n1.jpg ,Make it longer.\n", "line 2: ',Make it longer.', expected a request of at most"),
    ("requests_txt", "0.jpg\tA\n1.jpg\xa0Make it longer.\n", "line 2: '1.jpg\\xa0Make' is no image"),
    ("requests_txt", "0.jpg\tA\n1.jpg " + "x" * 65_537, f"line 2: '{'x' * 40}', expected a request of at most 65,536"),
]
# fmt: on


@pytest.mark.parametrize("name, data, part", REFUSED, ids=[f"{name}-{part[:50]}" for name, _, part in REFUSED])
def test_refused(name, data, part):
    assert refusal(name, data).startswith(part)


def test_a_fault_in_a_release_is_told_with_the_path_of_the_file(copy):
    edit(copy, "hq_labels", lambda data: data + b"5380.jpg\t1\t-1\t-1\t-1\t-1\n")
    path = r"CelebA-Dialog \(HQ\)/classification_label/combined_annotation_hq\.txt"
    with pytest.raises(FormatError, match=f"^{path}: line 25: 4 of 5"):
        read(copy, "hq")
