"""What the gallery's mock pages show: the example of the original's manual."""

from typing import Any

from django import forms


class StepForm(forms.Form):
    name = forms.CharField(label="Step name", max_length=200)
    webhook = forms.ChoiceField(
        label="Webhook",
        choices=[("1", "CRM coupons"), ("2", "Call centre")],
        help_text="You may use 3 of 7 webhooks. Ask Wang Lei for the others.",
    )
    character = forms.CharField(
        label="Parameter 1 character", help_text="Sends “Discount activity at abc”."
    )
    content = forms.CharField(
        label="Greeting",
        widget=forms.Textarea(attrs={"rows": 1, "data-variables": ""}),
    )
    amount = forms.IntegerField(label="Amount", help_text="From 1 to 500.")
    until = forms.DateField(
        label="Valid until", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    encryption = forms.ChoiceField(
        label="Encryption", choices=[("", "None"), ("sha256", "SHA-256")], required=False
    )


class VariableForm(forms.Form):
    variable = forms.CharField(label="Variable name", help_text="Stands in the text as ${name}.")
    default = forms.CharField(label="Default value")


class TestForm(forms.Form):
    id_type = forms.ChoiceField(label="ID type", choices=[("1", "Mobile number")])
    test_id = forms.CharField(label="Test ID")
    variable = forms.CharField(
        label="Value for ${name}", help_text="Nickname of the person with this number."
    )


class PublishForm(forms.Form):
    confirm = forms.CharField(
        label="Type the number of people to confirm",
        help_text="This workspace asks for it above 10,000 people.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )


class PartsForm(forms.Form):
    text = forms.CharField(label="Short text", help_text="The same for everyone.")
    number = forms.IntegerField(label="Number", required=False)
    choice = forms.ChoiceField(label="Choice", choices=[("1", "Ten per cent")])
    note = forms.CharField(label="Text", widget=forms.Textarea(attrs={"rows": 3}))
    flag = forms.BooleanField(label="Carry environment parameters", required=False)
    kinds = forms.MultipleChoiceField(
        label="ID types",
        choices=[("1", "Mobile number"), ("2", "E-mail address")],
        widget=forms.CheckboxSelectMultiple,
    )


class LogInForm(forms.Form):
    login = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autofocus": True}))
    password = forms.CharField(label="Password", widget=forms.PasswordInput)


STEP = {
    "name": "Coupon for members",
    "webhook": "1",
    "character": "abc",
    "content": "Dear ${name} Hello",
    "amount": "20",
    "until": "2026-12-31",
}
REQUEST = """POST /marketing HTTP/1.1
webhook-id: msg_2JqW8mN4
webhook-signature: v1,••••••••
content-type: application/json

{"type": "webhook.message", "test": true, "id_type": "MOBILE",
 "recipients": [{"id": "138****0000",
  "params": {"content": "Dear Zhang San Hello", "amount": 20}}]}"""
ANSWER = """HTTP/1.1 200 OK
content-type: application/json

{"ok": true}"""
VERDICTS: dict[str, dict[str, Any]] = {
    "accepted": {
        "icon": "circle-check",
        "tone": "green",
        "title": "CRM coupons accepted the test",
        "text": "200, 84 ms. Check that it shows the request and that 138****0000 got the message.",
    },
    "failed": {
        "icon": "circle-x",
        "tone": "red",
        "title": "CRM coupons did not accept the test",
        "text": "It answered 401. The signature does not match on its side. "
        "Ask Wang Lei, who registered it, to compare the key.",
    },
}


def frame(language: str) -> dict[str, Any]:
    chinese = language == "zh-hans"
    words = (
        ["旅程", "用户", "目标人群", "行为事件", "发送记录", "设置"]
        if chinese
        else ["Journeys", "People", "Audiences", "Events", "Deliveries", "Set-up"]
    )
    icons = ["route", "user", "users-group", "bolt", "send", "settings"]
    name = "会员营销" if chinese else "Member marketing"
    organization = "湖畔零售" if chinese else "Lakeside Retail"
    return {
        "nav": [
            {"label": word, "icon": icon, "url": f"/{icon}/", "current": icon == "route"}
            for word, icon in zip(words, icons, strict=True)
        ],
        "workspace": {"name": name, "organization": organization, "time_zone": "Asia/Shanghai"},
        "workspaces": [
            {"name": name, "organization": organization, "url": "/w/a/", "current": True},
            {
                "name": "网上商城" if chinese else "Online shop",
                "organization": organization,
                "url": "/w/b/",
                "current": False,
            },
        ],
        "admin_url": "/admin/",
        "notices_url": "/notices/",
        "unread": 3,
        "person": {"name": "张伟" if chinese else "Zhang Wei", "email": "zhang.wei@example.com"},
        "profile_url": "/profile/",
        "logout_url": "/logout/",
        "language_url": "/language/",
        "languages": [
            {"code": "en", "name": "English", "current": not chinese},
            {"code": "zh-hans", "name": "简体中文", "current": chinese},
        ],
        "stopped": None,
    }


def nodes(*, selected: str = "", numbers: bool = False) -> list[dict[str, Any]]:
    counts = [
        {"kind": "waiting", "word": "waiting", "value": "6,716"},
        {"kind": "accepted", "word": "accepted", "value": "15,192"},
        {"kind": "failed", "word": "failed", "value": "12"},
        {"kind": "skipped", "word": "skipped", "value": "1,650"},
    ]
    rows: list[dict[str, Any]] = [
        {
            "key": "start",
            "kind": "start",
            "icon": "users-group",
            "name": "Target audience",
            "summary": "Members with a purchase · 23,570 people",
            "fixed": True,
        },
        {
            "key": "coupon",
            "kind": "webhook",
            "icon": "webhook",
            "name": "Coupon for members",
            "summary": "CRM coupons · Mobile number",
            "numbers": counts if numbers else [],
        },
        {
            "key": "call",
            "kind": "webhook",
            "icon": "webhook",
            "name": "A call for everybody who has not come back to the shop since the spring",
            "gaps": "2 things missing",
        },
        {
            "key": "end",
            "kind": "end",
            "icon": "flag",
            "name": "End",
            "summary": "The journey is over here",
            "fixed": True,
        },
    ]
    top = 0
    for row in rows:
        row |= {"x": 0, "y": top, "height": 88 if row.get("numbers") else 64}
        row["selected"] = row["key"] == selected
        top += row["height"] + 48
    return rows


def canvas(*, selected: str = "", numbers: bool = False) -> dict[str, Any]:
    steps = nodes(selected=selected, numbers=numbers)
    ends = [step["y"] + step["height"] for step in steps]
    pairs = list(zip(steps[:-1], ends[:-1], strict=True))
    return {
        "nodes": steps,
        "edges": [f"M120 {end} V{end + 48}" for _, end in pairs],
        "adds": [
            {"key": step["key"], "name": step["name"], "x": 108, "y": end + 12}
            for step, end in pairs
        ],
        "width": 240,
        "height": ends[-1],
    }


def branches() -> dict[str, Any]:
    """A judge with two branches, 32 apart, that meet again."""
    steps = nodes()[:1]
    steps[0]["x"] = 136
    judge = {"key": "judge", "kind": "judge", "icon": "git-branch", "name": "Is the city known?"}
    left = {"key": "left", "kind": "webhook", "icon": "webhook", "name": "Local coupon"}
    right = {"key": "right", "kind": "webhook", "icon": "webhook", "name": "General coupon"}
    end = {"key": "end", "kind": "end", "icon": "flag", "name": "End", "fixed": True}
    for step, x, y in ((judge, 136, 112), (left, 0, 240), (right, 272, 240), (end, 136, 368)):
        step |= {"x": x, "y": y, "height": 64, "summary": "CRM coupons · Mobile number"}
        steps.append(step)
    return {
        "nodes": steps,
        "edges": [
            "M256 64 V112",
            "M256 176 V184 a8 8 0 0 1 -8 8 H128 a8 8 0 0 0 -8 8 V240",
            "M256 176 V184 a8 8 0 0 0 8 8 H384 a8 8 0 0 1 8 8 V240",
            "M120 304 V328 a8 8 0 0 0 8 8 H248 a8 8 0 0 1 8 8 V368",
            "M392 304 V328 a8 8 0 0 1 -8 8 H264 a8 8 0 0 0 -8 8 V368",
        ],
        "labels": [
            {"x": 60, "y": 198, "text": "Yes"},
            {"x": 332, "y": 198, "text": "Everyone else"},
        ],
        "adds": [{"key": "start", "name": "Target audience", "x": 244, "y": 76}],
        "width": 512,
        "height": 432,
    }


# name; state and its tone; start; webhooks; people; accepted
ROWS = [
    ("Spring coupons", "In progress", "accent", "3 Nov, 10:42", "CRM coupons", 23570, "99.9%"),
    ("Welcome to the shop", "In progress", "accent", "purchase", "CRM coupons", 1204, "98.2%"),
    ("双十一会员券", "Not started", "open", "11 Nov, 00:00", "CRM coupons, Calls", None, ""),
    ("Winter sale", "Draft", "open", "–", "–", None, ""),
    ("Birthday call", "Paused", "amber", "1 Oct, 09:00", "Calls", 8412, "96.0%"),
    ("Autumn coupons", "Finished", "green", "12 Sep, 10:00", "CRM coupons", 1000000, "97.5%"),
    ("Points expire", "Ended abnormally", "red", "2 Sep, 10:00", "Points", 310, "12.3%"),
]


def context(name: str) -> dict[str, Any]:
    """The context of a mock page by its name."""
    step = {"form": StepForm(initial=STEP, auto_id="id_%s"), "node": {"key": "coupon"}}
    test = {"id_type": "1", "test_id": "13800000000", "variable": "Zhang San"}
    keys = ["name", "word", "tone", "start", "webhooks", "people", "accepted"]
    contexts: dict[str, dict[str, Any]] = {
        "journeys": {
            "rows": [
                dict(zip(keys, row, strict=True)) | {"url": "#", "changed": "3 Nov, Li Mei"}
                for row in ROWS
            ],
            "sort": "-people",
        },
        "editor": canvas() | {"journey": "Spring coupons"},
        "variable": {
            "form": VariableForm(
                initial={"variable": "name", "default": "Member"}, auto_id="id_variable_%s"
            )
        },
        "test_send": {"form": TestForm(initial=test, auto_id="id_test_%s")},
        "publish": {"form": PublishForm(auto_id="id_publish_%s")},
        "parts": {"form": PartsForm({"text": "", "number": "x", "choice": "1", "note": "Hello"})},
        "login": {"form": LogInForm()},
        "panel": step,
    }
    return contexts.get(name, {})
