"""Draw the method's stages, once for each subject of the course, with the stages that it is about lit.

    python docs/pipeline.py    # writes docs/pipeline/*.svg

A chapter shows the one of its subject in its first cell. To add a subject, name its stages in `SUBJECTS`.
"""

from pathlib import Path

FOLDER = Path(__file__).with_name("pipeline")

# name: column, row, and two lines of text, in the order in which data passes
STAGES = {
    "inputs": (0, 0, "first frame,", "boxes, paths"),
    "latents": (1, 0, "noisy", "latents"),
    "features": (2, 0, "UNet", "features"),
    "aligned": (2, 1, "aligned", "features"),
    "loss": (1, 1, "loss along", "the paths"),
    "optimisation": (0, 1, "latent", "optimisation"),
    "frequencies": (0, 2, "frequency", "filter"),
    "step": (1, 2, "denoising", "step"),
    "decode": (2, 2, "decode", "the video"),
}
# name of the drawing: the stages that are lit
SUBJECTS = {stage: {stage} for stage in STAGES} | {
    "diffusion": {"latents", "step", "decode"},
    "network": {"latents", "features", "aligned", "step"},
    "knowledge": {"features", "aligned"},
    "transformer": {"latents", "features", "aligned", "step"},
    "whole": {*STAGES},
    "none": set(),
}

WIDTH, HEIGHT = 196, 76  # of a stage
ARROWS = """
M230 78H266 M468 78H504 M608 116V154 M510 198H474 M272 198H236 M132 236V274 M230 318H266 M468 318H504
M132 160V138H340V122 M370 356V384H14V20H390V34
"""
STYLE = """
text { font: 24px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; text-anchor: middle; fill: #1f2328; }
.ground { fill: #f6f8fa; } .arrow { fill: none; stroke: #59636e; stroke-width: 2.5; } #head { fill: #59636e; }
.stage { fill: #ffffff; stroke: #8c959f; stroke-width: 1.5; } .lit { fill: #f5a524; stroke: #9a5b00; stroke-width: 3; }
.note { font-size: 21px; font-style: italic; fill: #59636e; stroke: #f6f8fa; stroke-width: 10; paint-order: stroke; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .on { fill: #1f2328; } .ground { fill: #1c2129; }
  .arrow { stroke: #9198a1; } #head { fill: #9198a1; } .stage { fill: #0d1117; stroke: #656c76; }
  .lit { fill: #f5a524; stroke: #ffd38a; } .note { fill: #9198a1; stroke: #1c2129; }
}
"""


def drawing(subject: str) -> str:
    """The stages as an SVG; those that `subject` is about are lit."""
    lit = SUBJECTS[subject]
    parts = []
    for name, (column, row, *lines) in STAGES.items():
        x, y = 34 + 238 * column, 40 + 120 * row
        on, box = (' class="on"', "stage lit") if name in lit else ("", "stage")
        parts.append(f'<rect class="{box}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="10"/>')
        parts += [f'<text{on} x="{x + WIDTH // 2}" y="{y + 33 + 27 * k}">{line}</text>' for k, line in enumerate(lines)]
    told = ", ".join(" ".join(STAGES[name][2:]) for name in STAGES if name in lit) or "none"
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 404" width="560" height="314" role="img">',
            f"<title>The method's stages; lit: {told}</title>",
            f"<style>{STYLE}</style>",
            '<marker id="arrow" viewBox="0 0 10 10" refX="4" refY="5" markerWidth="5" markerHeight="5" orient="auto">',
            '<path id="head" d="M0 0L10 5L0 10z"/></marker>',
            '<rect class="ground" width="720" height="404" rx="14"/>',
            *(f'<path class="arrow" marker-end="url(#arrow)" d="M{d}"/>' for d in "".join(ARROWS).split("M")[1:]),
            '<text class="note" x="236" y="145">a few iterations</text>',
            '<text class="note" x="192" y="391">at every step</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for subject in SUBJECTS:
        (FOLDER / f"{subject}.svg").write_text(drawing(subject), encoding="utf-8")
    print(f"{len(SUBJECTS)} drawings: {FOLDER}")
