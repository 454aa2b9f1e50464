"""Train the toy transformer from nothing: `python -m sgi2v_lab.toy.training.train_transformer decoder`.

Then `transformer`, then `export`. As `train` does for the toy SVD, both stages resume where a kill left them.
"""

from pathlib import Path
from typing import Annotated

import typer

from sgi2v_lab.toy.network.transformer import SIZE
from sgi2v_lab.toy.training import clip_decoder_stage, export, transformer_stage
from sgi2v_lab.toy.training.train import BatchSize, Device, Minutes, Out, Processes, Rate, Simple, launch

__all__ = ["app"]

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)
RUN = Path("runs/toy-dit")


@app.command()
def decoder(
    out: Out = RUN,
    minutes: Minutes = 30,
    device: Device = "cpu",
    processes: Processes = 1,
    batch_size: BatchSize = 4,
    learning_rate: Rate = 2e-3,
) -> None:
    """Train the VAE's decoder on crops of clips; its encoder is set."""
    launch(clip_decoder_stage.train, **locals())


@app.command()
def transformer(
    out: Out = RUN,
    minutes: Minutes = 60,
    device: Device = "cpu",
    processes: Processes = 1,
    batch_size: BatchSize = 8,
    learning_rate: Rate = 1e-3,
    simple: Simple = 0.5,
    logit: Annotated[
        float, typer.Option(help="Mean logit of the noise levels; more of it for motion, less for detail.")
    ] = transformer_stage.LOGIT_MEAN,
    correspondence: Annotated[
        float, typer.Option(help="Weight of the correspondence loss beside that of v.", min=0)
    ] = transformer_stage.CORRESPONDENCE,
    taught: Annotated[int, typer.Option(help="Clips over which the correspondence loss fades away.", min=0)] = (
        transformer_stage.TAUGHT
    ),
    until: Annotated[int, typer.Option(help="End after this many clips; 0: when the time is over.", min=0)] = 0,
    cooldown: Annotated[int, typer.Option(help="Of these, the last over which the learning rate falls.", min=0)] = 0,
    size: Annotated[
        int, typer.Option(help=f"Pixels of the pictures, which stand for {SIZE}.", min=16, max=SIZE)
    ] = SIZE,
) -> None:
    """Train the denoiser on encoded clips."""
    launch(transformer_stage.train, **locals())


@app.command("export")
def export_command(
    out: Out = RUN, to: Annotated[Path, typer.Option(help="Where to write the pipeline.")] = RUN / "pipeline"
) -> None:
    """Write the averaged weights as a WanImageToVideoPipeline folder in half precision."""
    export.export(out, to, ("decoder", "transformer"), export.wan_pipeline)
    print(to)


if __name__ == "__main__":
    app()
