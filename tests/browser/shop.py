"""A shop with work in it, in English or Chinese, so that every page has something to show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from identity.models import MappingConflict
from journeys import publishing, runner, runs
from journeys.components.webhook import WebhookConfig
from journeys.models import Journey, Run
from tests.factories import PASSWORD, make_member, make_operator, make_user
from tests.identity.factories import make_audience
from tests.journeys.factories import NICKNAME, Scene, grant, make_purchase, make_scene
from tests.webhooks.factories import make_administrator, make_choice_list, make_workspace
from webhooks import engine, keys, registering
from webhooks.choices import SecretKind
from webhooks.models import Attempt, Delivery, Message, Plan, Receipt, Redelivery, TestSend
from webhooks.receiver import Receiver
from webhooks.receiver.server import Options
from workspaces import api_keys, member_groups, members
from workspaces.choices import Language, Preset, Scope
from workspaces.models import Heartbeat, Organization, User, Workspace

CROWD: Final = 23_570
RULES: Final = {
    "match": "all",
    "conditions": [
        {"tag": "orders", "operator": "at_least", "value": 2},
        {"id_type": "MOBILE", "operator": "has"},
    ],
}
CHINESE: Final[Mapping[str, str]] = {
    "Lakeside Retail": "湖畔零售",
    "Member marketing": "会员营销",
    "Members with a purchase": "有过购买的会员",
    "Ordered twice or more": "下单两次以上",
    "Online shop": "网上商城",
    "Wang Lei": "王磊",
    "Li Mei": "李梅",
    "Chen Jing": "陈静",
    "Liu Yang": "刘洋",
    "Zhao Min": "赵敏",
    "Sun Li": "孙丽",
    "Zhou Ting": "周婷",
    "Wu Hao": "吴浩",
    "Operator": "运维",
    "New brand": "新品牌",
    "Harbour Books": "海港书店",
    "CRM coupons": "CRM 优惠券",
    "Content": "内容",
    "Coupon worth": "优惠券金额",
    "Discount activity at {content}": "优惠活动：{content}",
    "Dear ${name} Hello": "亲爱的${name}，您好",
    "Dear ${name} Hello ": "亲爱的${name}，您好。",
    "Dear Zhang San, hello": "亲爱的张三，您好",
    "Customer": "会员",
    "Mobile": "手机号",
    "E-mail": "邮箱",
    "Nickname": "昵称",
    "Orders": "订单数",
    "Purchase": "购买",
    "Zhang San": "张三",
    "Li Si": "李四",
    "Channels": "渠道",
    "Text message": "短信",
    "App message": "应用消息",
    "Branch team": "分店小组",
    "Shop system": "商城系统",
    "Send the coupon": "发送优惠券",
    "Thanks after a purchase": "购买后致谢",
    "Send the coupon again": "再次发送优惠券",
    "People without an ID": "没有 ID 的人",
    "Sign-up": "注册",
    "Stock-taking": "盘点",
    "Welcome": "欢迎新会员",
    "Autumn greetings": "秋日问候",
    "Call about open baskets": "未结账提醒",
    "Coupon gaps": "优惠券草稿",
    "Coupon for the holidays": "假日优惠券",
    "Spring coupons": "春季优惠券",
    "Administrator": "管理员",
    "Marketer": "营销人员",
    "Analyst": "分析师",
    "Developer": "开发人员",
}
# Codes that somebody gave, which stand in every language.
CODES: Final = frozenset(
    {"amount", "api", "app", "auto", "crm", "events", "example", "lakeside", "members", "nickname"}
    | {"nobody", "nothing", "orders", "purchase", "read", "san", "shop", "sms", "write"}
)


@dataclass
class Shop:
    scene: Scene
    language: str
    administrator: User
    operator: User
    newcomer: User
    starter: User
    beginner: User  # A marketer without any usage permission.
    analyst: User
    developer: User
    receiver: Receiver
    values: dict[str, Any] = field(default_factory=dict)

    def word(self, english: str) -> str:
        return _word(self.language, english)


def make_shop(receiver: Receiver, language: str) -> Shop:
    """The receiver answers at once; the outside may be reached nowhere else."""
    word = partial(_word, language)
    home = _make_workspace(language, "Lakeside Retail", "Member marketing", "lakeside", "members")
    empty = _make_workspace(language, "Harbour Books", "New brand", "harbour-books", "new")
    member = make_member(home, name=word("Li Mei"), email="li.mei@example.com")
    scene = make_scene(
        workspace=home, member=member, name=word("CRM coupons"), url=receiver.url("/coupons")
    )
    secrets = keys.signing_secrets(scene.webhook, now=timezone.now())
    receiver.configure({"/coupons": Options(secrets=secrets)})
    administrator = make_administrator(home, name=word("Wang Lei"), email="wang.lei@example.com")
    shop = Shop(
        scene,
        language,
        administrator,
        operator=make_operator(name=word("Operator"), email="operator@example.com"),
        newcomer=make_user(name=word("Zhang San"), email="zhang.san@example.com", password=None),
        starter=make_administrator(empty, name=word("Sun Li"), email="sun.li@example.com"),
        beginner=make_member(home, name=word("Zhao Min"), email="zhao.min@example.com"),
        analyst=make_member(
            home, Preset.ANALYST, name=word("Chen Jing"), email="chen.jing@example.com"
        ),
        developer=make_member(
            home, Preset.DEVELOPER, name=word("Liu Yang"), email="liu.yang@example.com"
        ),
        receiver=receiver,
    )
    grant(administrator, scene.webhook)
    _name_everything(shop)
    _make_records(shop)
    _make_journeys(shop)
    Heartbeat.objects.create(
        role="sender",
        host="shop",
        pid=1,
        started_at=timezone.now(),
        seen_at=timezone.now() + timedelta(hours=1),  # Longer than anybody looks.
    )
    administrator.set_password(PASSWORD)
    administrator.save()
    User.objects.update(language=language)
    return shop


def _word(language: str, english: str) -> str:
    return CHINESE[english] if language == Language.CHINESE else english


def _make_workspace(language: str, owner: str, name: str, owner_slug: str, slug: str) -> Workspace:
    """Make a workspace whose roles have their names before the audit trail keeps them."""
    word = partial(_word, language)
    made = make_workspace(
        organization=Organization.objects.create(name=word(owner), slug=owner_slug),
        name=word(name),
        slug=slug,
        language=language,
        time_zone="Asia/Shanghai",
    )
    for preset in Preset:
        _set(made.roles.get(preset=preset), name=word(preset.value.title()))
    return made


def _name_everything(shop: Shop) -> None:
    scene, word = shop.scene, shop.word
    _set(scene.audience, name=word("Members with a purchase"))
    _set(scene.source, name=word("Online shop"))
    _set(scene.mobile, name=word("Mobile"))
    _set(scene.email, name=word("E-mail"))
    _set(
        scene.webhook.parameters.get(),
        display_name=word("Content"),
        example=word("Dear Zhang San, hello"),
    )
    registering.settle(webhook=scene.webhook, actor=None, now=timezone.now())
    _set(scene.workspace.tags.get(code="nickname"), name=word("Nickname"))
    _set(scene.workspace.tags.get(code="orders"), name=word("Orders"))
    _set(scene.people[0], tags={"nickname": word("Zhang San"), "orders": 3})
    _set(scene.people[2], tags={"nickname": word("Li Si")})


def _make_records(shop: Shop) -> None:
    """Make one of everything that the set-up lists."""
    scene, now = shop.scene, timezone.now()
    home = scene.workspace
    channels = make_choice_list(home, "sms", "app", name=shop.word("Channels"))
    for value, label in (("sms", "Text message"), ("app", "App message")):
        _set(channels.choices.get(value=value), label=shop.word(label))
    member_groups.create_group(
        workspace=home, name=shop.word("Branch team"), actor=shop.administrator
    )
    members.add_member(workspace=home, email=shop.newcomer.email, actor=shop.administrator, now=now)
    api_keys.create(
        workspace=home, name=shop.word("Shop system"), scopes=[*Scope], actor=shop.administrator
    )
    MappingConflict.objects.create(
        workspace=home,
        id_type=scene.email,
        decided_by=scene.mobile,
        values=["san@example.com", "si@example.com"],
        kept=scene.people[0],
        other=scene.people[1],
        data_source=scene.source,
        detected_at=now,
    )
    Redelivery.objects.create(
        workspace=home, ordered_at=now, selection={}, total=12, done=12, finished_at=now
    )
    rules = make_audience(home, name=shop.word("Ordered twice or more"), rules=RULES)
    secret, _clear = keys.make(
        webhook=scene.webhook, kind=SecretKind.AES, actor=shop.administrator, now=now, given=""
    )
    shop.values |= {
        "slug": home.slug,
        "no slug": "nowhere",
        "new slug": "new",
        "no user": "0",
        "no key": "abc-def",
        "app": "webhooks",
        "audience": scene.audience.pk,
        "rules": rules.pk,
        "webhook": scene.webhook.pk,
        "secret": secret.pk,
        "operator": shop.operator.pk,
    }


def _make_journeys(shop: Shop) -> None:
    """A draft, and journeys that are listening, under way, paused, finished."""
    scene, word = shop.scene, shop.word
    purchase = make_purchase(scene)
    _set(purchase, name=word("Purchase"))
    thanks = "Thanks after a purchase"
    listening = scene.event_journey(purchase, name=word(thanks), steps=[_step(shop)])
    publish(shop, listening, thanks)
    scene.report(scene.people[0], "order-1001", amount=59.9)
    finished = publish(shop, _journey(shop, "Autumn greetings"), "Autumn greetings")
    send_everything()
    assert Run.objects.get(pk=finished.pk).state == "finished"
    delivery = Delivery.objects.filter(workspace=scene.workspace).first()
    assert delivery is not None
    Attempt.objects.create(
        day=delivery.day,
        webhook=scene.webhook,
        delivery_id=delivery.pk,
        message_id="msg_1",
        number=2,
        at=timezone.now(),
        outcome="answered",
        status_code=200,
    )
    Receipt.objects.create(
        webhook=scene.webhook,
        delivery_id=delivery.pk,
        code="read",
        occurred_at=timezone.now(),
        received_at=timezone.now(),
    )
    Message.objects.create(
        id="msg_1",
        chunk_id=delivery.chunk_id,
        delivery_ids=[delivery.pk],
        positions=[delivery.position],
        body=b"",
        due_at=timezone.now(),
        workspace=scene.workspace,
        webhook=scene.webhook,
        plan=delivery.plan,
        day=delivery.day,
    )
    scene.report(scene.people[1], "order-1002", amount=12)
    paused = publish(shop, _journey(shop, "Call about open baskets"), "Call about open baskets")
    make_crowd(scene, nicknames=map(word, ("Wu Hao", "Zhou Ting", "Sun Li")))
    half_way(paused)
    runs.pause(journey=paused.journey, user=scene.member, now=timezone.now())
    running = publish(shop, _journey(shop, "Coupon for the holidays"), "Coupon for the holidays")
    half_way(running)
    empty = scene.journey(name=word("Coupon gaps"), steps=[scene.config(values={})], audiences=())
    gaps = _named(shop, empty, "Coupon gaps")
    draft = _named(shop, _journey(shop, "Spring coupons"), "Spring coupons")
    _tested(scene, draft)
    shop.values |= {
        "draft": draft.pk,
        "start": draft.draft["start"]["key"],
        "step": draft.draft["steps"][0]["key"],
        "listening": listening.pk,
        "listening start": listening.draft["start"]["key"],
        "gaps": gaps.pk,
        "gaps step": gaps.draft["steps"][0]["key"],
        "paused": paused.journey.pk,
        "paused run": paused.pk,
        "running": running.journey.pk,
        "run": running.pk,
        "finished": finished.journey.pk,
        "finished run": finished.pk,
        "finished step": finished.journey.draft["steps"][0]["key"],
        "person": scene.people[0].pk,
    }


def _journey(shop: Shop, name: str) -> Journey:
    return shop.scene.journey(name=shop.word(name), steps=[_step(shop)])


def _step(shop: Shop) -> dict[str, Any]:
    return shop.scene.config(
        values={"content": shop.word("Dear ${name} Hello")},
        variables={"content": (replace(NICKNAME, default=shop.word("Customer")),)},
    )


def publish(shop: Shop, journey: Journey, name: str) -> Run:
    """Publish a while before anything is sent."""
    _named(shop, journey, name)
    return publishing.publish(
        journey=journey,
        revision=journey.draft_revision,
        user=shop.scene.member,
        now=timezone.now() - timedelta(minutes=2),
    ).run


def send_everything() -> None:
    """Do what planner and sender do, until everybody has got it."""
    runner.sweep(now=timezone.now())
    engine.drain(seconds=10)
    runner.sweep(now=timezone.now())


def _named(shop: Shop, journey: Journey, name: str) -> Journey:
    """Give a journey and its step names that a marketer would give."""
    journey.draft["steps"][0]["name"] = shop.word("Send the coupon")
    _set(journey, name=shop.word(name))
    journey.changes.filter(revision=journey.draft_revision).update(document=journey.draft)
    return journey


def _set(thing: Model, **fields: object) -> None:
    for name, value in fields.items():
        setattr(thing, name, value)
    thing.save()


def make_crowd(scene: Scene, *, nicknames: Iterable[str] = ("Chen", "Wang", "Zhao")) -> None:
    """Make a shop's customers: 93 in 100 have a mobile number, 82 in 100 a nickname."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS ("
            "  INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            "  SELECT %s, CASE WHEN n %% 100 < 82 THEN jsonb_build_object('nickname',"
            "    (%s::text[])[1 + n %% 3])"
            "    ELSE '{}' END, '{}', now() FROM generate_series(1, %s) n RETURNING qaid"
            "), inside AS ("
            "  INSERT INTO identity_audiencemember (audience_id, profile_id)"
            "  SELECT %s, qaid FROM made"
            ") INSERT INTO identity_identifier"
            "  (profile_id, id_type_id, value, data_source_id, first_seen, last_seen)"
            " SELECT qaid, %s, '139' || lpad(qaid::text, 8, '0'), %s, now(), now()"
            " FROM made WHERE qaid %% 100 < 93",
            [
                scene.workspace.pk,
                list(nicknames),
                CROWD - len(scene.people),
                scene.audience.pk,
                scene.mobile.pk,
                scene.source.pk,
            ],
        )
        cursor.execute("SELECT identity_analyze()")  # As an import does: counts take no guess.


def half_way(run: Run, *, parameter: str = "content") -> None:
    """Let three of five chunks be done: with defaults, people skipped, a few failed."""
    while run.state != "running":
        runner.sweep(now=timezone.now())
        run.refresh_from_db()
    plan = Plan.objects.get(run_id=run.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_chunk SET queued = 0, unsent = 0, dead = number %% 2,"
            " skipped = size * 7 / 100, delivered = size - size * 7 / 100 - number %% 2,"
            " tallies = jsonb_build_object('skipped:no_id', size * 7 / 100,"
            "   'dead:rejected', number %% 2, 'default:' || %s || ':name', size * 17 / 100)"
            " WHERE plan_id = %s AND number %% 5 < 3",
            [parameter, plan.pk],
        )
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now() - timedelta(seconds=41))


def _tested(scene: Scene, journey: Journey) -> None:
    """Let the step have been tested as it is."""
    step = journey.draft["steps"][0]
    TestSend.objects.create(
        workspace=scene.workspace,
        webhook=scene.webhook,
        revision=scene.webhook.revision,
        step_key=step["key"],
        fingerprint=WebhookConfig.from_json(step["config"]).fingerprint(
            scene.webhook.revisions.get(number=scene.webhook.revision)
        ),
        sent_by=scene.member,
        sent_at=timezone.now(),
        accepted=True,
        status_code=200,
        duration_ms=84,
    )
