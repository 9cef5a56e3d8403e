"""The Jinja environment of every page: one way to escape, one way to fail, one way to print a number."""

from pipeline.quality.measures import short, view_title


def environment(package: str):
    """Templates beside the modules of ``package``.

    Text is escaped, but for JSON, Markdown and plain text, and a name that is not given is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader(package, "."),
        autoescape=lambda name: not name.endswith((".json.j2", ".md.j2", ".txt.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"short": short, "view_title": view_title}
    return templates
