"""ImageScope outlines to masks: files in the published layout, exact filling, bad input."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from PIL import Image
from skimage.measure import find_contours

from noise2mask.data.formats import aperio, phantoms
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import open_split
from noise2mask.data.source import Source
from noise2mask.errors import UserError

TRAIN = "files/MoNuSeg 2018 Training Data/MoNuSeg 2018 Training Data"
TEST = "files/MoNuSegTestData/MoNuSegTestData"
SQUARE = [(2.0, 1.0), (6.0, 1.0), (6.0, 4.0), (2.0, 4.0)]


def region(outline: Sequence[tuple[float, float]], number: int = 1, negative: int = 0) -> str:
    vertices = "".join(f'<Vertex X="{x:.6f}" Y="{y:.6f}" Z="0"/>' for x, y in outline)
    return (
        f'<Region Id="{number}" Type="0" Zoom="1" NegativeROA="{negative}" Text="">'
        f"<Attributes/><Vertices>{vertices}</Vertices></Region>"
    )


def layer(*regions: str) -> str:
    headers = '<RegionAttributeHeaders><AttributeHeader Id="9999"/></RegionAttributeHeaders>'
    return (
        f'<Annotation Id="1" Type="4"><Regions>{headers}{"".join(regions)}</Regions>'
        "<Plots/></Annotation>"
    )


def xml(*layers: str) -> bytes:
    return f'<Annotations MicronsPerPixel="0.252000">\n{"".join(layers)}</Annotations>'.encode()


def write(folder: Path, id: str, content: bytes, size: tuple[int, int] = (8, 10)) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(folder / f"{id}.tif")
    (folder / f"{id}.xml").write_bytes(content)
    return Source(id, id, None, {"image": folder / f"{id}.tif", "mask": folder / f"{id}.xml"})


def mask_of(folder: Path, content: bytes, size: tuple[int, int] = (8, 10)) -> np.ndarray:
    return aperio.load(write(folder, "a", content, size))[1]


def published(root: Path) -> None:
    """The layout of both archives: three training images in two folders, test images flat."""
    for id in ("TCGA-AA-0001-01Z-00-DX1", "TCGA-AA-0001-01Z-00-DX2", "TCGA-BB-0002-01A-01-TS1"):
        write(root / TRAIN / "Tissue Images", id, xml(layer(region(SQUARE))))
        target = root / TRAIN / "Annotations" / f"{id}.xml"
        target.parent.mkdir(exist_ok=True)
        (root / TRAIN / "Tissue Images" / f"{id}.xml").rename(target)
    for id in ("TCGA-CC-0003-01A-01-BSA", "TCGA-DD-0004-01A-03-TSC"):
        write(root / TEST, id, xml(layer(region(SQUARE))))
    (root / TEST / "._TCGA-CC-0003-01A-01-BSA.tif").write_bytes(b"macOS")
    hidden = root / "files/MoNuSeg 2018 Training Data/__MACOSX"
    hidden.mkdir()
    (hidden / "TCGA-AA-0001-01Z-00-DX1.tif").write_bytes(b"macOS")


# Files ----------------------------------------------------------------------------------------


def test_the_published_layout(tmp_path: Path) -> None:
    published(tmp_path)
    found = aperio.sources(root=str(tmp_path), train="files/MoNuSeg 2018 Training Data", test=TEST)
    assert [(source.id, source.group, source.split) for source in found] == [
        ("TCGA-AA-0001-01Z-00-DX1", "TCGA-AA-0001", "train"),
        ("TCGA-AA-0001-01Z-00-DX2", "TCGA-AA-0001", "train"),
        ("TCGA-BB-0002-01A-01-TS1", "TCGA-BB-0002", "train"),
        ("TCGA-CC-0003-01A-01-BSA", "TCGA-CC-0003", "test"),
        ("TCGA-DD-0004-01A-03-TSC", "TCGA-DD-0004", "test"),
    ]
    image, mask = aperio.load(found[0])
    assert image.shape == (8, 10, 3)
    assert mask.sum() == 4 * 3
    assert mask[1:4, 2:6].all()


def test_only_included_images_are_used_and_all_must_be_there(tmp_path: Path) -> None:
    published(tmp_path)
    options = {"root": str(tmp_path), "train": TRAIN, "test": TEST}
    (tmp_path / TRAIN / "Annotations/TCGA-BB-0002-01A-01-TS1.xml").unlink()
    include = ["TCGA-AA-0001-01Z-00-DX2", "TCGA-CC-0003-01A-01-BSA"]
    assert [source.id for source in aperio.sources(**options, include=include)] == include
    with pytest.raises(UserError) as caught:
        aperio.sources(**options, include=[*include, "TCGA-EE-0005-01A-01-TS1"])
    assert str(caught.value) == (
        f"1 id (TCGA-EE-0005-01A-01-TS1) has no image in {tmp_path}, but `include` has it; "
        "restore the files or correct `include`."
    )


def test_without_test_folder_there_are_no_official_splits(tmp_path: Path) -> None:
    published(tmp_path)
    found = aperio.sources(root=str(tmp_path), train=TRAIN)
    assert [source.split for source in found] == [None] * 3


def test_prepared_from_end_to_end(tmp_path: Path) -> None:
    published(tmp_path)
    options = {"root": str(tmp_path), "train": TRAIN, "test": TEST}
    shares = {"train": 0.6, "val": 0.15, "test": 0.25}
    manifest = prepare("aperio", options, "m", 4, shares, tmp_path / "out", shrink=8, tile=4)
    assert manifest.counts["test"] == 2 * 4
    groups = open_split(tmp_path / "out", "val", purpose="training").groups
    assert set(groups) in ({"TCGA-AA-0001"}, {"TCGA-BB-0002"})  # a patient is never divided


@pytest.mark.parametrize(
    ("removed", "sentence"),
    [
        (
            f"{TRAIN}/Annotations/TCGA-BB-0002-01A-01-TS1.xml",
            "1 image (TCGA-BB-0002-01A-01-TS1) has no XML of the same name in {train} or below; "
            "restore or remove files.",
        ),
        (
            f"{TRAIN}/Tissue Images/TCGA-BB-0002-01A-01-TS1.tif",
            "1 XML file (TCGA-BB-0002-01A-01-TS1) has no image (.tif) of the same name in {train} "
            "or below; restore or remove files.",
        ),
    ],
)
def test_files_that_do_not_pair(tmp_path: Path, removed: str, sentence: str) -> None:
    published(tmp_path)
    (tmp_path / removed).unlink()
    with pytest.raises(UserError) as caught:
        aperio.sources(root=str(tmp_path), train=TRAIN, test=TEST)
    assert str(caught.value) == sentence.format(train=tmp_path / TRAIN)


def test_folder_without_images(tmp_path: Path) -> None:
    for name in ("absent", "."):
        with pytest.raises(UserError) as caught:
            aperio.sources(root=str(tmp_path), train=name)
        assert str(caught.value) == (
            f"there is no image (.tif) in {tmp_path / name} or below; correct `root`, `train` or "
            "`test`, or put the data there."
        )


def test_an_image_in_both_splits_or_twice_in_one(tmp_path: Path) -> None:
    for folder in ("a/one", "b", "a/two"):
        write(tmp_path / folder, "x", xml())
    with pytest.raises(UserError, match=r"x\.tif and .*x\.tif have the same id 'x'"):
        aperio.sources(root=str(tmp_path), train="a")
    with pytest.raises(UserError, match="no image may be in both training and test"):
        aperio.sources(root=str(tmp_path), train="a/one", test="b")


# Filling --------------------------------------------------------------------------------------


def test_pixels_whose_centre_is_inside(tmp_path: Path) -> None:
    triangle = [(1.0, 1.0), (8.0, 1.0), (1.0, 6.9)]
    mask = mask_of(tmp_path, xml(layer(region(triangle))))
    row, column = np.mgrid[:8, :10] + 0.5
    expected = (column > 1) & (row > 1) & ((column - 1) / 7 + (row - 1) / 5.9 < 1)
    np.testing.assert_array_equal(mask, expected)


def test_layers_and_regions_are_united_whatever_their_order_and_direction(tmp_path: Path) -> None:
    other = [(7.0, 6.0), (4.0, 6.0), (4.0, 3.0), (7.0, 3.0)][::-1]
    expected = np.zeros((8, 10), bool)
    expected[1:4, 2:6] = expected[3:6, 4:7] = True
    for content in (
        xml(layer(region(SQUARE), region(other))),
        xml(layer(region(other[::-1])), layer(), layer(region(SQUARE[::-1]))),
    ):
        np.testing.assert_array_equal(mask_of(tmp_path, content), expected)


def test_negative_regions_are_taken_out_of_their_layer(tmp_path: Path) -> None:
    hole = region([(3.0, 2.0), (5.0, 2.0), (5.0, 3.0), (3.0, 3.0)], negative=1)
    mask = mask_of(tmp_path, xml(layer(hole, region(SQUARE))))
    assert mask.sum() == 10
    assert not mask[2, 3:5].any()
    assert mask_of(tmp_path, xml(layer(hole), layer(region(SQUARE)))).sum() == 12


def test_outlines_that_overlap_their_own_start_have_no_hole(tmp_path: Path) -> None:
    twice = [*SQUARE, *SQUARE[:3], (4.0, 2.0)]
    assert mask_of(tmp_path, xml(layer(region(twice)))).sum() == 12


def test_regions_outside_or_without_area(tmp_path: Path) -> None:
    beyond = [(-1e7, -5.5), (4.0, -5.5), (4.0, 1e6), (-1e7, 1e6)]  # the left four columns
    content = xml(
        layer(
            region(beyond), region([(20, 20), (30, 20), (30, 30)]), region([]),
            region([(0, 0), (9, 7)]), region([(9.5, 3)] * 5),
        )
    )  # fmt: skip
    mask = mask_of(tmp_path, content)
    assert mask[:, :4].all()
    assert not mask[:, 4:].any()


def test_no_region_is_an_empty_mask(tmp_path: Path) -> None:
    assert not mask_of(tmp_path, xml(layer())).any()


@given(
    st.lists(st.tuples(st.floats(0.1, 14), st.floats(0.02, 1)), min_size=3, max_size=12),
    st.floats(-3, 23),
    st.floats(-3, 19),
)
@settings(max_examples=150, deadline=None)
def test_fill_agrees_with_a_point_test(
    corners: list[tuple[float, float]], x: float, y: float
) -> None:
    """Outlines about a centre do not cross themselves, so both rules mean the same."""
    radius, turn = np.array(corners).T
    assume(turn.max() < 0.49 * turn.sum())
    angle = 2 * np.pi * np.cumsum(turn) / turn.sum()
    outline = np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])
    mask = np.zeros((16, 20), bool)
    aperio.fill(mask, outline)
    row, column = np.mgrid[:16, :20] + 0.5
    points = np.column_stack([column.ravel(), row.ravel()])
    inner, outer = (Polygon(outline).contains_points(points, radius=r) for r in (-1e-6, 1e-6))
    sure = (inner == outer).reshape(mask.shape)  # not on an edge
    np.testing.assert_array_equal(mask[sure], inner.reshape(mask.shape)[sure])


def test_neighbours_that_share_an_edge_share_no_pixel() -> None:
    left, right = np.zeros((2, 12, 12), bool)
    aperio.fill(left, np.array([(0, 0), (12, 12), (0, 12)]))
    aperio.fill(right, np.array([(0, 0), (12, 0), (12, 12)]))  # the diagonal runs through centres
    assert (left ^ right).all()


def test_masks_that_were_traced_come_back(tmp_path: Path) -> None:
    for number, source in enumerate(phantoms.sources(family="nuclei", count=4, size=256)):
        _, mask = phantoms.load(source)
        regions = []
        for contour in find_contours(np.pad(mask, 1).astype(float), 0.5):
            outline = contour[:-1, ::-1] - 0.5  # from centres of padded pixels to corners
            x, y = outline.T
            negative = int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() < 0)
            regions.append(region(outline.tolist(), len(regions) + 1, negative))
        found = mask_of(tmp_path / str(number), xml(layer(*regions)), mask.shape)
        assert (found & mask).sum() / (found | mask).sum() >= 0.99


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b'<?xml version="1.0" encoding="latin1"?><!-- \xb5m -->' + text.encode(),
    ],
)
def test_byte_order_marks_and_encodings(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    content = encode(xml(layer(region(SQUARE))).decode())
    assert mask_of(tmp_path, content).sum() == 12


ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no element found: line 1, column 0"),
        (xml(layer(region(SQUARE)))[:-30], "no element found|unclosed token"),
        (b"PK\x03\x04 a zip", "not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><Annotations/>', "unknown encoding"),
        (
            f'<!DOCTYPE bomb [<!ENTITY l0 "l">{ENTITIES}]><Annotations>&l9;</Annotations>'.encode(),
            "its document type 'bomb' is refused, for it may hold harmful entities",
        ),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Annotations/>', "its document type 'a'"),
    ],
)
def test_damaged_or_harmful_xml(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        mask_of(tmp_path, content)
    assert str(caught.value).startswith(
        f"{tmp_path / 'a.xml'} could not be read, it is damaged or no annotation of ImageScope ("
    )


def test_xml_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        mask_of(tmp_path, b"<svg/>")
    assert str(caught.value) == (
        f"{tmp_path / 'a.xml'} holds <svg>, but an annotation of ImageScope is <Annotations>; "
        "restore the file."
    )


@pytest.mark.parametrize(
    "vertex",
    [
        '<Vertex X="1"/>',
        '<Vertex X="1" Y="nan"/>',
        '<Vertex X="1" Y="inf"/>',
        '<Vertex X="" Y="2"/>',
    ],
)
def test_vertices_that_are_no_numbers(tmp_path: Path, vertex: str) -> None:
    content = xml(layer(region(SQUARE, number=7))).replace(
        b"</Vertices>", vertex.encode() + b"</Vertices>"
    )
    with pytest.raises(UserError) as caught:
        mask_of(tmp_path, content)
    assert str(caught.value) == (
        f"the region 7 of {tmp_path / 'a.xml'} has a vertex whose X or Y is missing or no number; "
        "correct or restore the file."
    )


def test_annotation_of_another_image(tmp_path: Path) -> None:
    far = [(x + 5000, y + 5000) for x, y in SQUARE]
    with pytest.raises(UserError) as caught:
        mask_of(tmp_path, xml(layer(region(far), region(far))))
    assert str(caught.value) == (
        f"all 2 regions of {tmp_path / 'a.xml'} lie outside its image, which has 10 x 8 pixels; "
        "put the annotation of this image there."
    )


def test_damaged_image(tmp_path: Path) -> None:
    source = write(tmp_path, "a", xml(layer(region(SQUARE))))
    source.payload["image"].write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"a\.tif could not be read"):
        aperio.load(source)
