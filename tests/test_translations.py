"""The Chinese catalogue is whole, compiled and right, and no page says anything past it."""

import ast
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import polib
import pytest
from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.forms import CharField
from django.utils import translation

from webhooks.choices import DeliveryState, ParameterType

ROOT: Final = Path(settings.BASE_DIR)
FOLDER: Final = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES"
SOURCES: Final = ("workspaces", "identity", "webhooks", "journeys", "qa_webhook", "templates")
TEMPLATES: Final = sorted((ROOT / "templates").rglob("*.html"))
HOW_TO_MEND: Final = (
    "Run manage.py makemessages -l zh_Hans -i .venv -i tests -i docs -i staticfiles --no-wrap "
    "--add-location file, translate, then manage.py compilemessages -l zh_Hans -i .venv."
)

Key = tuple[str | None, str]


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(FOLDER / "django.po"))


def key_of(entry: polib.POEntry | polib.MOEntry) -> Key:
    return entry.msgctxt or None, entry.msgid


def texts_of(entry: polib.POEntry | polib.MOEntry) -> list[str]:
    if entry.msgid_plural:
        return [text for _, text in sorted(entry.msgstr_plural.items())]
    return [entry.msgstr]


# -- The catalogue ---------------------------------------------------------------------------------


def test_every_entry_is_translated(catalogue: polib.POFile) -> None:
    assert [entry.msgid for entry in catalogue.untranslated_entries()] == [], HOW_TO_MEND


@pytest.mark.parametrize(
    ("about", "word", "said"),
    [
        ("time", "From", "不早于"),
        ("grant", "To", "授予对象"),
        ("breaker", "Open", "已熔断"),
        ("breaker", "Closed", "正常"),
    ],
)
def test_a_word_with_two_meanings_is_said_by_what_it_is_about(
    about: str, word: str, said: str
) -> None:
    with translation.override("zh-hans"):
        assert translation.pgettext(about, word) == said
        assert translation.gettext(word) != said


def test_no_entry_is_a_guess(catalogue: polib.POFile) -> None:
    assert [entry.msgid for entry in catalogue.fuzzy_entries()] == [], HOW_TO_MEND


def test_the_compiled_catalogue_is_made_of_this_one(catalogue: polib.POFile) -> None:
    compiled = polib.mofile(str(FOLDER / "django.mo"))
    written = {key_of(entry): texts_of(entry) for entry in catalogue if not entry.obsolete}
    assert {key_of(entry): texts_of(entry) for entry in compiled} == written, HOW_TO_MEND


@pytest.mark.skipif(
    shutil.which("xgettext") is None,
    reason="Reading the texts out of the code needs xgettext. Install it: apt-get install gettext",
)
def test_every_text_of_the_code_is_in_the_catalogue(
    catalogue: polib.POFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "locale").mkdir()
    settings.LOCALE_PATHS = [tmp_path / "locale"]
    monkeypatch.chdir(tmp_path)

    call_command("makemessages", locale=["zh_Hans"], keep_pot=True, verbosity=0)

    found = {key_of(entry) for entry in polib.pofile(str(tmp_path / "locale" / "django.pot"))}
    known = {key_of(entry) for entry in catalogue if not entry.obsolete}
    assert found - known == set(), HOW_TO_MEND
    assert known - found == set(), HOW_TO_MEND


# %(name)s, {name}, ${name}: what code fills in or people type. “{{x}}” is a brace, not a place.
_PLACES: Final = re.compile(r"%\([a-z_]+\)[sd]|%%|\$?\{+[a-zA-Z_]*\}+", re.ASCII)


def test_both_sides_have_the_same_places_to_fill(catalogue: polib.POFile) -> None:
    different = []
    for entry in catalogue:
        asked = Counter(_PLACES.findall(entry.msgid_plural or entry.msgid))
        different += [
            (entry.msgid, text)
            for text in texts_of(entry)
            if Counter(_PLACES.findall(text)) != asked
        ]
    assert different == []


# -- The writing -----------------------------------------------------------------------------------

_HAN: Final = "\u3400-\u9fff"
_NARROW: Final = re.compile(rf"[{_HAN}][,;:?!()]|[,;?!()][{_HAN}]")
_CODE_SAMPLES: Final = re.compile(r"“[^”]*: [^”]*”|%\(\w+\)[sd]|https?://\S+")


def test_punctuation_beside_chinese_is_chinese(catalogue: polib.POFile) -> None:
    wrong = [
        text
        for entry in catalogue
        for text in texts_of(entry)
        if _NARROW.search(_CODE_SAMPLES.sub("", text))
    ]
    assert wrong == []


_WIDE_AND_SPACE: Final = re.compile(r"[，。：；！？、（）《》“”] | [，。：；！？、（）《》]")


def test_no_space_stands_beside_wide_punctuation(catalogue: polib.POFile) -> None:
    wrong = [
        text for entry in catalogue for text in texts_of(entry) if _WIDE_AND_SPACE.search(text)
    ]
    assert wrong == []


# A name or a number that is filled in may begin or end with Latin letters or digits.
_PLACE: Final = r"%\(\w+\)[sd]|%[sd]|\$?\{+\w+\}+"
_CROWDED: Final = re.compile(rf"(?<=[{_HAN}])(?:{_PLACE})|(?:{_PLACE})(?=[{_HAN}])")
# What these stand for begins and ends with Chinese, or with wide brackets.
_CHINESE: Final = frozenset(
    {
        *("%(conditions)s", "%(event)s", "%(happened)s", "%(must)s", "%(operator)s"),  # rules
        "%(span)s",
        *("%(left)s", "%(status)s"),  # “约 5 分钟”
        *("%(reason)s", "%(rules)s", "%(what)s"),  # sentences
    }
)
# People and times, which are Chinese here, or touch it as the digits of a date do; the pages set
# Latin names apart by themselves.
_TOUCHES: Final = frozenset(
    {
        *("%(changed_by)s", "%(holder)s", "%(member)s", "%(names)s", "%(user)s", "%(who)s"),
        *("%(date)s", "%(since)s", "%(time)s", "%(until)s", "{time}"),
    }
)
_NAMES_SOMEBODY: Final = frozenset(
    {
        "Ask %(name)s, who administers this workspace.",
        "Tested by %(name)s on %(date)s; a test here is optional.",
        "The usage permission of %(name)s ended now.",
    }
)
# ``sentences.spaced`` gives these room: the name of a kind may begin with either.
_SPACED: Final = frozenset(
    {
        *("Add %(name)s", "Add %s", "Add another %(verbose_name)s", "Change %s", "Delete %(name)s"),
        *("Delete chosen %(name)s", "No %(name)s"),
        *("Delete selected %(verbose_name_plural)s", "No %(name)s yet", "No matching %(name)s"),
        *("Select all %(total_count)s %(module_name)s", "View %s"),
        # Said as tooltips of Django's, which nothing gives room.
        *("Add another %(model)s", "Change selected %(model)s", "View selected %(model)s"),
    }
)


def test_chinese_and_latin_letters_stand_apart(catalogue: polib.POFile) -> None:
    touching = re.compile(rf"[{_HAN}][A-Za-z0-9]|[A-Za-z0-9][{_HAN}]")
    wrong = [
        text
        for entry in catalogue
        for text in texts_of(entry)
        if touching.search(re.sub(_PLACE, "%", text))
    ]
    assert wrong == []


def test_what_is_filled_in_stands_apart_from_chinese(catalogue: polib.POFile) -> None:
    wrong = [
        text
        for entry in catalogue
        if entry.msgid not in _SPACED
        for text in texts_of(entry)
        if {*_CROWDED.findall(text)} - _CHINESE - _touching(entry)
    ]
    assert wrong == []


def test_people_and_times_touch_the_chinese_beside_them(catalogue: polib.POFile) -> None:
    apart = re.compile(rf"(?<=[{_HAN}]) (?:{_PLACE})|(?:{_PLACE}) (?=[{_HAN}])")
    wrong = [
        text
        for entry in catalogue
        for text in texts_of(entry)
        if {each.strip() for each in apart.findall(text)} & _touching(entry)
    ]
    assert wrong == []


def _touching(entry: polib.POEntry) -> frozenset[str]:
    if entry.msgid == "the oldest due for %(time)s":  # “1 分钟”
        return frozenset()
    return _TOUCHES | ({"%(name)s"} if entry.msgid in _NAMES_SOMEBODY else frozenset())


def test_a_percent_sign_touches_its_number(catalogue: polib.POFile) -> None:
    assert [text for entry in catalogue for text in texts_of(entry) if " %%" in text] == []


# Words that were said two ways, or as machines translate; the right one beside each.
_NOT_SAID: Final = {
    "你": "您",
    "应答": "响应",
    "更改": "修改",
    "点击": "单击",
    "帐": "账",
    "账户": "账号",
    "代码集": "恢复码",
    "恢复代码": "恢复码",
    "电子邮件": "邮箱, or 邮件 for the mail itself",
    "邮件地址": "邮箱",
    "邮箱地址": "邮箱",
    "还没有": "暂无",
    "责任成员": "负责人",
    "登出": "退出登录",
    "……": "…",
    "...": "…",
}


def test_no_text_has_a_word_that_another_one_stands_for(catalogue: polib.POFile) -> None:
    wrong = [
        (text, f"{word} → {right}")
        for entry in catalogue
        for text in texts_of(entry)
        for word, right in _NOT_SAID.items()
        if word in text
    ]
    assert wrong == []


def test_a_sentence_ends_as_one(catalogue: polib.POFile) -> None:
    ends = {".": ("。",), "?": ("？", "。"), ":": ("：",), "…": ("…",)}
    wrong = [
        (entry.msgid, text)
        for entry in catalogue
        for text in texts_of(entry)
        if entry.msgid[-1:] in ends and len(entry.msgid.split()) > 1
        if not text.endswith(ends[entry.msgid[-1]])
    ]
    assert wrong == []


# What code calls things; people read the words of the screens.
_WORDS_OF_CODE: Final = re.compile(
    r"\b(enrol\w*|settl\w*|chunk\w*|lanes?|profiles?|redeliver\w*|usage grants?|dead|uncertain"
    r"|QA|Outreach)\b",
    re.IGNORECASE,
)
_SHOWN_NOWHERE: Final = {"enrollment", "chunk", "lane"}  # Names of models without a page.


def test_no_text_has_words_of_the_code(catalogue: polib.POFile) -> None:
    wrong = [
        entry.msgid
        for entry in catalogue
        if _WORDS_OF_CODE.search(re.sub(r"x-qa-\S+|“[^”]*”", "", entry.msgid))
        and entry.msgid not in _SHOWN_NOWHERE
    ]
    assert wrong == []


# Words of the screens with one Chinese word each; the right one stands in every sentence of them.
TERMS: Final = {
    "audience": ("人群",),
    "journey": ("活动", "自动化营销"),
    "webhook": ("Webhook", "webhook"),
    "workspace": ("工作空间", "空间成员"),
    "workspace member": ("空间成员",),
    "member group": ("成员组",),
    "account": ("账号",),
    "usage permission": ("使用权限",),
    "ID type": ("ID 类型", "ID 加密"),
    "receipt": ("回执",),
}


@pytest.mark.parametrize("word", TERMS)
def test_one_word_for_one_thing(catalogue: polib.POFile, word: str) -> None:
    without = [
        (entry.msgid, text)
        for entry in catalogue
        if re.search(rf"(?<![\w“/-]){word}s?(?![\w”-])", _PLACES.sub("", entry.msgid))
        for text in texts_of(entry)
        if not any(term in text for term in TERMS[word])
    ]
    assert without == []


# What states and types of parameters are called, and what can be done with what failed.
WORDS: Final = {
    DeliveryState.DELIVERED: ("Accepted", "发送成功"),
    DeliveryState.DEAD: ("Failed", "发送失败"),
    DeliveryState.QUEUED: ("Waiting", "等待发送"),
    DeliveryState.SKIPPED: ("Skipped", "已跳过"),
    DeliveryState.EXPIRED: ("Too late", "已过期"),
    DeliveryState.UNCERTAIN: ("Outcome unknown", "结果未知"),
    ParameterType.CHARACTER: ("Short text (the same for everyone)", "字符型（所有用户相同）"),
    ParameterType.TEXT: ("Text (may hold variables)", "文本型（可含变量）"),
    ParameterType.NUMERIC: ("Number", "数值型"),
    ParameterType.DATE: ("Date", "日期型"),
    ParameterType.CHOICE: ("Choice (from a list)", "字符型（参数调用）"),
}


@pytest.mark.parametrize(("code", "words"), WORDS.items(), ids=lambda each: str(each)[:20])
def test_codes_have_the_words_of_the_screens(
    code: DeliveryState | ParameterType, words: tuple[str, str]
) -> None:
    said = []
    for language in ("en", "zh-hans"):
        with translation.override(language):
            said.append(str(code.label))
    assert tuple(said) == words


def test_the_starts_and_sending_again_have_the_originals_words(catalogue: polib.POFile) -> None:
    said = {entry.msgid: entry.msgstr for entry in catalogue}
    assert said["Send again"] == "重新发送"
    assert said["Target audience"] == "目标人群"
    assert said["Behaviour event"] == "行为事件"


# -- Words of others -------------------------------------------------------------------------------


def test_what_django_says_of_passwords_and_fields_is_in_our_words() -> None:
    refused = []
    with translation.override("zh-hans"):
        advice = password_validation.password_validators_help_texts()
        for password in ("1", "password", "1234567890"):
            with pytest.raises(ValidationError) as error:
                password_validation.validate_password(password)
            refused += error.value.messages
        field = CharField(max_length=3)
        for value in ("", "four"):
            with pytest.raises(ValidationError) as error:
                field.clean(value)
            refused += error.value.messages

    assert "密码至少包含 10 个字符。" in advice
    assert "请填写此字段。" in refused
    assert "最多输入 3 个字符（现有 4 个）。" in refused
    for text in [*advice, *refused]:
        assert not [word for word in _NOT_SAID if word in text], text
        assert not _NARROW.search(text), text


def test_a_one_time_code_is_not_called_as_a_code_of_a_tag() -> None:
    with translation.override("zh-hans"):
        assert translation.gettext("Authenticator code") == "验证码"
        assert translation.gettext("Incorrect code.") == "验证码有误。"
        assert translation.gettext("code") == "代码"


# -- Templates -------------------------------------------------------------------------------------

# Units, keys, and what people type as it stands.
ALLOWED: Final = frozenset({"Alt", "Ctrl", "Del", "ID", "IDs", "ms"})
_SPOKEN: Final = frozenset(
    {"alt", "aria-description", "aria-label", "data-label", "label", "placeholder", "title"}
)
_SILENT: Final = frozenset({"code", "pre", "script", "style", "svg"})
_WORD: Final = re.compile(r"(?<![&\w#])[A-Za-z]{2,}")
_TRANSLATED: Final = re.compile(
    r"\{#.*?#\}"
    r"|\{%\s*comment.*?endcomment\s*%\}"
    r"|\{% block (body_attributes|bodyclass|coltype|layout) %\}.*?\{% endblock \1 %\}"
    r"|\{%\s*blocktrans(?:late)?\b.*?endblocktrans(?:late)?\s*%\}",
    re.DOTALL,
)
_GIVEN: Final = re.compile(
    r"""\{%\s*include\b[^%]*?\b(?:label|text|title|words|hint|help)=(?:"([^"]+)"|'([^']+)')"""
)
_TAG: Final = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


class _Bare(HTMLParser):
    """Collects the text and the spoken attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in _SPOKEN and value]
        self._silent += tag in _SILENT

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


def bare_words(source: str) -> Iterator[str]:
    """Find the English words that a page says without asking the catalogue."""
    untranslated = _TRANSLATED.sub("", source)
    pieces = [first or second for first, second in _GIVEN.findall(untranslated)]
    parser = _Bare()
    parser.feed(_TAG.sub("", untranslated))
    parser.close()
    for piece in [*pieces, *parser.found]:
        yield from (word for word in _WORD.findall(piece) if word not in ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello</p>",
        '<button title="Close it">×</button>',
        '<p>{% translate "Save" %} now</p>',
        '{% include "x.html" with label="Close" %}',
        "{% if a > b %}Yes{% endif %}",
    ],
)
def test_the_check_of_templates_sees_bare_words(source: str) -> None:
    assert list(bare_words(source))


@pytest.mark.parametrize(
    "source",
    [
        '<p title="{% translate "Close" %}" class="meta">{{ name }}, 5 ms</p>',
        "{# A note. #}<p>{% blocktranslate trimmed %}Hello <b>you</b>{% endblocktranslate %}</p>",
        "<pre>POST /marketing HTTP/1.1</pre>",
        "<script>const words = 1;</script>&nbsp;",
    ],
)
def test_the_check_of_templates_lets_the_rest_be(source: str) -> None:
    assert list(bare_words(source)) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_templates_have_no_words_of_their_own(path: Path) -> None:
    assert list(bare_words(path.read_text(encoding="utf-8"))) == []


# -- Forms, models, admin --------------------------------------------------------------------------

_SAID_BY_NAME: Final = frozenset(
    {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label", "description"}
)
# Calls whose first text people read, and where it stands among the arguments.
_SAID_BY_PLACE: Final = {"ValidationError": 0, "PermissionDenied": 0, "add_error": 1}
MODULES: Final = sorted(
    path
    for app in ("workspaces", "identity", "webhooks", "journeys")
    for path in (ROOT / app).rglob("*.py")
    if not {"migrations", "management", "demo", "receiver"} & set(path.parts)
)


def bare_texts(source: str) -> Iterator[str]:
    """Find the texts of fields, options and refusals that no catalogue is asked for."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            names = {each.id for each in node.targets if isinstance(each, ast.Name)}
            said = [node.value] if names & _SAID_BY_NAME - {"description"} else []
        elif isinstance(node, ast.Call):
            said = [each.value for each in node.keywords if each.arg in _SAID_BY_NAME]
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == (
                "messages"
            ):
                said += node.args[1:2]
            place = _SAID_BY_PLACE.get(called)
            said += node.args[place : place + 1] if place is not None else []
        else:
            continue
        for value in said:
            yield from _words_of(value)


def _words_of(value: ast.expr) -> Iterator[str]:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from (word for word in _WORD.findall(part.value) if word not in ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        'name = models.CharField(verbose_name="Name")',
        'name = forms.CharField(label="Name", help_text=_("A name."))',
        'class Meta:\n    verbose_name_plural = "audiences"',
        'raise ValidationError("Enter a name.", "required")',
        'form.add_error("name", f"{name} is taken.")',
        'messages.success(request, "Saved.")',
        '@admin.display(description="Rate")\ndef rate(): ...',
    ],
)
def test_the_check_of_modules_sees_bare_texts(source: str) -> None:
    assert list(bare_texts(source))


@pytest.mark.parametrize(
    "source",
    [
        'name = models.CharField(verbose_name=_("Name"), db_column="name")',
        'raise ValidationError(_("Enter a name."), "required")',
        'form.add_error("name", error)',
        'row = Row(label="")',
    ],
)
def test_the_check_of_modules_lets_the_rest_be(source: str) -> None:
    assert list(bare_texts(source)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_ask_the_catalogue_for_what_people_read(path: Path) -> None:
    assert list(bare_texts(path.read_text(encoding="utf-8"))) == []


def hidden_texts(source: str) -> Iterator[str]:
    """Find the texts that are asked for within an f-string, where xgettext does not see them."""
    for outer in ast.walk(ast.parse(source)):
        if isinstance(outer, ast.JoinedStr):
            for node in ast.walk(outer):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ASKING:
                    yield ast.unparse(node)


_ASKING: Final = frozenset({"_", "gettext", "gettext_lazy", "ngettext", "pgettext", "npgettext"})


def test_the_check_of_hidden_texts_sees_one() -> None:
    assert list(hidden_texts("""said = f"{_('Try again.')} {reason}" """)) == ["_('Try again.')"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_hides_in_an_f_string(path: Path) -> None:
    assert list(hidden_texts(path.read_text(encoding="utf-8"))) == []


# -- Scripts ---------------------------------------------------------------------------------------

SCRIPTS: Final = sorted((ROOT / "static/js").glob("*.js"))
_COMMENT: Final = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.DOTALL)
# A place for a text, given one that no template wrote.
_SHOWN: Final = re.compile(
    r"(?:textContent|innerText|title|placeholder|ariaLabel)\s*\+?=\s*([\"'`])(.*?)\1"
    r"|setAttribute\(\s*[\"'](?:aria-label|title|placeholder)[\"']\s*,\s*([\"'`])(.*?)\3"
    r"|(?:alert|confirm|prompt)\(\s*([\"'`])(.*?)\5"
)
# Two words, the first with a capital, are a sentence wherever they stand.
_SENTENCE: Final = re.compile(r"([\"'`])([A-Z][a-z]+ [a-z][^\"'`\n]*)\1")


def bare_sentences(source: str) -> Iterator[str]:
    """Find what a script would say in English; its words are in the page, in data attributes."""
    code = _COMMENT.sub("", source)
    for found in _SHOWN.finditer(code):
        text = re.sub(r"\$\{[^}]*\}", "", found[2] or found[4] or found[6] or "")
        if _WORD.search(text):
            yield text
    yield from (text for _quote, text in _SENTENCE.findall(code))


@pytest.mark.parametrize(
    "source",
    [
        'note.textContent = "Saved";',
        "button.title = `Remove ${name}`;",
        'node.setAttribute("aria-label", "Close");',
        'show("The server cannot be reached.");',
        'confirm("Sure");',
    ],
)
def test_the_check_of_scripts_sees_bare_sentences(source: str) -> None:
    assert list(bare_sentences(source))


@pytest.mark.parametrize(
    "source",
    [
        "// Say it to whoever waits.\nnote.textContent = texts.saved;",
        'node.setAttribute("aria-expanded", "true");',
        'note.textContent = `${count}`; event.key === "Escape";',
    ],
)
def test_the_check_of_scripts_lets_the_rest_be(source: str) -> None:
    assert list(bare_sentences(source)) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_have_no_words_of_their_own(path: Path) -> None:
    assert list(bare_sentences(path.read_text(encoding="utf-8"))) == []
