"""Chinese punctuation has its own room: no space follows it."""

from django.template import Context, Template
from django.utils import translation
from django.utils.translation import gettext_lazy

from workspaces.sentences import joined

_TWO = Template(
    '{% load i18n sentences %}{% translate "Something happened here." %}{% space %}'
    '{% translate "Something happened here." %}'
)


def test_a_space_parts_sentences_where_the_language_has_one() -> None:
    two = [gettext_lazy("Something happened here."), "", "Ask."]

    with translation.override("en"):
        assert joined(two) == "Something happened here. Ask."
        assert ". S" in _TWO.render(Context())
    with translation.override("zh-hans"):
        assert joined(two).endswith("。Ask.")
        assert " " not in _TWO.render(Context())
