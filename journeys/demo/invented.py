"""The demo's invented part: nicknames, numbers, addresses, birthdays; the same every time."""

from hashlib import blake2b

NICKNAME_FILL, MOBILE_FILL, EMAIL_FILL, GENRE_FILL = 82, 93, 71, 60  # Per cent.

_GENRES = ["Classical", "Folk", "Hip-hop", "Jazz", "Pop", "Rock"]

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


def birthday_month(customer_id: str) -> int:
    """Return the month of birth, 1 to 12, as told by whoever joined the club."""
    return _number(customer_id, "birthday") % 12 + 1


def genre(customer_id: str) -> str | None:
    """Return the music somebody likes best; 60 in 100 told it when they joined the club."""
    number = _number(customer_id, "genre")
    return _GENRES[number // 100 % len(_GENRES)] if number % 100 < GENRE_FILL else None
