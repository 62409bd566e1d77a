"""The demo's invented part: nicknames, mobile numbers, e-mail addresses; the same every time."""

from hashlib import blake2b

NICKNAME_FILL, MOBILE_FILL, EMAIL_FILL = 82, 93, 71  # Per cent.

_NICKNAMES = [
    "Zhang San",
    "Li Mei",
    "Wang Lei",
    "Chen Jie",
    "Liu Yang",
    "Zhao Min",
    "Sun Li",
    "Zhou Tao",
    "Wu Xia",
    "Xu Wei",
    "Ana",
    "Bram",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaya",
    "Lars",
    "Mina",
    "Noor",
    "Olga",
    "Pablo",
    "Quentin",
    "Rosa",
    "Sven",
    "Tara",
    "Uma",
    "Viktor",
    "Wilma",
    "Xenia",
    "Yusuf",
    "Zoe",
    "李娜",
    "王芳",
    "张伟",
    "刘洋",
    "陈静",
    "杨帆",
]


def _number(customer_id: str, what: str) -> int:
    return int.from_bytes(blake2b(f"{what}:{customer_id}".encode(), digest_size=6).digest(), "big")


def nickname(customer_id: str) -> str | None:
    """Return an invented nickname; 82 in 100 have one."""
    number = _number(customer_id, "nickname")
    return _NICKNAMES[number // 100 % len(_NICKNAMES)] if number % 100 < NICKNAME_FILL else None


def mobile(customer_id: str) -> str | None:
    """Return a mobile number out of a range that is given to nobody; 93 in 100 have one.

    Unique, since the customer's own number is its tail.
    """
    if _number(customer_id, "mobile") % 100 >= MOBILE_FILL:
        return None
    return f"19900{int(customer_id):06d}"


def email(customer_id: str) -> str | None:
    """Return an address below example.com; 71 in 100 have one."""
    if _number(customer_id, "email") % 100 >= EMAIL_FILL:
        return None
    return f"customer{int(customer_id)}@example.com"
