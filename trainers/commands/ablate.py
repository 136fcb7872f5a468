"""Command `encapnet ablate`: train all models of an ablation study, or resume an interrupted study."""

import argparse
from pathlib import Path

from ..ablation.rows import TABLES, Row, select_rows
from ..config.dataset_names import canonical_dataset_name, refuse_unread_data_dir
from ..config.flags import add_choice, add_flags
from ..config.naming import series_name
from ..config.recipes import IMAGES_RECIPE, RECIPES, default_recipe, resolve
from ..config.schema import settings
from ..runs.argument_types import integer_type, path_type
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.output_files import write_output
from ..runs.path_arguments import NEW_FILE, NEW_FOLDER
from .configuration import fit_and_print

SAFE = "Finished runs are kept; the same command finishes the others."  # after an error of the disk
OUTLASTS_TERMINAL = True
# Settings that --recipe, the rows and --seeds decide, and weights, which would fit one row's network only.
_MOST_SEEDS = 1000
_NOT_FLAGS = ("recipe", "model", "seed", "init_weights")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the `encapnet ablate` command to an argument parser."""
    parser.add_argument("--table", choices=tuple(TABLES), default="table3", help="Table to run [table3].")
    recipe_help = (
        "Recipe that the rows change. Default: digits; of labels and family fashion_mnist; of table4 and feedback each "
        "row's; images for data of your own."
    )
    add_choice(parser, "--recipe", RECIPES, help=recipe_help)
    parser.add_argument("--rows", help="Rows to run, by name or number: c,c2,d* or 1,4. Default: all.")
    parser.add_argument(
        "--seeds",
        type=integer_type("--seeds", 1, _MOST_SEEDS),
        default=1,
        help="Runs of each row, seeds 0, 1, ... [1].",
    )
    parser.add_argument(
        "--out",
        type=path_type("--out", NEW_FOLDER),
        help="Folder of the runs and the table. Default: ablations/TABLE-RECIPE.",
    )
    parser.add_argument(
        "--results", type=path_type("--results", NEW_FILE), help="Markdown file to write the table to as well."
    )
    add_flags(parser, skip=_NOT_FLAGS)


def check_arguments(args: argparse.Namespace) -> None:
    """Check the flags of `encapnet ablate` without loading data, and raise `UserError` for a mistake."""
    for row in _selected_rows(args):
        recipe = args.recipe or (IMAGES_RECIPE if default_recipe(args.dataset) == IMAGES_RECIPE else row.recipe)
        dataset = canonical_dataset_name(args.dataset or RECIPES[recipe].config.dataset)
        refuse_unread_data_dir(args.data_dir, dataset)


def _selected_rows(args) -> list[Row]:
    if args.rows is None:
        return select_rows(args.table, [])
    patterns = args.rows.split(",")
    if not all(pattern.strip() for pattern in patterns):
        raise UserError(f"--rows={args.rows}: a row has no name. Expected names or numbers such as c,c2,d* or 1,4.")
    return select_rows(args.table, patterns)


def main(args: argparse.Namespace) -> None:
    """Run `encapnet ablate`: train all models of an ablation study and write a table of the test errors.

    Raises:
        UserError: a flag is refused, or runs failed.
    """
    from ..ablation import table
    from ..ablation.run import plan_runs, run_all

    rows = _selected_rows(args)
    values = {setting.name: getattr(args, setting.name, None) for setting in settings()}
    flags = {name: value for name, value in values.items() if value is not None and name not in _NOT_FLAGS}
    recipe = args.recipe or (IMAGES_RECIPE if default_recipe(args.dataset) == IMAGES_RECIPE else None)
    base = None
    if recipe == IMAGES_RECIPE:  # chosen once, so that the rows differ in their own settings only
        base = fit_and_print(resolve(recipe, flags), set(flags))
    name = series_name(base) if base else recipe or ("each" if args.table == "table4" else rows[0].recipe)
    out = Path(args.out or f"ablations/{args.table}-{name}")
    runs = plan_runs(rows, recipe, flags, args.seeds, base)
    failures = run_all(runs, out, lambda: _write_table(args.table, out, args.results))
    file = _write_table(args.table, out, args.results)
    print(f"\n{table.format_results(TABLES[args.table], out, chosen=rows)}\ntable:   {file}")
    if failures:
        raise UserError(f"{failures} of {counted(len(runs), 'run')} failed; the table says why.", status=1)


def _write_table(name, out, copy) -> Path:
    """Write the results table of an ablation study, and return the path of the Markdown file.

    The Markdown file is also copied to the path `copy`, unless it is None.
    """
    from ..ablation import table

    file = table.write(TABLES[name], out)
    if copy:
        write_output(copy, file.read_bytes())
    return file
