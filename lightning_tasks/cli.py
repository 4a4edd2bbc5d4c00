"""LightningCLI wiring: links, defaults, verbs, and where a run's files go. No logic of the tasks."""

import contextlib
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only

from lightning_tasks import run_folders, yaml_text
from lightning_tasks.callbacks import FineTune, LastCheckpoint, LRFinder, StepSeed
from lightning_tasks.callbacks.checkpoint_places import CheckpointPlaces, require_apart_and_inside
from lightning_tasks.callbacks.end_of_fit import EndOfFit
from lightning_tasks.callbacks.epoch_table import EpochTable, SkippedImages, StartLine
from lightning_tasks.callbacks.finite_loss import FiniteLoss, FinitePredictions
from lightning_tasks.callbacks.last_checkpoint import logged_steps
from lightning_tasks.callbacks.stop_signals import StopSignals
from lightning_tasks.callbacks.tensorboard import BatchFigure, HyperParameters, ResultsFigure
from lightning_tasks.checkpoint import AtomicCheckpointIO, read_checkpoint
from lightning_tasks.command_line.arguments import with_config_files, with_expanded_paths, with_implied_numbers
from lightning_tasks.command_line.foreign_messages import missing_config, quieten, translate_foreign_errors
from lightning_tasks.command_line.run_settings import SavedConfig, check_trainer, choose_checkpoints, make_data
from lightning_tasks.command_line.stored_settings import doubt_weights, keep_split, with_checkpoint_settings
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.devices import default_precision, keep_freed_memory, mistake_with_devices
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.filesystem import is_file
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.renamed_options import with_new_names
from lightning_tasks.reports.drawing import Drawing
from lightning_tasks.reports.terminal import terminal_callbacks
from lightning_tasks.run_options import add_run_options, add_seed
from lightning_tasks.tasks.registry import find_task, names_keys
from lightning_tasks.trainer import Trainer, options_of
from lightning_tasks.training.run_paths import last_checkpoint
from lightning_tasks.verbs.table import OF_THE_TRAINER, VERBS, Kind, verbs_of

_FROM_CHECKPOINT = verbs_of(Kind.CHECKPOINT)
_WITHOUT_MODEL = verbs_of(Kind.DATA)
_WORDS_FOR_CHECKPOINTS = ("last", "hpc")  # the run's own last one; SLURM's


def main(args: list[str] | None = None) -> None:
    """Run one verb.

    Raises:
        LightningTasksError: a mistake of the user's, for the console script to print.
        SystemExit: with 2, after a message, for arguments that cannot be parsed; see also `StopSignals`.
        KeyboardInterrupt: Ctrl-C, where no training had to be saved.
    """
    with translate_foreign_errors():
        given = with_config_files(sys.argv[1:] if args is None else args)
        if given[0] in _FROM_CHECKPOINT:
            given = with_checkpoint_settings(with_implied_numbers(given))
        TaskCLI(with_new_names(given))


class _Parser(LightningArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what to do: about text that YAML takes for something else, and about configs that are not complete."""
        super().error(message + yaml_text.way_out(message) + missing_config(message), ex)


class TaskCLI(LightningCLI):
    """LightningCLI for any task and data module, with the run's folder, callbacks and links set up."""

    def __init__(self, args: list[str], folder: Path | None = None) -> None:
        self._folder = folder  # of the run, which is resumed where it has begun; None: the next of its name
        yaml_text.use_for_configs()
        self._verb = args[0] if args else None
        self._end_of_fit = EndOfFit()
        self._resumed: Path | None = None  # the folder of the run that is resumed
        quieten(self._verb)
        super().__init__(
            model_class=LightningModule,
            datamodule_class=LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=Trainer,
            trainer_defaults={"num_sanity_val_steps": 0, "use_distributed_sampler": False, "log_every_n_steps": 10},
            auto_configure_optimizers=False,
            save_config_callback=SavedConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=_Parser,
            args=args,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Take whole numbers alone as seed: data and splits are drawn from it too."""
        add_seed(parser)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning asks instances alone
        """The verbs of a run, and which of their parameters the command line does not set.

        Only the verb in hand where it is one: a parser for each takes longer than all the rest of reading a config.
        """
        lightnings = LightningCLI.subcommands()
        methods = (verb.name for verb in VERBS if verb.kind in OF_THE_TRAINER)
        verbs = {name: lightnings.get(name, {"model", "datamodule"}) for name in methods}
        return {self._verb: verbs[self._verb]} if self._verb in verbs else verbs

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Ask for no model where none is used; a config may have one."""
        if self._verb not in _WITHOUT_MODEL:
            super().add_core_arguments_to_parser(parser)
            return
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True, required=False)
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's folder and checkpoints, and let model and data agree."""
        add_run_options(parser)
        for name in (*names_keys(), "image_size"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse `args` without Lightning's warning that sys.argv differs."""
        assert isinstance(args, list)
        try:
            self.config = parser.parse_args(args)
        except UnicodeDecodeError as error:
            raise ConfigError(f"A config is not text in UTF-8 ({error}). Write it again as YAML.") from error

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning's own lets the checkpoint beat the command line; see `with_checkpoint_settings`."""

    def before_instantiate_classes(self) -> None:
        """Check the checkpoint's path, choose what depends on the device, and expand paths."""
        config = self.config[self.subcommand]
        if self.subcommand in ("validate", "test") and config.ckpt_path is None:
            started = ", but for model.weights" * bool(config.model.get("init_args", {}).get("weights"))
            told = f"No checkpoint is given: these are scores of a model that is not trained{started}."
            warnings.warn(f"{told} {self.subcommand} best.ckpt", LightningTasksWarning, stacklevel=2)
        choose_checkpoints(config)
        trainer = config.trainer
        check_trainer(vars(trainer))
        if trainer.precision is None:
            trainer.precision = default_precision(trainer.accelerator)
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision("high")  # the little that mixed precision leaves in float32
        else:
            keep_freed_memory()
        self._written, self.config = self.config, self.config.clone()
        vars(self.config[self.subcommand]).update(with_expanded_paths(vars(config)))
        for option in options_of(str(self.subcommand)):  # a run's config is one that `fit` takes
            self._written[self.subcommand].pop(option, None)
        if self.subcommand == "fit":
            self._find_checkpoint()

    def _find_checkpoint(self) -> None:
        """Find the run that is to be resumed, if one is, and read the checkpoint that the training starts from."""
        config = self.config.fit
        if self._folder is not None:
            self._resumed = self._folder if is_file(last_checkpoint(self._folder)) else None
        elif not config.trainer.fast_dev_run:
            self._resumed = run_folders.requeued_run_folder(*self._runs())
            if self._resumed is None and config.ckpt_path == "last":
                self._resumed = run_folders.last_run_folder(*self._runs())
        if self._resumed is not None:
            config.ckpt_path = str(last_checkpoint(self._resumed))
        if config.ckpt_path in (None, *_WORDS_FOR_CHECKPOINTS):
            return
        found = read_checkpoint(Path(config.ckpt_path))  # or Lightning would fail later, with a traceback
        stored = found.get("hyper_parameters", {}).get("architecture")
        if stored is not None and "architecture" in config.model.get("init_args", {}):
            config.model.init_args.architecture = stored  # so that neither hub nor folder is asked
        keep_split(found, config.data, self._written.fit.data)

    def _runs(self) -> tuple[Path, str]:
        """Return the folder of all runs, and the name of this one's in it."""
        config = self.config[self.subcommand]
        return Path(config.runs_dir), config.run_name or run_folders.run_name(config.data.class_path)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the verb, and say what to do where a device does not suffice."""
        try:
            super()._run_subcommand(subcommand)
        except (MemoryError, RuntimeError) as error:
            if (told := mistake_with_devices(error, self.datamodule)) is not None:
                raise told from error
            raise

    def instantiate_classes(self) -> None:
        """Make data, model and trainer; the data alone where no model is needed: it would need data that may not be."""
        config = self.config[self.subcommand]
        if self.subcommand not in _WITHOUT_MODEL:
            with weights_follow() if config.get("ckpt_path") is not None else contextlib.nullcontext():
                super().instantiate_classes()
            if self.subcommand in ("fit", "probe") and config.get("ckpt_path") is None:
                doubt_weights(config.model, self.datamodule)
            return
        self.datamodule = make_data(config.data)
        self.model = None
        self.trainer = Trainer(logger=False, enable_progress_bar=False)
        self.config_init = self.config

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:  # noqa: ANN401 - LightningCLI's signature
        """Give the run a folder of its own, with TensorBoard's and csv files; scoring alone writes nothing."""
        trainer = self.config_init[self.subcommand].trainer
        given = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        terminal = terminal_callbacks(trainer.enable_progress_bar, trainer.enable_model_summary, given)
        if self.subcommand in _FROM_CHECKPOINT:
            self.save_config_callback = None
            self.trainer_defaults["callbacks"] = [FinitePredictions(), SkippedImages(), *terminal]
            kwargs["logger"] = trainer.logger or False
            return super().instantiate_trainer(**kwargs)
        if self.subcommand == "probe":  # schedules and the like are of a training
            trainer.callbacks, trainer.max_epochs, given = None, 1, []
        plans = [callback for callback in given if isinstance(callback, FineTune)]
        if plans and trainer.max_epochs is None:
            kwargs["max_epochs"] = plans[0].max_epochs
        callbacks = self.trainer_defaults["callbacks"] = [*self._callbacks(given), *terminal]
        if trainer.fast_dev_run:
            return super().instantiate_trainer(**kwargs)

        folder, first_step = self._run_folder()
        callbacks.insert(0, CheckpointPlaces(folder, goes_on=first_step is not None))
        kwargs["default_root_dir"] = str(folder)
        kwargs["logger"] = run_folders.run_loggers(folder, first_step, trainer.logger)
        plugins = trainer.plugins or []
        kwargs["plugins"] = [AtomicCheckpointIO(), *(plugins if isinstance(plugins, list) else [plugins])]
        try:
            made = super().instantiate_trainer(**kwargs)
        except Exception:  # whatever it is, it goes on its way
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing was written yet
            raise
        # At the end it must save before a callback that averages weights puts the average in their place.
        callbacks = made.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
        callbacks.sort(key=lambda callback: not isinstance(callback, LastCheckpoint))
        if self.subcommand == "fit" and isinstance(callbacks[0], LastCheckpoint):
            callbacks.insert(1, StopSignals(callbacks[0]))
        return made

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> pl.Trainer:
        """Let the run's config hold the paths as they were written: they mean something on another machine too."""
        if config.get("enable_checkpointing") is False:
            callbacks = []  # those that save
        given = config["callbacks"] or []
        require_apart_and_inside([*(given if isinstance(given, list) else [given]), *callbacks])
        used, self.config = self.config, self._written
        try:
            return super()._instantiate_trainer(config, callbacks)
        finally:
            self.config = used

    def _callbacks(self, given: list[Any]) -> list[Callback]:
        seed = StepSeed(int(self.config[self.subcommand].seed_everything))
        callbacks: list[Callback] = [seed, EpochTable(), SkippedImages(), StartLine()]
        if getattr(self.model, "lr", None) == "auto" and not any(isinstance(c, LRFinder) for c in given):
            callbacks.append(LRFinder())
        if self.subcommand == "lr_find":  # it trains nothing that could be shown
            return callbacks
        callbacks += [FiniteLoss(), self._end_of_fit] if self.subcommand == "fit" else []
        if (task := find_task(self.model)) is not None:  # a user's own model may predict otherwise
            callbacks += [BatchFigure()] if self.subcommand == "fit" else []
            callbacks += [ResultsFigure(), HyperParameters(), *task.callbacks(self.model)]
            callbacks += [Drawing()] if self.subcommand == "fit" else []
        return callbacks

    def _run_folder(self) -> tuple[Path, int | None]:
        """Return a new folder; or that of the run to resume, and its first step."""
        if self._resumed is None and self._folder is not None:
            return run_folders.renew_folder(self._folder), None
        if self._resumed is None:
            kind = "lr_find" if self.subcommand == "lr_find" else "version"
            return run_folders.new_run_folder(*self._runs(), kind), None
        path = last_checkpoint(self._resumed)
        self.save_config_callback = None  # the run's own is there, and does not say that it was resumed
        rank_zero_only(print)(f"resuming from    {run_folders.relative_path(path)}")
        mine = re.escape(str(path.parent))
        warnings.filterwarnings("ignore", message=f"Checkpoint directory {mine} exists and is not empty")
        if isinstance(self.datamodule, ImageDataModule):  # its sampler can
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
        return self._resumed, logged_steps(read_checkpoint(path))

    def after_fit(self) -> None:
        """Name what the run left behind."""
        if not self.config.fit.trainer.fast_dev_run and self.trainer.is_global_zero:
            if (reason := self._end_of_fit.reason(self.trainer)) is not None:
                print(reason)
            self.after_probe()

    def after_probe(self) -> None:
        """Name what the run left behind."""
        folder = Path(self.trainer.default_root_dir)
        print("\n".join(run_folders.left_behind(folder, self.trainer.checkpoint_callbacks)))
