"""Chinese punctuation has its own room: no space follows it; Latin letters get some."""

import pytest
from django.template import Context, Template
from django.utils import translation
from django.utils.translation import gettext_lazy

from workspaces.sentences import joined, listed, percent, spaced

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


@pytest.mark.parametrize(
    ("language", "said"), [("en", "MOBILE, EMAIL"), ("zh-hans", "MOBILE、EMAIL")]
)
def test_names_are_parted_as_the_language_does(language: str, said: str) -> None:
    with translation.override(language):
        assert listed(["MOBILE", "EMAIL"]) == said
        page = Template("{% load sentences %}{{ names|listed }}")
        assert page.render(Context({"names": ["MOBILE", "EMAIL"]})) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("添加数据源", "添加数据源"),
        ("添加Webhook", "添加 Webhook"),
        ("暂无API 密钥", "暂无 API 密钥"),
        ("选中全部 30 个ID 类型", "选中全部 30 个 ID 类型"),
        ("Webhook使用情况", "Webhook 使用情况"),
        ("Add webhook", "Add webhook"),
    ],
)
def test_chinese_and_latin_letters_stand_apart(text: str, said: str) -> None:
    assert spaced(text) == said
    page = Template("{% load sentences %}{{ text|spaced }}")
    assert page.render(Context({"text": text})) == said
    assert page.render(Context({"text": "<添"})) == "&lt;添"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_share_is_rounded_and_has_no_space_before_its_sign(language: str) -> None:
    with translation.override(language):
        assert percent(33) == "33%"
        assert percent(92.96, 1) == "93.0%"
        page = Template("{% load sentences %}{{ share|percent:1 }}")
        assert page.render(Context({"share": 92.857})) == "92.9%"
