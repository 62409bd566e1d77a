"""The page of ``make screens`` shows each picture once, beside the others of its screen."""

from tests.browser.screens import index


def test_pictures_of_a_screen_stand_together() -> None:
    page = index(
        [
            "run_paused_390_dark_zh-hans.png",
            "run_paused_1280_light_en.png",
            "error_404_1280_dark_en.png",
            "note.txt",
        ]
    )

    assert page.count("<section") == 2
    assert page.count('loading="lazy"') == 3
    paused = page[page.index('<section id="run_paused"') :]
    assert "run_paused_1280_light_en.png" in paused
    assert "run_paused_390_dark_zh-hans.png" in paused
    assert "404" not in paused
    assert "note.txt" not in page
