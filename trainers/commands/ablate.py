"""`encapnet ablate`: the rows of one of the paper's tables, run one after another; goes on where it stopped."""

from pathlib import Path

from ..ablation import table as ablation_table
from ..ablation.rows import TABLES, chosen
from ..ablation.run import plan, run_all
from ..config.flags import add_flags
from ..config.recipes import RECIPES
from ..config.schema import settings
from ..runs.errors import UserError

_OWN = ("recipe", "model", "seed")  # settings that the rows and --seeds decide


def add_arguments(parser):
    parser.add_argument("--table", choices=tuple(TABLES), default="table3", help="Table to run [table3].")
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="Recipe that the rows change. Default: digits; of labels fashion_mnist; of table4 each row's.",
    )
    parser.add_argument("--rows", default="", help="Rows to run: c,c2,d* for example. Default: all.")
    parser.add_argument("--seeds", type=int, default=1, help="Runs of each row, seeds 0, 1, ... [1].")
    parser.add_argument("--out", help="Folder of the runs and the table. Default: ablations/TABLE-RECIPE.")
    parser.add_argument("--results", help="Markdown file to write the table to as well.")
    add_flags(parser, skip=_OWN)


def main(args):
    """The verb: runs what is missing, writes the table after every run, and says what failed."""
    if args.seeds < 1:
        raise UserError(f"--seeds={args.seeds}: expected at least 1.")
    rows = chosen(args.table, [pattern for pattern in args.rows.split(",") if pattern])
    given = {setting.name: getattr(args, setting.name, None) for setting in settings() if setting.name not in _OWN}
    flags = {name: value for name, value in given.items() if value is not None}
    recipe = args.recipe or ("each" if args.table == "table4" else rows[0].recipe)
    out = Path(args.out or f"ablations/{args.table}-{recipe}")
    planned = plan(rows, args.recipe, flags, args.seeds)
    failures = run_all(planned, out, lambda: _write(args.table, out, args.results))
    table = _write(args.table, out, args.results)
    print(f"\n{table.read_text(encoding='utf-8')}\ntable:   {table}")
    if failures:
        raise UserError(f"{failures} of {len(planned)} runs failed; the table says why.", status=1)


def _write(table, out, results) -> Path:
    file = ablation_table.write(TABLES[table], out)
    if results:
        try:
            Path(results).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--results={results} cannot be written: {error.strerror}.") from None
    return file
