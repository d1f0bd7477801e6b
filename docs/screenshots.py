"""Takes the pictures of the report and of the web page in docs/images, from the demonstration that `make train` left.

python docs/screenshots.py [outputs/quickstart]

Needs Debian's chromium and fonts-nanum.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import hfcls

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PAGES = (
    ("en", "en-US", "", "Classify", "How much each word moved"),
    ("ko", "ko-KR", ".ko", "분류하기", "낱말이 판단을 얼마나 움직였는지"),
)
TEXT = "배우는 훌륭했지만 이야기가 지루하고 시간이 아까웠어요"


def take(run: Path, images: Path) -> None:
    """Write report.png and serve.png to `images`, and the same in Korean as report.ko.png and serve.ko.png."""
    demo = hfcls.launch_demo(str(run))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for language, locale, suffix, button, told in PAGES:
            page = browser.new_page(viewport={"width": 1120, "height": 1350}, locale=locale)
            page.goto((run / "report.html").resolve().as_uri())
            page.click(f"label[for={language}]")
            curves = page.locator(".figures").first.bounding_box() or {}
            end = curves["y"] + curves["height"] + 24  # no figure is cut
            area = {"x": 0, "y": 0, "width": 1120, "height": end}
            save(page.screenshot(full_page=True, clip=area), images / f"report{suffix}.png")

            page = browser.new_page(viewport={"width": 740, "height": 545}, locale=locale)
            page.goto(demo.local_url)
            page.get_by_role("textbox").first.fill(TEXT)
            page.get_by_role("button", name=button).click()
            page.get_by_text(told).wait_for()
            page.mouse.move(0, 0)
            page.wait_for_timeout(1000)  # until the button has faded back to its colour
            save(page.screenshot(), images / f"serve{suffix}.png")
        browser.close()
    demo.close()


def save(png: bytes, path: Path) -> None:
    """With 256 colours, which is a third of the size."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart"), Path(__file__).with_name("images"))
