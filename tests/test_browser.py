"""What tests rely on to hear of a page's errors."""

import pytest


@pytest.mark.parametrize(
    ("head", "word"),
    [
        ("<script>throw new Error('thrown')</script>", "thrown"),
        ("<script>setTimeout(() => { throw new Error('later') })</script>", "later"),
        ("<script>console.error('said')</script>", "said"),
        ("<link rel=stylesheet href=nowhere.css>", "nowhere.css"),
        (
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'"><script>1</script>',
            "Content Security Policy",
        ),
    ],
)
def test_errors_of_a_page_are_heard(browser, tmp_path, head, word):
    file = tmp_path / "page.html"
    file.write_text(f"<!DOCTYPE html><title>page</title>{head}<p>text")
    page = browser.open(file)
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
    (error,) = page.errors
    assert word in error


def test_a_sound_page_has_none_and_takes_clicks_at_the_asked_width(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        '<!DOCTYPE html><meta name="viewport" content="width=device-width"><title>page</title>'
        "<button onclick=\"document.body.append('clicked')\">b</button>"
    )
    page = browser.open(file, 390, 800)
    page.click("button")
    page.wait("document.body.textContent.includes('clicked')")
    assert page.errors == [] and page.evaluate("innerWidth") == 390
