"""Opens pages of pictures in headless Chromium, in light, dark and print, wide and narrow.

    chromium.py [--screenshots FOLDER] PAGE.html ...
"""

import argparse
import itertools
import json
import pathlib
import re
import sys
import unittest

from browser import Browser, program

IDS = ["loss", "errors", "map", "confusion", "bias"]
PAGES, SCREENSHOTS = [], None

# As seen: (name, width in pixels, preferred scheme, media).
VIEWS = [
    ("light", 1280, "light", "screen"), ("dark", 1280, "dark", "screen"), ("print", 700, "dark", "print"),
    ("narrow", 390, "light", "screen"),
]  # fmt: skip

MEASURE = """(() => {
  const box = element => { const r = element.getBoundingClientRect(); return [r.left, r.top + scrollY, r.right, r.bottom + scrollY]; };
  const figures = {};
  for (const id of %s) {
    const found = document.querySelectorAll('#' + id);
    const svg = found[0] && found[0].querySelector('svg');
    figures[id] = {
      n: found.length, missing: found[0] ? found[0].classList.contains('missing') : null, box: found[0] && box(found[0]),
      svg: svg && box(svg), marks: svg ? svg.querySelectorAll('rect, circle, polyline').length : 0,
      names: svg ? svg.querySelectorAll('text.name').length : 0,
      texts: svg ? [...svg.querySelectorAll('text')].map(t => [t.lastChild && t.lastChild.data || '', ...box(t)]) : [],
    };
  }
  const paper = getComputedStyle(document.documentElement).getPropertyValue('--paper').trim();
  return { figures, paper, width: document.documentElement.scrollWidth, inner: innerWidth };
})()""" % json.dumps(IDS)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser())

    def each(self, check):
        """Checks every page in every view, by what was measured of it."""
        for page, (name, width, scheme, media) in itertools.product(PAGES, VIEWS):
            with self.subTest(page=page.name, view=name):
                self.browser.open(page, width=width, scheme=scheme, media=media)
                check(page, name, self.browser.evaluate(MEASURE))

    def test_every_picture_is_there_and_within_the_page(self):
        def check(page, view, found):
            if SCREENSHOTS is not None:
                self.browser.screenshot(SCREENSHOTS / f"{page.stem}-{view}.png")
            for name, figure in found["figures"].items():
                self.assertEqual(figure["n"], 1, name)
                left, top, right, bottom = figure["box"]
                self.assertTrue(0 <= left < right <= found["inner"] and 0 <= top < bottom, f"{name}: {figure['box']}")
                if not figure["missing"]:
                    left, top, right, bottom = figure["svg"]
                    self.assertGreater(min(right - left, bottom - top), 100, name)
                    self.assertGreater(figure["marks"], 0, name)
                    self.assertGreater(len(figure["texts"]), 3, name)
            self.assertFalse(all(figure["missing"] for figure in found["figures"].values()), "no picture at all")
            self.assertLessEqual(found["width"], found["inner"], "wider than the window")

        self.each(check)

    def test_texts_lie_in_their_pictures(self):
        def check(_page, _view, found):
            for name, figure in found["figures"].items():
                for text, left, top, right, bottom in figure["texts"]:
                    inside = figure["svg"][0] - 1 <= left and right <= figure["svg"][2] + 1
                    inside &= figure["svg"][1] - 1 <= top and bottom <= figure["svg"][3] + 1
                    self.assertTrue(inside, f"{name}: {text!r} at {left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}")

        self.each(check)

    def test_no_text_overlaps_another(self):
        def check(_page, _view, found):
            for name, figure in found["figures"].items():
                for one, other in itertools.combinations([text for text in figure["texts"] if text[0].strip()], 2):
                    across = min(one[3], other[3]) - max(one[1], other[1])
                    down = min(one[4], other[4]) - max(one[2], other[2])
                    self.assertFalse(across > 0.5 and down > 0.5, f"{name}: {one} over {other}")
            if not found["figures"]["map"]["missing"]:
                self.assertGreater(found["figures"]["map"]["names"], 0, "no names in the map")

        self.each(check)

    def test_nothing_is_reported_and_nothing_fetched(self):
        def check(page, _view, _found):
            methods = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
            self.assertEqual([event for event in self.browser.events if event.get("method") in methods], [])
            sent = [event for event in self.browser.events if event.get("method") == "Network.requestWillBeSent"]
            urls = {event["params"]["request"]["url"] for event in sent} - {"data:,"}
            self.assertEqual(urls, {page.resolve().as_uri()})

        self.each(check)

    def test_dark_is_dark_and_print_is_light(self):
        def check(_page, view, found):
            self.assertRegex(found["paper"], "^#[0-9a-f]{6}$")
            self.assertEqual(int(found["paper"][1:3], 16) < 128, view == "dark", found["paper"])

        self.each(check)

    def test_no_picture_is_torn_by_the_end_of_a_page(self):
        # A4 without its margins, in pixels of 1/96 inch.
        height = (297 - 28) / 25.4 * 96

        def check(page, view, found):
            if view != "print":
                return
            for name, figure in found["figures"].items():
                self.assertLess(figure["box"][3] - figure["box"][1], height, name)
            printed = self.browser.pdf()
            if SCREENSHOTS is not None:
                (SCREENSHOTS / f"{page.stem}.pdf").write_bytes(printed)
            self.assertTrue(printed.startswith(b"%PDF-"))
            self.assertIn(len(re.findall(rb"/Type ?/Page\b", printed)), range(1, 9))

        self.each(check)


def main():
    global SCREENSHOTS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", type=pathlib.Path, help="keep what was seen in this folder")
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    missing = [str(page) for page in arguments.pages if not page.is_file()]
    if missing:
        sys.exit(f"chromium.py: no such file: {', '.join(missing)}")
    try:
        program()
    except FileNotFoundError as error:
        sys.exit(f"chromium.py: {error}")
    PAGES.extend(arguments.pages)
    SCREENSHOTS = arguments.screenshots
    if SCREENSHOTS is not None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
