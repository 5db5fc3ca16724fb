"""A chat template that loops for ever ends as one failed request; it comes with the model's folder."""

import threading
import time
from contextlib import suppress

import pytest

from capgen.errors import UserError
from capgen.pipeline.template_limit import check_templates, limited

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
SOON_S = 0.2


def render(template, **values):
    jinja2 = pytest.importorskip("jinja2.sandbox")
    return jinja2.ImmutableSandboxedEnvironment().from_string(template).render(**values)


@pytest.mark.parametrize(
    "template",
    [
        ENDLESS,
        "{% macro again() %}{% for i in range(99999) %}{{ again() if i < 0 }}{% for j in range(9999) %}{% endfor %}"
        "{% endfor %}{% endmacro %}{{ again() }}",
        "{% for i in range(99999) %}{{ range(99999)|map('string')|join|length }}{% endfor %}",
        "{% for i in range(99999) %}{{ range(99999)|sum }}{% endfor %}",
    ],
)
def test_a_template_that_loops_for_ever_is_ended(template):
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"the chat template of model 'm' was not done after 0.2 s; use a model"):
        limited(render, "m", SOON_S)(template)
    assert time.monotonic() - begun < 20 * SOON_S


def test_requests_before_and_after_it_are_rendered():
    bounded = limited(render, "m", SOON_S)
    assert bounded("a{{ b }}", b=1) == "a1"
    with pytest.raises(UserError):
        bounded(ENDLESS)
    for number in range(2000):
        assert bounded("a{{ b }}", b=number) == f"a{number}"


def test_a_thread_that_renders_in_time_is_left_alone():
    """What is sent at the last moment does not arrive in what the thread does next."""
    strays = []

    def many():
        bounded = limited(time.sleep, "m", 0.0)
        for _ in range(3):
            with suppress(UserError):
                bounded(0.12)
            try:
                sum(range(100_000))
            except BaseException as error:  # noqa: BLE001 - whatever comes is a stray
                strays.append(error)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert strays == []


@pytest.mark.parametrize("template", ["{{ 10 ** 10 ** 10 }}", {"default": "a", "tools": "{% set a = 9**b %}"}])
def test_an_operator_that_cannot_be_ended_is_refused(template):
    with pytest.raises(UserError, match=r"uses the operator \*\*"):
        check_templates(template, "m")


@pytest.mark.parametrize(
    "template", [None, "", "{# a ** b #}a ** b{{ '**' }}{% generation %}{{ f(a, **k) }}{{ f(**k) }}"]
)
def test_stars_elsewhere_are_let_through(template):
    check_templates(template, "m")
