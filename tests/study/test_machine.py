from noise2mask.study import code_hash
from noise2mask.study.machine import blas, processor


def test_the_processor_has_a_name(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Made Up 3000\nmodel name\t: Made Up 3000\n")
    assert processor(path) == "Made Up 3000"
    path.write_text("processor\t: 0\n")
    assert processor(path) == processor(tmp_path / "absent") != ""


def test_the_linear_algebra_has_a_name_and_a_version():
    name, _, version = blas().partition(" ")
    assert name
    assert version[0].isdigit()


def test_versions_say_what_rounds_the_numbers():
    found = code_hash.versions()
    assert found["cpu"] == processor()
    assert found["blas"] == blas()
    assert set(code_hash.MACHINE) < set(found)
