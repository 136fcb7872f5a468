"""Functions that write and read Markdown tables."""


def table(header, rows) -> str:
    """Format a header and rows as a Markdown table, with thousands separators in integers.

    Args:
        header: names of the columns.
        rows: sequences of cells.
    """
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def read(text: str, first_column: str) -> list[dict[str, str]]:
    """Parse a Markdown table, and return one dictionary per row with the column names as keys.

    Args:
        text: text of a page.
        first_column: name of the first column, which selects the table.

    Raises:
        ValueError: there is no such table.
    """
    lines = [line.strip() for line in text.splitlines()]
    for i, line in enumerate(lines):
        if line.startswith("|") and _cells(line)[0] == first_column:
            body = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                body.append(dict(zip(_cells(line), _cells(row), strict=True)))
            return body
    raise ValueError(f"There is no table whose first column is {first_column!r}.")


def _cells(line) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
