"""Results as matplotlib figures: returned, never shown. One style for all, no global state."""

from sgi2v_lab.plots.atlas import plot_atlas
from sgi2v_lab.plots.boxes import plot_comparison, plot_film_strip, plot_tracks, plot_trajectories
from sgi2v_lab.plots.cost import plot_cost
from sgi2v_lab.plots.course import plot_gallery, plot_landscape, plot_magnitudes, plot_series
from sgi2v_lab.plots.curves import plot_gaussian, plot_loss_terms, plot_losses, plot_mask, plot_spectra
from sgi2v_lab.plots.features import plot_latents, plot_pca_strip, plot_similarity
from sgi2v_lab.plots.intervals import plot_along, plot_intervals
from sgi2v_lab.plots.style import STYLE, new_figure, save_figure, styled

__all__ = [
    "STYLE",
    "new_figure",
    "plot_along",
    "plot_atlas",
    "plot_comparison",
    "plot_cost",
    "plot_film_strip",
    "plot_gallery",
    "plot_gaussian",
    "plot_intervals",
    "plot_landscape",
    "plot_latents",
    "plot_loss_terms",
    "plot_losses",
    "plot_magnitudes",
    "plot_mask",
    "plot_pca_strip",
    "plot_series",
    "plot_similarity",
    "plot_spectra",
    "plot_tracks",
    "plot_trajectories",
    "save_figure",
    "styled",
]
