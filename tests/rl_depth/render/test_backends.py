"""The choice among ways of drawing."""

import pytest

from rl_depth.render import backend_report, backends, choose_backend


@pytest.fixture
def machine(monkeypatch):
    """A machine on which only the named backends work; its ``tried`` lists what was probed."""

    class Machine:
        works = ()
        tried = ()

    machine = Machine()

    def probe(name):
        machine.tried = (*machine.tried, name)
        return "" if name in machine.works else "no driver"

    monkeypatch.setattr(backends, "_probe", probe)
    monkeypatch.setattr(backends.sys, "platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    backends._choose.cache_clear()
    yield machine
    backends._choose.cache_clear()


@pytest.mark.parametrize(
    ("works", "chosen", "tried"),
    [
        (("egl", "osmesa"), "egl", ("egl",)),
        (("osmesa",), "osmesa", ("egl", "osmesa")),
        ((), "software", ("egl", "osmesa")),
    ],
)
def test_the_first_that_works_is_chosen_once(machine, works, chosen, tried):
    machine.works = works
    assert choose_backend() == choose_backend() == chosen
    assert machine.tried == tried


def test_the_report_names_the_choice_and_what_failed(machine):
    assert backend_report() == "software ray caster (EGL: no driver; OSMesa: no driver)"


@pytest.mark.parametrize(("wish", "tried"), [("glfw", ("glfw",)), ("OFF", ()), ("", ("egl", "osmesa"))])
def test_a_wish_of_the_user_is_tried_alone(machine, monkeypatch, wish, tried):
    monkeypatch.setenv("MUJOCO_GL", wish)
    assert choose_backend() == "software"
    assert machine.tried == tried


def test_an_unknown_wish_is_refused(machine, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(ValueError, match=r"vulkan.*egl"):
        choose_backend()


def test_a_probe_that_dies_or_hangs_is_a_reason_not_an_error(monkeypatch):
    monkeypatch.setattr(backends, "_PROBE", "import os; os.abort()")
    assert backends._probe("egl") == "exit code -6"
    monkeypatch.setattr(backends, "_PROBE", "raise RuntimeError('no display')")
    assert backends._probe("egl") == "RuntimeError: no display"
    monkeypatch.setattr(backends, "_PROBE", "import time; time.sleep(9)")
    monkeypatch.setattr(backends, "_TIMEOUT", 0.2)
    assert "no answer" in backends._probe("egl")
