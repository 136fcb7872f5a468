"""`encapnet train`: train one model, then print its accuracy and the next command."""

import shlex

from ..config import flags
from ..config.flags import add_flags
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


def add_arguments(parser):
    flags.add_arguments(parser)
    parser.add_argument("--run_dir", help="Folder to make for the run. Default: runs/RECIPE/TIME.")
    parser.add_argument("--resume", metavar="RUN", help="Folder of a run that was cut off, to go on with.")
    add_flags(parser, skip=("recipe",))


def main(args):
    """The verb: resolves the configuration, trains, prints the result and what to type next."""
    from ..fitting.train import train

    if args.resume is None:
        done = train(flags.configuration(args), args.run_dir)
    else:
        from ..fitting import resume

        if args.run_dir is not None:
            raise UserError("--resume goes on in the run's own folder: leave --run_dir out.")
        unfinished = RunDirectory.unfinished(args.resume)
        recipe, given = flags.recipe_and_settings(args)
        done = train(resume.configuration(unfinished, recipe, given), resume=unfinished)
    if done is None:
        return
    run, summary = done
    print(
        f"\ntest accuracy {summary['test_accuracy']:.2%} ({summary['test_errors']} errors in "
        f"{summary['test_images']} images), validation accuracy {summary['validation_accuracy']:.2%}, "
        f"trained in {summary['train_seconds']:.0f} s\n"
        f"report:  {run.file(RunDirectory.report_file)}\n"
        f"next:    encapnet evaluate {shlex.quote(str(run.path))}"
    )
