"""Train the toy SVD from nothing: `python -m sgi2v_lab.toy.training.train decoder`, then `unet`, then `export`.

Both stages have a time budget, resume where a kill left them, keep an exponential moving average of the weights, and
write a log (`log.jsonl`) and sample sheets (`sheets/`) into the run's folder. The same code runs on a GPU; on a CPU,
two processes of one thread each train faster than one process of two threads.
"""

import os
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import typer

from sgi2v_lab.toy.training import decoder_stage, export, unet_stage

__all__ = ["BatchSize", "Device", "Minutes", "Out", "Processes", "Rate", "Simple", "app", "launch"]

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="The run's folder: checkpoints, log, sheets.")]
Minutes = Annotated[float, typer.Option(help="Time budget, counted across restarts.", min=0.01)]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Processes = Annotated[int, typer.Option(help="Data-parallel processes (CPU).", min=1)]
BatchSize = Annotated[int, typer.Option(help="Clips per step and process.", min=1)]
Rate = Annotated[float, typer.Option(help="Peak learning rate.")]
Simple = Annotated[
    float, typer.Option(help="Share of scenes of one sprite, without photographs and camera.", min=0, max=1)
]


def _worker(rank: int, stage, processes: int, device: str, options: dict) -> None:
    if processes > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        dist.init_process_group("gloo", rank=rank, world_size=processes)
        torch.set_num_threads(max(1, (os.cpu_count() or processes) // processes))
    torch.manual_seed(rank)
    stage(rank=rank, processes=processes, device=torch.device(device), **options)
    if processes > 1:
        dist.destroy_process_group()


def launch(stage, *, processes: int, device: str, minutes: float, learning_rate: float, **options) -> None:
    """Run a stage's `train` in one process or several, data-parallel; what a command was given are its options."""
    options |= {"seconds": 60 * minutes, "peak": learning_rate}
    if processes == 1:
        _worker(0, stage, 1, device, options)
    else:
        # training frees and takes the same large blocks at every step: without this they go back to the system each
        # time, which on two cores costs a quarter of the time
        os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**40))
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**40))
        os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
        mp.spawn(_worker, (stage, processes, device, options), nprocs=processes)


@app.command()
def decoder(
    out: Out = Path("runs/toy"),
    minutes: Minutes = 20,
    device: Device = "cpu",
    processes: Processes = 1,
    batch_size: BatchSize = 8,
    learning_rate: Rate = 1e-3,
) -> None:
    """Train the VAE's decoder on crops of scenes; its encoder is set."""
    launch(decoder_stage.train, **locals())


@app.command()
def unet(
    out: Out = Path("runs/toy"),
    minutes: Minutes = 60,
    device: Device = "cpu",
    processes: Processes = 1,
    batch_size: BatchSize = 4,
    learning_rate: Rate = 1e-3,
    seed: Annotated[int, typer.Option(help="First scene seed; give each continuation fresh scenes.")] = 0,
    simple: Simple = 0.5,
    moving: Annotated[
        float, typer.Option(help="Of the other scenes, share with a camera that surely moves.", min=0, max=1)
    ] = 0.0,
) -> None:
    """Train the UNet and the image encoder on encoded clips."""
    launch(unet_stage.train, **locals())


@app.command("unpack")
def unpack_command(
    checkpoint: Annotated[Path, typer.Argument(help="A pipeline folder that `export` wrote.")],
    out: Out = Path("runs/toy"),
) -> None:
    """Begin a training run at an exported pipeline's weights, so that `decoder` and `unet` go on from there."""
    export.unpack(checkpoint, out)
    print(out)


@app.command("export")
def export_command(
    out: Out = Path("runs/toy"),
    to: Annotated[Path, typer.Option(help="Where to write the pipeline.")] = Path("runs/toy/pipeline"),
) -> None:
    """Write the averaged weights as a StableVideoDiffusionPipeline folder in half precision."""
    export.export(out, to, ("decoder", "unet"), export.svd_pipeline)
    print(to)


if __name__ == "__main__":
    app()
