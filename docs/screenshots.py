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
TEXT = "배우는 훌륭했지만 이야기가 지루하고 시간이 아까웠어요"


def take(run: Path, images: Path) -> None:
    """Write report.png, report.ko.png and serve.png to `images`."""
    demo = hfcls.launch_demo(str(run))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1120, "height": 1350}, locale="en-US")
        page.goto((run / "report.html").resolve().as_uri())
        for language, name in (("ko", "report.ko.png"), ("en", "report.png")):
            page.click(f"label[for={language}]")
            save(page.screenshot(), images / name)

        page = browser.new_page(viewport={"width": 740, "height": 625}, locale="en-US")
        page.goto(demo.local_url)
        page.get_by_role("textbox").first.fill(TEXT)
        page.get_by_role("button", name="Classify").click()
        page.get_by_text("How much each word moved").wait_for()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)  # until the button has faded back to its colour
        save(page.screenshot(), images / "serve.png")
        browser.close()
    demo.close()


def save(png: bytes, path: Path) -> None:
    """With 256 colours, which is a third of the size."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart"), Path(__file__).with_name("images"))
