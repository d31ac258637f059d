"""What the command writes into the page."""

import pytest

from kdiffusion.web.site import PAGE, PROJECT, project_link


@pytest.mark.parametrize(
    ("urls", "link"),
    [
        ("", ""),
        (
            "Project-URL: Source, https://example.org/?a&b\nProject-URL: Docs, https://example.com\n",
            ' <a href="https://example.org/?a&amp;b">kdiffusion</a>',
        ),
    ],
)
def test_the_footer_links_to_the_project_if_the_package_names_a_url(
    tmp_path, monkeypatch, urls, link
):
    installed = tmp_path / "kdiffusion_keras-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kdiffusion-keras\n{urls}")
    monkeypatch.syspath_prepend(tmp_path)
    assert project_link() == link
    assert (PAGE / "index.html").read_text(encoding="utf-8").count(PROJECT) == 1
