import pytest

from moonas.report.theme import NEUTRAL, PALETTE, SCHEMES, css_variables, method_styles


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2.1 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_runs_from_one_to_twenty_one():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("background", ["page", "surface"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(scheme, background):
    colours = SCHEMES[scheme]
    assert {
        name for name in ("ink", "muted", "accent", "good", "bad") if contrast(colours[name], colours[background]) < 4.5
    } == set()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("background", ["page", "surface"])
def test_graphics_have_a_contrast_of_at_least_three_in_both_schemes(scheme, background):
    assert {colour for colour in (*PALETTE, NEUTRAL) if contrast(colour, SCHEMES[scheme][background]) < 3} == set()


def test_methods_differ_in_colour_or_symbol():
    names = [f"method-{i}" for i in range(56)]
    assert len(set(method_styles(names).values())) == 56


def test_the_page_gets_every_colour_of_both_schemes():
    light, dark = css_variables().split("@media (prefers-color-scheme: dark)")
    for part, scheme in ((light, "light"), (dark, "dark")):
        assert all(f"--{name}:{colour};" in part for name, colour in SCHEMES[scheme].items())
