"""The console in Chinese: every word of it, in glyphs, on a desk and on a phone.

SCREENSHOTS=docs/images keeps the picture of the documentation, GALLERY=<folder> all others.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, ViewportSize, expect
from pytest_django.live_server_helper import LiveServer

from identity.models import Tag
from journeys.models import Journey
from tests.journeys.factories import NICKNAME, Scene, make_scene
from webhooks import keys
from webhooks.receiver import Receiver
from webhooks.receiver.server import Options
from workspaces.choices import Language
from workspaces.models import User

pytestmark = [pytest.mark.django_db(transaction=True)]

WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}

INK: Final = """
(character) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  pen.font = `48px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "top";
  pen.fillText(character, 4, 4);
  return Array.from(pen.getImageData(0, 0, 64, 64).data).filter((_, i) => i % 4 === 3).join();
}
"""

Open = Callable[[User], Page]


def lacks_fonts() -> bool:
    """Tell whether the machine says that it has no Chinese font; unknown counts as having one.

    The build has to have one: REQUIRE_FONTS makes the test fail where it would be skipped.
    """
    fc_list = shutil.which("fc-list")
    if fc_list is None or os.environ.get("REQUIRE_FONTS"):
        return False
    listed = subprocess.run([fc_list, ":lang=zh"], capture_output=True, text=True, check=True)
    return not listed.stdout.strip()


def _set(thing: Model, **fields: object) -> None:
    for field, value in fields.items():
        setattr(thing, field, value)
    thing.save()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def scene(receiver: Receiver, settings: Any) -> Scene:
    """A workspace of Chinese marketers: what they typed is Chinese too."""
    cache.clear()
    settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
    made = make_scene(url=receiver.url("/coupons"))
    secrets = keys.signing_secrets(made.webhook, now=timezone.now())
    receiver.configure({"/coupons": Options(secrets=secrets)})
    _set(made.workspace.organization, name="湖畔零售")
    _set(made.workspace, name="会员营销", time_zone="Asia/Shanghai")
    _set(made.member, name="李梅", language=Language.CHINESE)
    _set(made.webhook, name="CRM 优惠券")
    _set(made.audience, name="有过购买的会员")
    _set(made.source, name="网上商城")
    _set(made.mobile, name="手机号")
    _set(made.email, name="邮箱")
    _set(Tag.objects.get(workspace=made.workspace, code="nickname"), name="昵称")
    _set(Tag.objects.get(workspace=made.workspace, code="orders"), name="订单数")
    _set(made.people[0], tags={"nickname": "张三", "orders": 3})
    _set(made.people[2], tags={"nickname": "李四"})
    return made


@pytest.fixture
def journey(scene: Scene) -> Journey:
    config = scene.config(
        values={"content": "亲爱的 ${name}，您好"},
        variables={"content": (replace(NICKNAME, default="会员"),)},
    )
    made = scene.journey(steps=[config])
    scene.rename_step(made, "会员优惠券")
    _set(made, name="春季优惠券")
    return made


@pytest.fixture
def open_page(browser: Browser, client: Client, live_server: LiveServer) -> Iterator[Open]:
    """Open a page as a user; script errors and refusals of the policy fail the test."""
    problems: list[str] = []
    contexts = []

    def opened(user: User) -> Page:
        client.force_login(user)
        name = django_settings.SESSION_COOKIE_NAME
        context = browser.new_context(
            base_url=live_server.url, viewport=WIDE, reduced_motion="reduce"
        )
        contexts.append(context)
        context.add_cookies(
            [{"name": name, "value": client.cookies[name].value, "url": live_server.url}]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            # htmx tells of what a dialog that was closed still asked for.
            lambda message: (
                problems.append(message.text)
                if message.type == "error" and "htmx:" not in message.text
                else None
            ),
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def url(name: str, journey: Journey, *args: object) -> str:
    return reverse(f"journeys:{name}", args=[journey.workspace.slug, journey.pk, *args])


def picture(page: Page, name: str, *, variable: str = "GALLERY") -> None:
    if folder := os.environ.get(variable):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.skipif(
    lacks_fonts(),
    reason="This machine has no Chinese font. Install one: apt-get install fonts-noto-cjk",
)
def test_chinese_characters_have_glyphs(open_page: Open, scene: Scene, journey: Journey) -> None:
    page = open_page(scene.member)
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))

    # What is drawn for a character that no font can have; “中” must look like something else.
    nothing = page.evaluate(INK, "\U0010ffff")
    drawn = page.evaluate(INK, "中")

    assert set(drawn.split(",")) != {"0"}
    assert drawn != nothing


def test_a_journey_is_drawn_tested_and_published_in_chinese(
    open_page: Open, scene: Scene, journey: Journey
) -> None:
    page = open_page(scene.member)
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    expect(page.get_by_role("rowheader")).to_have_text("春季优惠券")
    expect(page.get_by_role("button", name="新建活动")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("草稿")

    page.goto(f"{url('editor', journey)}?step={journey.draft['steps'][0]['key']}&field=name")
    panel = page.locator("aside.panel")
    expect(panel.get_by_label("步骤名称")).to_be_focused()
    expect(panel.get_by_text("发送 ID 类型", exact=True).first).to_be_visible()
    picture(page, "editor-zh", variable="SCREENSHOTS")

    panel.get_by_role("button", name="中插入变量").click()
    dialog = page.get_by_role("dialog", name="插入变量")
    dialog.get_by_role("radio", name="昵称").click()
    dialog.get_by_text("发送默认值").click()
    expect(dialog.get_by_role("button", name="插入", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="取消").click()

    panel.get_by_role("button", name="测试发送").click()
    test = page.get_by_role("dialog", name="测试发送")
    test.get_by_label("测试 ID").fill("13800000001")
    test.get_by_label("测试 ID").press("Tab")
    expect(test.get_by_label("${name}")).to_have_value("张三")
    test.get_by_role("button", name="发送测试", exact=True).click()
    expect(test.get_by_text("“CRM 优惠券”已接受测试")).to_be_visible()
    test.get_by_role("button", name="关闭").last.click()

    page.get_by_role("button", name="发布", exact=True).click()
    expect(page.get_by_role("button", name="向 2 人发送")).to_be_visible()
