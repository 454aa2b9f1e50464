"""The public names, for editors and type checkers, which cannot see what __init__.py imports when it is first used."""

# ruff: noqa: I001 (in the order in which data passes through them)
from .errors import InputError as InputError
from .settings import Settings as Settings
from .boxes import KeyBox as KeyBox
from .boxes import Trajectories as Trajectories
from .boxes import Trajectory as Trajectory
from .boxes import latent_cells as latent_cells
from .camera import camera_pan as camera_pan
from .camera import camera_still as camera_still
from .camera import camera_zoom as camera_zoom
from .images import fit_image as fit_image
from .images import read_image as read_image
from .images import to_pil as to_pil
from .images import to_tensor as to_tensor
from .trajectory_files import load_trajectories as load_trajectories
from .trajectory_files import read_example as read_example
from .trajectory_files import save_trajectories as save_trajectories
from .trajectory_files import write_example as write_example
from .prompt import prompt_boxes as prompt_boxes
from .prompt import reference_image as reference_image
from .models import Model as Model
from .models import load_model as load_model
from .codec import Conditioning as Conditioning
from .codec import decode_latents as decode_latents
from .codec import encode_image as encode_image
from .codec import encode_video as encode_video
from .features import assemble as assemble
from .features import extract_features as extract_features
from .features import layers_of as layers_of
from .features import record_features as record_features
from .pca import fit_pca as fit_pca
from .pca import similarity_maps as similarity_maps
from .loss import gaussian_weight as gaussian_weight
from .loss import trajectory_loss as trajectory_loss
from .optimize import optimize_latents as optimize_latents
from .frequency import butterworth_mask as butterworth_mask
from .frequency import mix_frequencies as mix_frequencies
from .frequency import radial_spectrum as radial_spectrum
from .denoise import denoise as denoise
from .denoise import draw_noise as draw_noise
from .denoise import make_schedule as make_schedule
from .denoise import predict_clean_latents as predict_clean_latents
from .pipeline import Run as Run
from .pipeline import generate as generate
from .pipeline import generate_steps as generate_steps
from .batch import generate_batch as generate_batch
from .video import read_video as read_video
from .video import show_video as show_video
from .video import write_video as write_video
from .evaluation.metrics import objmc as objmc

__version__: str
__all__: list[str]
